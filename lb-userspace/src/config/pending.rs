//! Settings that the file format has and this version does not act on yet.

use super::draft::Draft;
use super::problem::{Place, Problem};

/// What is said of the statistics page.
pub(super) const STATS: &str = "this version does not serve a statistics page yet";

/// A warning for each setting that is accepted without an effect.
pub(super) fn warnings(draft: &Draft) -> Vec<Problem> {
    draft.stats.iter().map(|stats| accepted(&stats.place, STATS, "use `xlb stats`")).collect()
}

fn accepted(place: &Place, pending: &str, remedy: &str) -> Problem {
    place.problem(format!("accepted, but {pending}"), remedy)
}
