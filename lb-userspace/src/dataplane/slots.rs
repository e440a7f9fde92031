//! The connection slots, mapped into our own memory: read without system calls.

use std::sync::atomic::{AtomicU32, Ordering};

use aya::maps::Map;
use lb_common::slot::{Details, Slot, Word};
use lb_common::time::Tick;
use memmap2::MmapRaw;

use super::{Error, memory, table};

/// The `SLOTS` and `DETAILS` maps.
pub struct Slots {
    map: Map,
    details: Map,
    count: u32,
}

/// A view of all slots.
pub struct SlotView {
    slots: MmapRaw,
    details: MmapRaw,
    count: u32,
}

/// A view of all slots through which their states can be changed while packets pass.
pub struct SlotStates(SlotView);

/// A view of all slots through which they can be changed: for benches and tests.
pub struct SlotViewMut(SlotView);

impl Slots {
    /// Wraps the maps.
    pub(super) fn new(map: Map, details: Map) -> Result<Self, Error> {
        let count = elements::<Slot>("SLOTS", &map)?;
        if elements::<Details>("DETAILS", &details)? != count {
            return Err(Error::Missing("DETAILS for all SLOTS"));
        }
        Ok(Self { map, details, count })
    }

    /// How many slots there are.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Maps the slots into memory. Pages count as the caller's once they are looked at.
    pub fn view(&self) -> Result<SlotView, Error> {
        let slots = memory::read_only("SLOTS", &self.map)?;
        let details = memory::read_only("DETAILS", &self.details)?;
        Ok(SlotView { slots, details, count: self.count })
    }

    /// Maps the slots into memory to change their states.
    pub fn states(&self) -> Result<SlotStates, Error> {
        self.view_mut().map(|SlotViewMut(view)| SlotStates(view))
    }

    /// Maps the slots into memory to change them, while no packet is under way.
    pub fn view_mut(&self) -> Result<SlotViewMut, Error> {
        let slots = memory::writable("SLOTS", &self.map)?;
        Ok(SlotViewMut(SlotView { slots, ..self.view()? }))
    }
}

/// How many elements of type `T` an array map has.
fn elements<T>(name: &'static str, map: &Map) -> Result<u32, Error> {
    let data = table::data(map).ok_or(Error::Missing(name))?;
    let info = data.info().map_err(|source| Error::Map { name, source })?;
    if info.value_size() as usize == size_of::<T>() {
        Ok(info.max_entries())
    } else {
        Err(Error::Missing("connection slots of this version"))
    }
}

impl SlotStates {
    /// The slots to read.
    #[must_use]
    pub fn view(&self) -> &SlotView {
        &self.0
    }

    /// Has a slot's time begin anew.
    pub fn touch(&self, number: u32, now: Tick) {
        let Self(view) = self;
        if number < view.count {
            // SAFETY: as in `swap`; an aligned word that the program reads and writes as a whole.
            let last_seen = unsafe { (&raw const (*view.slot(number)).last_seen).cast::<u32>().cast_mut() };
            // SAFETY: as above.
            unsafe { AtomicU32::from_ptr(last_seen) }.store(now.0, Ordering::Relaxed);
        }
    }

    /// Changes a slot's state from `old` to `new`, unless a packet has changed it; tells whether it
    /// did.
    #[must_use]
    pub fn swap(&self, number: u32, old: Word, new: Word) -> bool {
        let Self(view) = self;
        if number >= view.count {
            return false;
        }
        // SAFETY: within the mapping, which is page-aligned and lives as long as `self`; the word is
        // changed only atomically, by the program too.
        let word = unsafe { AtomicU32::from_ptr((&raw const (*view.slot(number)).word).cast_mut()) };
        word.compare_exchange(old.0, new.0, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }
}

impl SlotViewMut {
    /// Changes a slot, and returns what `change` does; none if there is no such slot.
    pub fn change<T>(&mut self, number: u32, change: impl FnOnce(&mut Slot) -> T) -> Option<T> {
        let Self(view) = self;
        if number >= view.count {
            return None;
        }
        // SAFETY: as in `change_used`.
        Some(change(unsafe { &mut *view.slot(number).cast_mut() }))
    }

    /// Changes every slot that has ever been used, and returns how many there are.
    pub fn change_used(&mut self, mut change: impl FnMut(&mut Slot)) -> u32 {
        let Self(view) = self;
        let mut changed = 0;
        for number in (0..view.count).filter(|number| view.is_used(*number)) {
            // SAFETY: within the mapping, which `self` alone works on for the moment: the caller
            // has said that no packet is under way.
            change(unsafe { &mut *view.slot(number).cast_mut() });
            changed += 1;
        }
        changed
    }
}

impl SlotView {
    /// A copy of a slot, if it did not change hands meanwhile.
    #[must_use]
    pub fn get(&self, number: u32) -> Option<Slot> {
        if number >= self.count {
            return None;
        }
        // SAFETY: within the mapping, which is page-aligned and lives as long as `self`; every bit
        // pattern is a slot. The data plane writes meanwhile, hence volatile, and hence the second
        // look at the generation.
        let copy = unsafe { self.slot(number).read_volatile() };
        (copy.word().generation() == self.word(number).generation()).then_some(copy)
    }

    /// A copy of a slot's details.
    #[must_use]
    pub fn details(&self, number: u32) -> Option<Details> {
        if number >= self.count {
            return None;
        }
        let details: *const Details = memory::element(&self.details, number);
        // SAFETY: as in `get`; there are as many details as slots.
        Some(unsafe { details.read_volatile() })
    }

    /// Copies of all slots that have ever been used, with their numbers.
    pub fn used(&self) -> impl Iterator<Item = (u32, Slot)> + '_ {
        (0..self.count)
            .filter(|number| self.is_used(*number))
            .filter_map(|number| self.get(number).map(|slot| (number, slot)))
    }

    /// Whether a slot has ever been used, without copying it.
    fn is_used(&self, number: u32) -> bool {
        self.word(number) != Word(0)
    }

    fn word(&self, number: u32) -> Word {
        // SAFETY: as in `get`; the callers keep to `count`.
        Word(unsafe { (&raw const (*self.slot(number)).word).read_volatile() })
    }

    fn slot(&self, number: u32) -> *const Slot {
        memory::element(&self.slots, number)
    }
}
