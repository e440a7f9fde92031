//! How many connections of each frontend are established, as the program counts them.

use std::sync::atomic::{AtomicI64, Ordering};

use aya::maps::Map;
use lb_common::admission::Occupancy;
use lb_common::frontend::MAX_FRONTENDS;
use memmap2::MmapRaw;

use super::{Error, memory};

/// The `OCCUPANCY` map, mapped into our own memory.
pub struct Occupancies {
    memory: MmapRaw,
}

impl Occupancies {
    /// Maps it.
    pub(super) fn new(map: &Map) -> Result<Self, Error> {
        let memory = memory::writable("OCCUPANCY", map)?;
        if memory.len() < MAX_FRONTENDS as usize * size_of::<Occupancy>() {
            return Err(Error::Missing("OCCUPANCY of this version"));
        }
        Ok(Self { memory })
    }

    /// How many connections of a frontend are established.
    #[must_use]
    pub fn get(&self, frontend: u16) -> u64 {
        self.counter(frontend).load(Ordering::Relaxed).try_into().unwrap_or(0)
    }

    /// An established connection of a frontend was ended by us.
    pub fn remove_one(&self, frontend: u16) {
        self.counter(frontend).fetch_sub(1, Ordering::Relaxed);
    }

    fn counter(&self, frontend: u16) -> &AtomicI64 {
        let element: *const Occupancy = memory::element(&self.memory, u32::from(frontend) % MAX_FRONTENDS);
        // SAFETY: within the mapping, which is page-aligned and lives as long as `self`; changed
        // only atomically, by the program too.
        unsafe { AtomicI64::from_ptr((&raw const (*element).established).cast_mut()) }
    }
}
