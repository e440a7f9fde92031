//! What the program is told, as plain memory that it reads while we write.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use aya::maps::Map;
use lb_common::frontend::RingRef;
use lb_common::net::{Mac, MacWord};
use lb_common::server::Servers;
use lb_common::setup::Setup;
use memmap2::MmapRaw;
use zerocopy::transmute;

use super::{Error, memory};

/// The one value of the `SETUP` map.
pub struct SetupMemory {
    memory: MmapRaw,
}

impl SetupMemory {
    pub(super) fn new(map: &Map) -> Result<Self, Error> {
        let memory = memory::writable("SETUP", map)?;
        if memory.len() < size_of::<Setup>() {
            return Err(Error::Missing("SETUP of this version"));
        }
        Ok(Self { memory })
    }

    /// A look at it all. Only what [`Self::switch_ring`] and [`Self::set_next_hop`] store may
    /// change meanwhile.
    #[must_use]
    pub fn get(&self) -> &Setup {
        // SAFETY: the memory is page-aligned, long enough and lives as long as `self`; every bit
        // pattern is a setup. The kernel only reads it, and one agent at a time writes it.
        unsafe { &*self.pointer() }
    }

    /// Replaces it all, before the program is attached.
    pub fn write(&mut self, setup: &Setup) {
        // SAFETY: as in `get`.
        unsafe { self.pointer().copy_from_nonoverlapping(setup, 1) };
    }

    /// Switches a frontend to another ring, in one store. All that was written to that ring before
    /// is seen by whoever sees the switch.
    pub fn switch_ring(&mut self, frontend: u16, ring: RingRef, usable: Servers) {
        // SAFETY: as in `get`; the fields are aligned words.
        let (word, set) = unsafe {
            let frontend = &raw mut (*self.pointer()).frontends[usize::from(frontend)];
            (
                AtomicU32::from_ptr((&raw mut (*frontend).ring).cast()),
                AtomicU64::from_ptr((&raw mut (*frontend).usable).cast()),
            )
        };
        word.store(transmute!(ring), Ordering::Release);
        set.store(transmute!(usable), Ordering::Relaxed);
    }

    /// Moves a server to another next hop, in one store.
    pub fn set_next_hop(&mut self, server: u16, next_hop: Mac) {
        // SAFETY: as in `get`; the field is an aligned double word.
        let word = unsafe {
            let setup = self.pointer();
            AtomicU64::from_ptr((&raw mut (*setup).servers[usize::from(server)].next_hop).cast())
        };
        word.store(transmute!(MacWord::from(next_hop)), Ordering::Release);
    }

    fn pointer(&self) -> *mut Setup {
        self.memory.as_mut_ptr().cast()
    }
}
