//! Connection slots in map memory: reading, claiming, giving back.
//!
//! A slot's state word changes only by compare-and-swap. Its other fields are written by the CPU
//! that claimed it, before the word says so; later each side's numbers are written only by that
//! side's packets, which a NIC hands to one CPU at a time. The time of the last packet and the
//! counters may lose an update when two packets of one direction do meet, which harms nobody.

use core::mem::offset_of;

use aya_ebpf::helpers::generated::bpf_ktime_get_ns;
use lb_common::ending::How;
use lb_common::frontend::Timeouts;
use lb_common::index::Tuple;
use lb_common::reuse::{Past, Stamp};
use lb_common::server::Cursor;
use lb_common::slot::{Details, Slot, Word};
use lb_common::tcp::{Fins, Seq, State};
use lb_common::time::{Tick, Ticks};

use crate::{Context, admission, atomic, ending, maps};

/// The number of a slot: a result with it fits a register, one with a [`SlotRef`] the stack.
pub type SlotNumber = u32;

/// How many slots a new connection may try: so many, and as many as the second if any of those is of a
/// connection that is over, since then others may be whose server lets it in.
const FEW_PROBES: u32 = 16;
const PROBES: u32 = 48;

/// How long a connection that is over must have been quiet before its port is used again. What was under
/// way has arrived by then, and what another CPU still does with its last packet is done.
const REST: Ticks = Ticks(2);

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

    /// The state word and the time of the last packet as they are now.
    ///
    /// One load: a word that was just published, paired with the time of the slot's former
    /// connection, would look expired.
    #[inline(always)]
    #[must_use]
    pub fn head(&self) -> (Word, Tick) {
        const { assert!(offset_of!(Slot, word) == 0 && offset_of!(Slot, last_seen) == 4) };
        // SAFETY: as in `fields`, and a slot is aligned; volatile, because other CPUs change it.
        let head = unsafe { self.slot.cast::<u64>().read_volatile() }.to_le();
        (Word(head as u32), Tick((head >> 32) as u32))
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

    /// Gives the slot up to whoever takes its connection's tuple, if its state is still `word`. The server of
    /// a connection that is over may still remember it.
    #[inline(always)]
    #[must_use]
    pub fn leave(&self, word: Word) -> bool {
        if word.state() == State::TimeWait {
            return self.swap(word, word.with(State::Left, word.fins()));
        }
        self.release(word)
    }

    /// The slot's state, if a connection of this tuple and generation holds it.
    #[inline(always)]
    #[must_use]
    pub fn holding(&self, tuple: Tuple, generation: u16, now: Tick, timeouts: &Timeouts) -> Word {
        let (word, last_seen) = self.head();
        let holds = word.generation() == generation
            && self.fields().tuple == tuple
            && word.state() != State::Abandoned
            && word.is_live(last_seen, now, timeouts);
        // Not an `Option`; see `index::Found`.
        if holds { word } else { Word(0) }
    }

    /// Whether some connection holds the slot, by its own frontend's timeouts; and its state.
    #[inline(always)]
    #[must_use]
    pub fn is_held(&self, context: &Context) -> (bool, Word) {
        let (word, last_seen) = self.head();
        let frontend = context.setup.frontend(self.fields().tuple.frontend());
        (word.is_live(last_seen, context.now, &frontend.timeouts), word)
    }

    /// Whether the slot's connection, which both sides have closed, is over, and its server takes another
    /// by the same port.
    #[inline(always)]
    fn lets_in(&self, word: Word, seq: Seq, stamp: Stamp) -> bool {
        let Some(details) = self.details() else { return false };
        let past = Past { fins: word.fins(), sides: &self.fields().sides, stamp: details.stamp };
        past.lets_in(seq, stamp)
    }
}

/// Claims a slot of a server for a new connection with a client's number and timestamp.
///
/// The slots are tried in rotation, so that a port rests as long as possible before its next
/// connection. Should the next one be held, the others to be tried are far from it, because long
/// connections that began together hold neighbouring slots. The first one is taken that is free, that
/// has expired, or whose last connection is over and the server is known to take the new one; if none
/// is found, the one that is missed the least.
#[inline(always)]
#[must_use]
pub fn claim(server: u16, seq: Seq, stamp: Stamp) -> Claim {
    WordAnd(claim_slot(server.into(), seq.0, stamp.0))
}

/// [`claim`], global to the kernel, so that the verifier follows it once; see [`appraise`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn claim_slot(server: u32, seq: u32, stamp: u32) -> u64 {
    claimed(server as u16, Seq(seq), Stamp(stamp)).unwrap_or(NOT_CLAIMED).0
}

#[inline(always)]
fn claimed(server: u16, seq: Seq, stamp: Stamp) -> Option<Claim> {
    let context = Context::now()?;
    let first_slot = context.setup.server(server).first_slot;
    let ports = context.setup.settings.slots_of_server();
    let cursor = maps::slot_cursor(server)?;
    // SAFETY: an element of the map, changed only by this operation and at start.
    let turn = unsafe { atomic::fetch_add_u64(&raw mut (*cursor).position, 1) };
    if ports == 0 {
        return None;
    }
    // The first few are spread over all ports, the others lie between them.
    let stride = ports / FEW_PROBES + 1;
    let mut cheapest = Candidate { slot: 0, offer: NOT_OFFERED };
    for probe in 0..PROBES {
        if probe == FEW_PROBES && cheapest.offer.number() > price::MOST_OF_THOSE_OVER {
            break;
        }
        let port = (turn as u32).wrapping_add(probe * stride) % ports;
        let slot = first_slot + port;
        let offer = WordAnd(appraise(slot, context.now.0, seq.0, stamp.0));
        if offer.number() == price::NOTHING {
            if let Some(claim) = take(slot, offer.word()) {
                return Some(claim);
            }
        } else if offer.number() < cheapest.offer.number() {
            cheapest = Candidate { slot, offer };
        }
    }
    if cheapest.offer == NOT_OFFERED {
        return None;
    }
    take(cheapest.slot, cheapest.offer.word())
}

/// Fetches the slot that [`claim`] is likely to find for a server into the cache, and its details.
#[inline(always)]
pub fn foresee(context: &Context, server: u16) {
    let ports = context.setup.settings.slots_of_server();
    let Some(cursor) = maps::slot_cursor(server) else { return };
    // SAFETY: an element of the map.
    let Some(port) = (unsafe { position(cursor) } as u32).checked_rem(ports) else { return };
    let Some(slot) = SlotRef::get(context.setup.server(server).first_slot + port) else { return };
    let _ = slot.head();
    if let Some(details) = slot.details() {
        // SAFETY: a reference may be read through; volatile, or nothing would be read.
        unsafe { (&raw const details.opened_at).read_volatile() };
    }
}

/// A position as it is now.
///
/// # Safety
///
/// `cursor` is a whole element of a map.
#[inline(always)]
#[must_use]
pub unsafe fn position(cursor: *mut Cursor) -> u64 {
    // SAFETY: the caller's promise; volatile, because other CPUs change it.
    unsafe { (&raw const (*cursor).position).read_volatile() }
}

/// Makes a field zero. Volatile, so that LLVM does not join several to a call of `memset`, which takes
/// stack: 512 bytes are all that functions that call each other have.
#[inline(always)]
pub fn clear(field: &mut u64) {
    // SAFETY: a reference may be written through.
    unsafe { core::ptr::from_mut(field).write_volatile(0) };
}

/// Writes what is known of a connection that begins, or whose client's attempts began at `since`, in ns.
#[inline(always)]
pub fn begin(details: &mut Details, since: u64, stamp: Stamp) {
    // SAFETY: the helper has no preconditions.
    details.opened_at = if since == 0 { unsafe { bpf_ktime_get_ns() } } else { since };
    details.redispatched = 0;
    details.told = 0;
    details.answered_after = 0;
    details.stamp = stamp;
    details.challenged = Seq(0);
    details.packets_high = [0; 2];
}

/// A slot's state word and a number that goes with it, in one register.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct WordAnd(pub u64);

impl WordAnd {
    const fn new(word: Word, number: u32) -> Self {
        Self((word.0 as u64) << 32 | number as u64)
    }

    /// The word.
    #[inline(always)]
    #[must_use]
    pub const fn word(self) -> Word {
        Word((self.0 >> 32) as u32)
    }

    /// The number.
    #[inline(always)]
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0 as u32
    }
}

/// A slot that was claimed: its word and its number.
pub type Claim = WordAnd;

/// No slot was claimed; a claimed one's word is never zero.
pub const NOT_CLAIMED: Claim = WordAnd(0);

/// A slot's word and its price.
type Offer = WordAnd;

/// The slot must not be taken.
const NOT_OFFERED: Offer = WordAnd::new(Word(0), u32::MAX);

/// A slot that could be taken away from its connection.
struct Candidate {
    slot: SlotNumber,
    offer: Offer,
}

/// Claims a slot, unless somebody else has done something to it.
#[inline(always)]
fn take(slot: SlotNumber, word: Word) -> Option<Claim> {
    let slot = SlotRef::get(slot)?;
    let claimed = word.claimed();
    if !slot.swap(word, claimed) {
        return None;
    }
    match word.state() {
        State::Established => {
            // It expired without anybody's notice.
            admission::count(slot.fields().tuple.frontend(), -1);
            ending::tell(slot, How::Idle);
        }
        State::SynSent => ending::tell(slot, How::Unanswered),
        _ => {}
    }
    Some(Claim::new(claimed, slot.number))
}

/// The [`Offer`] of a slot to a SYN with a number and a timestamp: it costs nothing if it is free, has
/// expired, or is over and its server lets the SYN in.
///
/// Global to the kernel, with numbers for arguments, so that the verifier (seen on 6.18) follows it once
/// and not for each slot that a connection may try, which is more than the million instructions
/// that it is ready to follow.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn appraise(slot: SlotNumber, now: u32, seq: u32, stamp: u32) -> u64 {
    let (Some(slot), Some(setup)) = (SlotRef::get(slot), maps::setup()) else { return NOT_OFFERED.0 };
    let (word, last_seen) = slot.head();
    let timeouts = &setup.frontend(slot.fields().tuple.frontend()).timeouts;
    let age = last_seen.age(Tick(now));
    let is_over = matches!(word.state(), State::TimeWait | State::Left) && age <= timeouts.time_wait;
    let is_free = if is_over {
        age >= REST && slot.lets_in(word, Seq(seq), Stamp(stamp))
    } else {
        !word.is_live(last_seen, Tick(now), timeouts)
    };
    let price = if is_free { Some(price::NOTHING) } else { price::of(word.state(), age) };
    price.map_or(NOT_OFFERED, |price| Offer::new(word, price)).0
}

/// What it costs to take a slot away from its connection.
mod price {
    use lb_common::tcp::State;
    use lb_common::time::Ticks;

    /// The price of a slot that nobody holds.
    pub const NOTHING: u32 = 0;

    /// By state, four bits each; see [`lb_common::frontend::Timeouts::of`] for why there is no `match`.
    const CLASSES: u64 = class(State::Closed, 1)
        | class(State::TimeWait, OVER)
        | class(State::Left, OVER)
        | class(State::SynSent, 3)
        | class(State::SynReceived, 3)
        | class(State::Abandoned, 3);
    const OVER: u64 = 2;

    /// Within a class the younger is the dearer; more than any age of such a connection.
    const OLDEST: u32 = (1 << 24) - 1;

    /// More than a slot costs whose connection is over.
    pub const MOST_OF_THOSE_OVER: u32 = (OVER as u32) << 24 | OLDEST;

    const fn class(state: State, class: u64) -> u64 {
        class << (state as u32 * 4)
    }

    /// The price of a slot in this state, last heard of so long ago; none where it must not be taken.
    ///
    /// A connection that is over gives way first, one whose server may still be in `TIME_WAIT` after
    /// those that were reset: if that server does not take the new one, it is offered to another. Then
    /// half-open ones, the oldest first, as a flood makes them; who really wants to connect has
    /// answered within a round trip.
    #[inline(always)]
    pub fn of(state: State, age: Ticks) -> Option<u32> {
        let class = (CLASSES >> (state as u32 * 4) & 0xf) as u32;
        if class == 0 { None } else { Some(class << 24 | (OLDEST - (age.0 & OLDEST))) }
    }
}
