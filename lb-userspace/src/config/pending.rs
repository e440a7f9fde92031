//! Settings that the file format has and this version does not act on yet.

use super::draft::Draft;
use super::problem::{Place, Problem};

/// What is said of buttons on the page.
const ADMIN: &str = "this version's page changes nothing";
/// What is said of the log.
pub(super) const LOG: &str = "this version does not write to syslog yet";

/// A warning for each setting that is accepted without an effect.
pub(super) fn warnings(draft: &Draft) -> Vec<Problem> {
    let log = draft.log.iter().map(|log| accepted(&log.place, LOG, "see the agent's own log"));
    let admin = draft.stats.iter().filter_map(|stats| stats.value.admin.as_ref());
    let admin = admin.filter(|admin| admin.value);
    log.chain(admin.map(|admin| accepted(&admin.place, ADMIN, "use `xlb server`"))).collect()
}

fn accepted(place: &Place, pending: &str, remedy: &str) -> Problem {
    place.problem(format!("accepted, but {pending}"), remedy)
}
