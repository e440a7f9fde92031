//! Clears away connections that have expired without anybody's notice.
//!
//! The data plane does not need it: an expired slot is taken in place. But until then it counts
//! among the established connections of its frontend, of which there may be a limit. On the way all that
//! are established are counted, and the program's own count is put right where an agent that was killed
//! has left it wrong.

use lb_common::ending::{Ending, How};
use lb_common::frontend::MAX_FRONTENDS;
use lb_common::tcp::{Fins, State};
use lb_common::time::{Tick, Ticks};

use crate::clock;
use crate::dataplane::Error;
use crate::dataplane::maps::Maps;

/// What was found of one frontend's established connections.
#[derive(Clone, Copy, Default)]
struct Found {
    /// What the program had counted before.
    counted: i64,
    /// Those that live.
    live: i64,
    /// Those that had expired, and were freed.
    freed: i64,
}

/// Frees the slots of connections that have expired by `now`, the data plane's time, and tells how they ended:
/// established ones, and those that no server has answered. Others have ended before, or have never begun.
pub fn sweep(maps: &Maps, now: Tick, mut ended: impl FnMut(Ending)) -> Result<(), Error> {
    let setup = maps.setup.get();
    let mut frontends = [Found::default(); MAX_FRONTENDS as usize];
    for (number, found) in (0..).zip(&mut frontends) {
        found.counted = maps.occupancy.counted(number);
    }
    for states in maps.slots.state_windows(maps.slots.numbers()) {
        let states = states?;
        for (number, slot) in states.view().used() {
            let (word, frontend) = (slot.word(), slot.tuple.frontend());
            let how = match word.state() {
                State::Established => How::Idle,
                State::SynSent => How::Unanswered,
                _ => continue,
            };
            let timeouts = &setup.frontend(frontend).timeouts;
            let found = &mut frontends[usize::from(frontend) % MAX_FRONTENDS as usize];
            let counts = i64::from(word.state() == State::Established);
            if word.is_live(slot.last_seen, now, timeouts) {
                found.live += counts;
                continue;
            }
            // Before the slot may be another's.
            let details = states.view().details(number);
            if !states.swap(number, word, word.with(State::Free, Fins::NONE)) {
                continue;
            }
            if counts > 0 {
                maps.occupancy.remove_one(frontend);
            }
            found.freed += counts;
            if let Some(details) = details {
                let overdue = slot.last_seen.age(now).0.saturating_sub(timeouts.of(word.state()).0);
                ended(Ending::of(&slot, &details, how, before(Ticks(overdue))));
            }
        }
    }
    for (number, Found { counted, live, freed }) in (0..).zip(frontends) {
        maps.occupancy.correct(number, counted - freed, live);
    }
    Ok(())
}

/// The time that was so long ago, in ns of `CLOCK_MONOTONIC`.
fn before(age: Ticks) -> u64 {
    clock::monotonic().saturating_sub(clock::jiffy().duration(age)).as_nanos() as u64
}
