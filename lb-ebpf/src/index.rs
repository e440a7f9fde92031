//! The connection index in map memory.

use lb_common::frontend::Timeouts;
use lb_common::index::{BUCKET_ENTRIES, Bucket, Entry, Hash, Tuple};
use lb_common::slot::Word;
use lb_common::tcp::State;

use crate::slots::SlotRef;
use crate::{Context, atomic, maps};

/// The outcome of a search.
///
/// Not an `Option`: LLVM keeps the contents of a `None` undefined and may still copy them, which
/// the verifier (seen on 6.18) calls `R5 !read_ok`. Here every field always has a value.
#[derive(Clone, Copy)]
pub struct Found {
    /// The connection's slot; [`SlotRef::NONE`] if the tuple has none.
    pub slot: SlotRef,
    /// The slot's state.
    pub word: Word,
    /// Whether a bucket with room was met. Such a one has never sent anybody on to the next.
    has_room: bool,
}

impl Found {
    /// Nothing in a bucket that has room, or has not.
    const fn nothing(has_room: bool) -> Self {
        Self { slot: SlotRef::NONE, word: Word(0), has_room }
    }

    /// Whether the tuple has a connection.
    #[inline(always)]
    #[must_use]
    pub fn is_some(&self) -> bool {
        self.slot.is_some()
    }
}

/// Finds the live connection of a tuple.
#[inline(always)]
#[must_use]
pub fn find(context: &Context, tuple: Tuple, hash: Hash, timeouts: &Timeouts) -> Found {
    let buckets = context.setup.settings.buckets;
    let found = find_in(context, hash.first_bucket(buckets), tuple, hash, timeouts);
    if found.is_some() || found.has_room {
        return found;
    }
    find_in(context, hash.second_bucket(buckets), tuple, hash, timeouts)
}

#[inline(always)]
fn find_in(context: &Context, bucket: u32, tuple: Tuple, hash: Hash, timeouts: &Timeouts) -> Found {
    let Some(bucket) = maps::bucket(bucket) else { return Found::nothing(true) };
    for i in 0..BUCKET_ENTRIES {
        let entry = read(bucket, hash.place() + i);
        if entry == Entry::EMPTY {
            return Found::nothing(true);
        }
        if entry.tag() != hash.tag() {
            continue;
        }
        let Some(slot) = SlotRef::get(entry.slot()) else { continue };
        let word = slot.holding(tuple, entry.generation(), context.now, timeouts);
        if !matches!(word.state(), State::Free | State::Claimed) {
            return Found { slot, word, has_room: false };
        }
    }
    Found::nothing(false)
}

/// Enters a claimed slot; `false` when both buckets are full of live connections.
#[inline(always)]
#[must_use]
pub fn insert(context: &Context, hash: Hash, entry: Entry) -> bool {
    let buckets = context.setup.settings.buckets;
    insert_in(context, hash.first_bucket(buckets), hash, entry)
        || insert_in(context, hash.second_bucket(buckets), hash, entry)
}

#[inline(always)]
fn insert_in(context: &Context, bucket: u32, hash: Hash, entry: Entry) -> bool {
    let Some(bucket) = maps::bucket(bucket) else { return false };
    // An empty place first: to see that an entry no longer holds costs a look at its slot.
    for i in 0..BUCKET_ENTRIES {
        let place = hash.place() + i;
        if read(bucket, place) == Entry::EMPTY && replace(bucket, place, Entry::EMPTY, entry) {
            return true;
        }
    }
    for i in 0..BUCKET_ENTRIES {
        let place = hash.place() + i;
        let old = read(bucket, place);
        if !is_held(context, old) && replace(bucket, place, old, entry) {
            return true;
        }
    }
    false
}

/// Whether the entry's slot confirms it. One that was abandoned finds nothing any more, and one client
/// may have left many behind, all of them in its own two buckets.
#[inline(always)]
fn is_held(context: &Context, entry: Entry) -> bool {
    let Some(slot) = SlotRef::get(entry.slot()) else { return false };
    let (is_held, word) = slot.is_held(context);
    is_held && word.generation() == entry.generation() && !matches!(word.state(), State::Abandoned)
}

/// Whether `own`, just entered, is this tuple's only connection.
///
/// Two CPUs may open the same connection at the same moment; each enters its own slot and then
/// looks for the other's. A connection that is already published wins. Of two that are not, the
/// one in the lower place wins, by taking the other's slot away before it is published: the other
/// notices when it tries.
#[inline(always)]
#[must_use]
pub fn is_only(context: &Context, tuple: Tuple, hash: Hash, own: Entry, timeouts: &Timeouts) -> bool {
    let buckets = context.setup.settings.buckets;
    let mut look = Look { seen_own: false, has_room: false };
    if !look.is_only_in(context, hash.first_bucket(buckets), tuple, own, timeouts) {
        return false;
    }
    // A bucket that has room has never sent anybody on.
    look.has_room || look.is_only_in(context, hash.second_bucket(buckets), tuple, own, timeouts)
}

/// What a look for others' entries has come by.
struct Look {
    /// Our own entry: those after it are in higher places.
    seen_own: bool,
    /// An empty place.
    has_room: bool,
}

impl Look {
    #[inline(always)]
    fn is_only_in(
        &mut self,
        context: &Context,
        bucket: u32,
        tuple: Tuple,
        own: Entry,
        timeouts: &Timeouts,
    ) -> bool {
        let Some(bucket) = maps::bucket(bucket) else { return true };
        for place in 0..BUCKET_ENTRIES {
            let entry = read(bucket, place);
            if entry == own {
                self.seen_own = true;
                continue;
            }
            if entry == Entry::EMPTY {
                self.has_room = true;
                continue;
            }
            if entry.tag() != own.tag() {
                continue;
            }
            let Some(slot) = SlotRef::get(entry.slot()) else { continue };
            let word = slot.holding(tuple, entry.generation(), context.now, timeouts);
            if word.state() == State::Free {
                continue;
            }
            let we_win = self.seen_own && word.state() == State::Claimed && slot.release(word);
            if we_win {
                continue;
            }
            // Or its owner has given up just now.
            let word = slot.holding(tuple, entry.generation(), context.now, timeouts);
            if word.state() != State::Free {
                return false;
            }
        }
        true
    }
}

#[inline(always)]
fn read(bucket: *mut Bucket, place: usize) -> Entry {
    // SAFETY: a place of a whole element of the map; volatile, because other CPUs change it.
    Entry(unsafe { (&raw const (*bucket).entries[place % BUCKET_ENTRIES]).read_volatile() })
}

#[inline(always)]
fn replace(bucket: *mut Bucket, place: usize, old: Entry, new: Entry) -> bool {
    // SAFETY: as in `read`; entries are changed nowhere else.
    unsafe { atomic::swap_u64(&raw mut (*bucket).entries[place % BUCKET_ENTRIES], old.0, new.0) }
}
