//! Settings that the file format has and this version does not act on yet.

use super::draft::Draft;
use super::problem::{Place, Problem};

/// What is said of a limit on connections.
pub(super) const MAX_CONNECTIONS: &str = "this version does not limit connections yet";
/// What is said of a backup server.
pub(super) const BACKUP: &str =
    "this version does not hold servers back yet: the server gets connections like the others";
/// What is said of the statistics page.
pub(super) const STATS: &str = "this version does not serve a statistics page yet";
/// What is said of the log.
pub(super) const LOG: &str = "this version does not write to syslog yet";

/// A warning for each setting that is accepted without an effect.
pub(super) fn warnings(draft: &Draft) -> Vec<Problem> {
    let frontends = draft.frontends.iter().map(|frontend| &frontend.value);
    let limits = draft
        .max_connections
        .iter()
        .chain(frontends.filter_map(|frontend| frontend.max_connections.as_ref()));
    let servers = draft.backends.iter().flat_map(|backend| &backend.value.servers);
    let backups = servers.filter_map(|server| server.value.backup.as_ref()).filter(|backup| backup.value);
    let mut warnings: Vec<Problem> =
        limits.map(|limit| accepted(&limit.place, MAX_CONNECTIONS, "keep it for a later one")).collect();
    warnings.extend(backups.map(|backup| accepted(&backup.place, BACKUP, "set weight = 0 to keep it out")));
    warnings.extend(draft.stats.iter().map(|stats| accepted(&stats.place, STATS, "use `xlb stats`")));
    warnings.extend(draft.log.iter().map(|log| accepted(&log.place, LOG, "see the agent's own log")));
    warnings
}

fn accepted(place: &Place, pending: &str, remedy: &str) -> Problem {
    place.problem(format!("accepted, but {pending}"), remedy)
}
