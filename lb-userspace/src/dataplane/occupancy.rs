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
        self.counted(frontend).try_into().unwrap_or(0)
    }

    /// The counter as it is: a race may leave it below zero for a moment.
    #[must_use]
    pub fn counted(&self, frontend: u16) -> i64 {
        self.counter(frontend).load(Ordering::Relaxed)
    }

    /// Puts the counter right, unless it has moved meanwhile; then another time will do.
    pub fn correct(&self, frontend: u16, counted: i64, found: i64) {
        let _ = self.counter(frontend).compare_exchange(counted, found, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// A frontend begins without connections.
    pub fn clear(&self, frontend: u16) {
        self.counter(frontend).store(0, Ordering::Relaxed);
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
