//! Clears away connections that have expired without anybody's notice.
//!
//! The data plane does not need it: an expired slot is taken in place. But until then it counts
//! among the established connections of its frontend, of which there may be a limit. On the way all that
//! are established are counted, and the program's own count is put right where an agent that was killed
//! has left it wrong.

use lb_common::frontend::MAX_FRONTENDS;
use lb_common::tcp::{Fins, State};
use lb_common::time::Tick;

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

/// Frees the slots of established connections that have expired by `now`, the data plane's time,
/// and returns how many there were.
pub fn sweep(maps: &Maps, now: Tick) -> Result<u64, Error> {
    let setup = maps.setup.get();
    let mut frontends = [Found::default(); MAX_FRONTENDS as usize];
    for (number, found) in (0..).zip(&mut frontends) {
        found.counted = maps.occupancy.counted(number);
    }
    for states in maps.slots.state_windows(maps.slots.numbers()) {
        let states = states?;
        for (number, slot) in states.view().used() {
            let (word, frontend) = (slot.word(), slot.tuple.frontend());
            if word.state() != State::Established {
                continue;
            }
            let found = &mut frontends[usize::from(frontend) % MAX_FRONTENDS as usize];
            if word.is_live(slot.last_seen, now, &setup.frontend(frontend).timeouts) {
                found.live += 1;
            } else if states.swap(number, word, word.with(State::Free, Fins::NONE)) {
                maps.occupancy.remove_one(frontend);
                found.freed += 1;
            }
        }
    }
    for (number, Found { counted, live, freed }) in (0..).zip(frontends) {
        maps.occupancy.correct(number, counted - freed, live);
    }
    Ok(frontends.iter().map(|found| found.freed.unsigned_abs()).sum())
}
