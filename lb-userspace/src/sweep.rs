//! Clears away connections that have expired without anybody's notice.
//!
//! The data plane does not need it: an expired slot is taken in place. But until then it counts
//! among the established connections of its frontend, of which there may be a limit.

use lb_common::tcp::{Fins, State};
use lb_common::time::Tick;

use crate::dataplane::Error;
use crate::dataplane::maps::Maps;

/// Frees the slots of established connections that have expired by `now`, the data plane's time,
/// and returns how many there were.
pub fn sweep(maps: &Maps, now: Tick) -> Result<u64, Error> {
    let states = maps.slots.states()?;
    let setup = maps.setup.get();
    let mut freed = 0;
    for (number, slot) in states.view().used() {
        let (word, frontend) = (slot.word(), slot.tuple.frontend());
        let expired = !word.is_live(slot.last_seen, now, &setup.frontend(frontend).timeouts);
        let is_forgotten = word.state() == State::Established && expired;
        if is_forgotten && states.swap(number, word, word.with(State::Free, Fins::NONE)) {
            maps.occupancy.remove_one(frontend);
            freed += 1;
        }
    }
    Ok(freed)
}
