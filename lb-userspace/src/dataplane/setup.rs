//! What the program is told, as plain memory that it reads while we write.

use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering};

use aya::maps::Map;
use lb_common::frontend::{Frontend, PortEntry, RingRef};
use lb_common::net::{Mac, MacWord, Port};
use lb_common::server::{Server, Servers};
use lb_common::settings::Settings;
use lb_common::setup::Setup;
use lb_common::time::Tick;
use memmap2::MmapRaw;
use zerocopy::{IntoBytes, transmute};

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

    /// The layout version that a `SETUP` map says it is of, whatever its size.
    pub(super) fn layout_version(map: &Map) -> Result<u32, Error> {
        const PLACE: usize =
            std::mem::offset_of!(Setup, settings) + std::mem::offset_of!(Settings, layout_version);
        let memory = memory::read_only("SETUP", map)?;
        if memory.len() < PLACE + size_of::<u32>() {
            return Err(Error::Missing("SETUP with a layout version"));
        }
        let place: *const u8 = memory.as_ptr().wrapping_add(PLACE);
        // SAFETY: the four bytes are within the mapping.
        let bytes = unsafe { place.cast::<[u8; size_of::<u32>()]>().read_volatile() };
        Ok(u32::from_ne_bytes(bytes))
    }

    /// A look at it all.
    #[must_use]
    pub fn get(&self) -> &Setup {
        // SAFETY: the memory is page-aligned, long enough and lives as long as `self`; every bit
        // pattern is a setup. The kernel only reads it, and one agent at a time writes it.
        unsafe { &*self.pointer() }
    }

    /// Replaces it all, before any program reads it.
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

    /// Enters or removes a server's endpoint, in one store.
    pub fn set_endpoint(&mut self, (place, word): (usize, u64)) {
        // SAFETY: as in `get`; the places are aligned double words.
        let atomic = unsafe {
            let setup = self.pointer();
            AtomicU64::from_ptr(&raw mut (*setup).endpoints.places_mut()[place])
        };
        atomic.store(word, Ordering::Release);
    }

    /// Writes a server that no packet finds: its endpoint is not entered, and no ring has it.
    pub fn write_server(&mut self, number: u16, server: &Server) {
        // SAFETY: as in `get`.
        unsafe { (&raw mut (*self.pointer()).servers[usize::from(number)]).write(*server) };
    }

    /// Brings a frontend up to date, word by word. Packets may meet some words of before and some of
    /// after; each field lies within a word, and none needs another one's.
    pub fn write_frontend(&mut self, number: u16, frontend: &Frontend) {
        const WORD: usize = size_of::<u64>();
        const { assert!(size_of::<Frontend>().is_multiple_of(WORD) && align_of::<Frontend>() >= WORD) };
        let place: *mut u64 = {
            // SAFETY: as in `get`; only the address is taken.
            unsafe { (&raw mut (*self.pointer()).frontends[usize::from(number)]).cast() }
        };
        for (offset, bytes) in frontend.as_bytes().chunks_exact(WORD).enumerate() {
            let word = u64::from_ne_bytes(bytes.try_into().unwrap_or_default());
            // SAFETY: as in `get`; the offset is within the frontend, whose words are aligned.
            let atomic = unsafe { AtomicU64::from_ptr(place.add(offset)) };
            if atomic.load(Ordering::Relaxed) != word {
                atomic.store(word, Ordering::Release);
            }
        }
    }

    /// Has a frontend take new connections or none, in one store: another process than the agent does it, too.
    pub fn set_draining(&mut self, number: u16, draining: bool) {
        // SAFETY: as in `get`; the field is aligned.
        let field = unsafe {
            let setup = self.pointer();
            AtomicU16::from_ptr(&raw mut (*setup).frontends[usize::from(number)].draining)
        };
        field.store(draining.into(), Ordering::Release);
    }

    /// Has packets traced until then, in one store, or not at all (zero): the tracer does it, too.
    pub fn set_trace_until(&self, until: Tick) {
        // SAFETY: as in `get`; the field is an aligned word.
        let word = unsafe { AtomicU32::from_ptr((&raw mut (*self.pointer()).settings.trace_until).cast()) };
        word.store(until.0, Ordering::Release);
    }

    /// Until when packets are traced.
    #[must_use]
    pub fn trace_until(&self) -> Tick {
        // SAFETY: as above.
        let word = unsafe { AtomicU32::from_ptr((&raw mut (*self.pointer()).settings.trace_until).cast()) };
        Tick(word.load(Ordering::Acquire))
    }

    /// Says what a port means from now on, in one store.
    pub fn set_port(&mut self, port: Port, entry: PortEntry) {
        // SAFETY: as in `get`; a byte is always aligned.
        let atomic =
            unsafe { AtomicU8::from_ptr(std::ptr::from_mut((*self.pointer()).port_mut(port)).cast()) };
        atomic.store(entry.as_bytes()[0], Ordering::Release);
    }

    /// The interface has another MAC address or MTU, in one store.
    pub fn set_interface(&mut self, mac: Mac, mss: u16) {
        const { assert!(std::mem::offset_of!(Settings, mac) % 8 == 0) };
        const { assert!(std::mem::offset_of!(Settings, mss) == std::mem::offset_of!(Settings, mac) + 6) };
        let [a, b, c, d, e, f] = mac.0;
        let [g, h] = mss.to_ne_bytes();
        // SAFETY: as in `get`; both together are an aligned double word.
        let atomic = unsafe { AtomicU64::from_ptr((&raw mut (*self.pointer()).settings.mac).cast()) };
        atomic.store(u64::from_ne_bytes([a, b, c, d, e, f, g, h]), Ordering::Release);
    }

    /// Whether the program tells of connections that end, in one store.
    pub fn set_tells_ends(&mut self, wanted: bool) {
        // SAFETY: as in `get`; the field is an aligned word.
        let field = unsafe { AtomicU32::from_ptr(&raw mut (*self.pointer()).settings.tells_ends) };
        field.store(wanted.into(), Ordering::Release);
    }

    /// Memory that no program reads.
    #[cfg(test)]
    pub(crate) fn anonymous() -> Self {
        let memory = memmap2::MmapOptions::new().len(size_of::<Setup>()).map_anon().expect("there is memory");
        Self { memory: memory.into() }
    }

    fn pointer(&self) -> *mut Setup {
        self.memory.as_mut_ptr().cast()
    }
}
