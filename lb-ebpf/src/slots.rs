//! Connection slots in map memory: reading, claiming, giving back.
//!
//! A slot's state word changes only by compare-and-swap. Its other fields are written by the CPU
//! that claimed it, before the word says so; later each side's numbers are written only by that
//! side's packets, which a NIC hands to one CPU at a time. The time of the last packet and the
//! counters may lose an update when two packets of one direction do meet, which harms nobody.

use lb_common::frontend::Timeouts;
use lb_common::index::Tuple;
use lb_common::slot::{Details, Slot, Word};
use lb_common::tcp::{Fins, State};
use lb_common::time::Tick;

use crate::{Context, atomic, maps};

/// How many slots a new connection may try.
const PROBES: u32 = 16;

/// A slot in map memory.
#[derive(Clone, Copy)]
pub struct SlotRef {
    /// Its number.
    pub number: u32,
    slot: *mut Slot,
}

impl SlotRef {
    /// No slot.
    pub const NONE: Self = Self { number: 0, slot: core::ptr::null_mut() };

    /// Whether it is a slot at all.
    #[inline(always)]
    #[must_use]
    pub fn is_some(&self) -> bool {
        !self.slot.is_null()
    }

    /// The slot with a number.
    #[inline(always)]
    #[must_use]
    pub fn get(number: u32) -> Option<Self> {
        maps::slot(number).map(|slot| Self { number, slot })
    }

    /// The fields, all but the state word.
    #[inline(always)]
    #[must_use]
    #[expect(clippy::mut_from_ref, reason = "map memory; the module says who may write what")]
    pub fn fields(&self) -> &mut Slot {
        // SAFETY: the verifier lets only whole elements of the map through, and every bit pattern
        // is a slot. Who may write what, the module's documentation says.
        unsafe { &mut *self.slot }
    }

    /// What else there is to know of the connection.
    #[inline(always)]
    #[must_use]
    #[expect(clippy::mut_from_ref, reason = "as in `fields`")]
    pub fn details(&self) -> Option<&mut Details> {
        // SAFETY: as in `fields`.
        maps::details(self.number).map(|details| unsafe { &mut *details })
    }

    /// The state word as it is now.
    #[inline(always)]
    #[must_use]
    pub fn word(&self) -> Word {
        // SAFETY: as in `fields`; volatile, because other CPUs change it.
        Word(unsafe { (&raw const (*self.slot).word).read_volatile() })
    }

    /// Changes the state word from `old` to `new`, unless somebody else has changed it.
    #[inline(always)]
    #[must_use]
    pub fn swap(&self, old: Word, new: Word) -> bool {
        // SAFETY: as in `fields`, and the word is changed nowhere else.
        unsafe { atomic::swap_u32(&raw mut (*self.slot).word, old.0, new.0) }
    }

    /// Gives the slot back if its state is still `word`.
    #[inline(always)]
    #[must_use]
    pub fn release(&self, word: Word) -> bool {
        self.swap(word, word.with(State::Free, Fins::NONE))
    }

    /// Whether a connection holds the slot and it is this one, given the slot's word.
    #[inline(always)]
    #[must_use]
    pub fn is_of(&self, word: Word, tuple: Tuple, generation: u16, now: Tick, timeouts: &Timeouts) -> bool {
        let fields = self.fields();
        word.generation() == generation
            && fields.tuple == tuple
            && word.is_live(fields.last_seen, now, timeouts)
    }

    /// Whether some connection holds the slot, by its own frontend's timeouts.
    #[inline(always)]
    #[must_use]
    pub fn is_held(&self, word: Word, context: &Context) -> bool {
        let fields = self.fields();
        word.is_live(fields.last_seen, context.now, &context.setup.frontend(fields.tuple.frontend()).timeouts)
    }
}

/// Claims a slot of a server for a new connection, and returns its state word.
///
/// The slots are tried in rotation, so that a port rests as long as possible before its next
/// connection: the server may still be in TIME_WAIT. Free and expired ones are taken first; if none
/// is found, one whose connection was reset.
#[inline(always)]
#[must_use]
pub fn claim(context: &Context, first_slot: u32, server: u16) -> Option<(SlotRef, Word)> {
    let ports = u32::from(context.setup.settings.nat_ports);
    let cursor = maps::slot_cursor(server)?;
    // SAFETY: an element of the map, changed only by this operation and at start.
    let start = unsafe { atomic::fetch_add_u64(&raw mut (*cursor).position, 1) };
    if ports == 0 {
        return None;
    }
    let mut reset = None;
    for probe in 0..PROBES {
        let port = (start as u32).wrapping_add(probe) % ports;
        let slot = SlotRef::get(first_slot + port)?;
        let word = slot.word();
        if !slot.is_held(word, context) {
            let claimed = word.claimed();
            if slot.swap(word, claimed) {
                if probe > 0 {
                    // The slots that were not free are behind us, for the sake of the rotation.
                    // SAFETY: as above.
                    unsafe { atomic::fetch_add_u64(&raw mut (*cursor).position, u64::from(probe)) };
                }
                return Some((slot, claimed));
            }
        } else if word.state() == State::Closed {
            reset = Some((slot, word));
        }
    }
    let (slot, word) = reset?;
    let claimed = word.claimed();
    slot.swap(word, claimed).then_some((slot, claimed))
}
