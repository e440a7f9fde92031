//! Settings that the file format has and this version does not act on yet.

use super::draft::Draft;
use super::problem::{Place, Problem};

/// What is said of the statistics page.
pub(super) const STATS: &str = "this version does not serve a statistics page yet";
/// What is said of the log.
pub(super) const LOG: &str = "this version does not write to syslog yet";

/// A warning for each setting that is accepted without an effect.
pub(super) fn warnings(draft: &Draft) -> Vec<Problem> {
    let stats = draft.stats.iter().map(|stats| accepted(&stats.place, STATS, "use `xlb stats`"));
    let log = draft.log.iter().map(|log| accepted(&log.place, LOG, "see the agent's own log"));
    stats.chain(log).collect()
}

fn accepted(place: &Place, pending: &str, remedy: &str) -> Problem {
    place.problem(format!("accepted, but {pending}"), remedy)
}
