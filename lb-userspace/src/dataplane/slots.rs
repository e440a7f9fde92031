//! The connection slots, mapped into our own memory: read without system calls.

use aya::maps::Map;
use lb_common::slot::Slot;
use memmap2::MmapRaw;

use super::{Error, memory, table};

/// The `SLOTS` map.
pub struct Slots {
    map: Map,
    count: u32,
}

/// A view of all slots.
pub struct SlotView {
    memory: MmapRaw,
    count: u32,
}

/// A view of all slots through which they can be changed: for benches and tests.
pub struct SlotViewMut(SlotView);

impl Slots {
    /// Wraps the map.
    pub(super) fn new(map: Map) -> Result<Self, Error> {
        let data = table::data(&map).ok_or(Error::Missing("SLOTS"))?;
        let info = data.info().map_err(|source| Error::Map { name: "SLOTS", source })?;
        if info.value_size() as usize != size_of::<Slot>() {
            return Err(Error::Missing("SLOTS of this version"));
        }
        let count = info.max_entries();
        Ok(Self { map, count })
    }

    /// How many slots there are.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Maps the slots into memory. Pages count as the caller's once they are looked at.
    pub fn view(&self) -> Result<SlotView, Error> {
        Ok(SlotView { memory: memory::read_only("SLOTS", &self.map)?, count: self.count })
    }

    /// Maps the slots into memory to change them, while no packet is under way.
    pub fn view_mut(&self) -> Result<SlotViewMut, Error> {
        Ok(SlotViewMut(SlotView { memory: memory::writable("SLOTS", &self.map)?, count: self.count }))
    }
}

impl SlotViewMut {
    /// Changes every slot that has ever been used, and returns how many there are.
    pub fn change_used(&mut self, mut change: impl FnMut(&mut Slot)) -> u32 {
        let Self(view) = self;
        let used = (0..view.count).filter(|number| view.is_used(*number));
        let mut changed = 0;
        for number in used {
            // SAFETY: within the mapping, which `self` alone works on for the moment: the caller
            // has said that no packet is under way.
            change(unsafe { &mut *view.memory.as_mut_ptr().cast::<Slot>().add(number as usize) });
            changed += 1;
        }
        changed
    }
}

impl SlotView {
    /// A copy of a slot, as far as it did not change hands meanwhile.
    #[must_use]
    pub fn get(&self, number: u32) -> Option<Slot> {
        if number >= self.count {
            return None;
        }
        let slot = self.memory.as_ptr().cast::<Slot>().wrapping_add(number as usize);
        // SAFETY: within the mapping, which is page-aligned and lives as long as `self`; every bit
        // pattern is a slot. The data plane writes meanwhile, hence volatile, and hence the second
        // look at the generation.
        let (copy, after) = unsafe { (slot.read_volatile(), (&raw const (*slot).word).read_volatile()) };
        (copy.word().generation() == lb_common::slot::Word(after).generation()).then_some(copy)
    }

    /// Whether a slot has ever been used, without copying it.
    fn is_used(&self, number: u32) -> bool {
        let slot = self.memory.as_ptr().cast::<Slot>().wrapping_add(number as usize);
        // SAFETY: as in `get`; the caller keeps to `count`.
        unsafe { (&raw const (*slot).word).read_volatile() != 0 }
    }

    /// Copies of all slots that have ever been used, with their numbers.
    pub fn used(&self) -> impl Iterator<Item = (u32, Slot)> + '_ {
        (0..self.count)
            .filter(|number| self.is_used(*number))
            .filter_map(|number| self.get(number).map(|slot| (number, slot)))
    }
}
