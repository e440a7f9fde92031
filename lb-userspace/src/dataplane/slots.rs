//! The connection slots, mapped into our own memory: read without system calls.

use std::marker::PhantomData;
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};

use aya::maps::Map;
use lb_common::slot::{Details, Slot, Word};
use lb_common::time::Tick;
use memmap2::MmapRaw;

use super::{Error, memory, table};

/// So many slots are mapped at a time where many are looked through. The kernel maps all pages at once and
/// counts them as the process's own: a million slots would be as many times 64 bytes, and their details half
/// of that. A window begins at a page, whatever its size: 4 MiB of slots, 2 MiB of details.
const WINDOW: u32 = 1 << 16;

/// The `SLOTS` and `DETAILS` maps.
pub struct Slots {
    map: Map,
    details: Map,
    count: u32,
}

/// A view of some slots.
pub struct SlotView {
    slots: Window<Slot>,
    /// Of the same slots, where they are wanted.
    details: Option<Window<Details>>,
    numbers: Range<u32>,
}

/// A view of some slots through which their states can be changed while packets pass.
pub struct SlotStates(SlotView);

/// A view of all slots through which they can be changed: for benches and tests.
pub struct SlotViewMut(SlotView);

/// Elements of a map in our own memory.
struct Window<T> {
    memory: MmapRaw,
    /// The number of the first of them.
    first: u32,
    elements: PhantomData<T>,
}

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

    /// The numbers of all slots.
    #[must_use]
    pub fn numbers(&self) -> Range<u32> {
        0..self.count
    }

    /// Maps the slots with these numbers, one part after the other: hardly any of them counts as the
    /// caller's memory, if it drops one view before it takes the next.
    pub fn windows(&self, numbers: Range<u32>) -> impl Iterator<Item = Result<SlotView, Error>> + '_ {
        self.parts(numbers).map(|part| self.map(part.mapped, part.seen))
    }

    /// The same with what else there is to know of each.
    pub fn detailed_windows(
        &self,
        numbers: Range<u32>,
    ) -> impl Iterator<Item = Result<SlotView, Error>> + '_ {
        self.parts(numbers).map(|part| self.map_detailed(part.mapped, part.seen))
    }

    /// The same to change their states.
    pub fn state_windows(&self, numbers: Range<u32>) -> impl Iterator<Item = Result<SlotStates, Error>> + '_ {
        self.parts(numbers).map(|part| self.map_writable(part.mapped, part.seen).map(SlotStates))
    }

    /// Maps all slots at once, with their details, and all of that counts as the caller's memory.
    pub fn view(&self) -> Result<SlotView, Error> {
        self.map_detailed(self.numbers(), self.numbers())
    }

    /// Maps all slots at once to change them, while no packet is under way.
    pub fn view_mut(&self) -> Result<SlotViewMut, Error> {
        self.map_writable(self.numbers(), self.numbers()).map(SlotViewMut)
    }

    fn parts(&self, numbers: Range<u32>) -> impl Iterator<Item = Part> + use<> {
        parts(numbers.start..numbers.end.min(self.count))
    }

    fn map(&self, part: Range<u32>, numbers: Range<u32>) -> Result<SlotView, Error> {
        let first = part.start;
        let slots = Window::new(memory::read_only_part("SLOTS", &self.map, part)?, first);
        Ok(SlotView { slots, details: None, numbers })
    }

    fn map_detailed(&self, part: Range<u32>, numbers: Range<u32>) -> Result<SlotView, Error> {
        let details = memory::read_only_part("DETAILS", &self.details, part.clone())?;
        let details = Some(Window::new(details, part.start));
        Ok(SlotView { details, ..self.map(part, numbers)? })
    }

    fn map_writable(&self, part: Range<u32>, numbers: Range<u32>) -> Result<SlotView, Error> {
        let first = part.start;
        let details = memory::read_only_part("DETAILS", &self.details, part.clone())?;
        let slots = Window::new(memory::writable_part("SLOTS", &self.map, part)?, first);
        Ok(SlotView { slots, details: Some(Window::new(details, first)), numbers })
    }
}

/// A window, and which slots are to be seen in it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Part {
    mapped: Range<u32>,
    seen: Range<u32>,
}

/// The windows in which these slots are; the last may end behind the last slot.
fn parts(numbers: Range<u32>) -> impl Iterator<Item = Part> {
    let Range { start, end } = numbers;
    (start / WINDOW..end.div_ceil(WINDOW)).map(move |window| {
        let mapped = window * WINDOW..(window + 1).saturating_mul(WINDOW);
        Part { seen: mapped.start.max(start)..mapped.end.min(end), mapped }
    })
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

impl<T> Window<T> {
    const fn new(memory: MmapRaw, first: u32) -> Self {
        Self { memory, first, elements: PhantomData }
    }

    /// Where an element is, if it is one of these.
    fn element(&self, number: u32) -> *const T {
        memory::element(&self.memory, number.wrapping_sub(self.first))
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
        if view.numbers.contains(&number) {
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
        if !view.numbers.contains(&number) {
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
        if !view.numbers.contains(&number) {
            return None;
        }
        // SAFETY: as in `change_used`.
        Some(change(unsafe { &mut *view.slot(number).cast_mut() }))
    }

    /// Changes every slot that has ever been used, and returns how many there are.
    pub fn change_used(&mut self, mut change: impl FnMut(&mut Slot)) -> u32 {
        let Self(view) = self;
        let mut changed = 0;
        for number in view.numbers.clone().filter(|number| view.is_used(*number)) {
            // SAFETY: within the mapping, which `self` alone works on for the moment: the caller
            // has said that no packet is under way.
            change(unsafe { &mut *view.slot(number).cast_mut() });
            changed += 1;
        }
        changed
    }
}

impl SlotView {
    /// The numbers of the slots that can be seen.
    #[must_use]
    pub fn numbers(&self) -> Range<u32> {
        self.numbers.clone()
    }

    /// A copy of a slot, if it did not change hands meanwhile.
    #[must_use]
    pub fn get(&self, number: u32) -> Option<Slot> {
        if !self.numbers.contains(&number) {
            return None;
        }
        // SAFETY: within the mapping, which is page-aligned and lives as long as `self`; every bit
        // pattern is a slot. The data plane writes meanwhile, hence volatile, and hence the second
        // look at the generation.
        let copy = unsafe { self.slot(number).read_volatile() };
        (copy.word().generation() == self.word(number).generation()).then_some(copy)
    }

    /// A copy of a slot's details, if they can be seen.
    #[must_use]
    pub fn details(&self, number: u32) -> Option<Details> {
        let details = self.details.as_ref().filter(|_| self.numbers.contains(&number))?;
        // SAFETY: as in `get`; there are as many details as slots.
        Some(unsafe { details.element(number).read_volatile() })
    }

    /// Copies of all slots that have ever been used, with their numbers.
    pub fn used(&self) -> impl Iterator<Item = (u32, Slot)> + '_ {
        self.numbers()
            .filter(|number| self.is_used(*number))
            .filter_map(|number| self.get(number).map(|slot| (number, slot)))
    }

    /// Whether a slot has ever been used, without copying it.
    fn is_used(&self, number: u32) -> bool {
        self.word(number) != Word(0)
    }

    fn word(&self, number: u32) -> Word {
        // SAFETY: as in `get`; the callers keep to `numbers`.
        Word(unsafe { (&raw const (*self.slot(number)).word).read_volatile() })
    }

    fn slot(&self, number: u32) -> *const Slot {
        self.slots.element(number)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Together they are what was asked for, in order, and each begins where a map can be cut.
        #[test]
        fn windows_have_each_slot_once(start in 0..3 * WINDOW, length in 0..3 * WINDOW) {
            let mut next = start;
            for Part { mapped, seen } in parts(start..start + length).filter(|part| !part.seen.is_empty()) {
                prop_assert_eq!((mapped.start % WINDOW, mapped.len() as u32, seen.start), (0, WINDOW, next));
                prop_assert!(mapped.start <= seen.start && seen.end <= mapped.end);
                next = seen.end;
            }
            prop_assert_eq!(next, start + length);
        }
    }

    #[test]
    fn the_last_slot_of_all_is_in_a_window() {
        let last = parts(u32::MAX - 1..u32::MAX).collect::<Vec<_>>();
        assert_eq!(last.len(), 1);
        assert_eq!((last[0].mapped.end, last[0].seen.clone()), (u32::MAX, u32::MAX - 1..u32::MAX));
    }
}
