//! Settings that the file format has and this version does not act on yet.

use super::draft::Draft;
use super::problem::{Place, Problem};

/// What is said of buttons on the page.
const ADMIN: &str = "this version's page changes nothing";

/// A warning for each setting that is accepted without an effect.
pub(super) fn warnings(draft: &Draft) -> Vec<Problem> {
    let admin = draft.stats.iter().filter_map(|stats| stats.value.admin.as_ref());
    admin.filter(|admin| admin.value).map(|admin| accepted(&admin.place, ADMIN, "use `xlb server`")).collect()
}

fn accepted(place: &Place, pending: &str, remedy: &str) -> Problem {
    place.problem(format!("accepted, but {pending}"), remedy)
}
