//! What no test on this host can tell, and how to try it where it can be tried.

use super::{Area, Check, Outcome, Scene};
use crate::stats::Frontend;

/// Kinds of clients, and where they are.
const CLIENTS: [(&str, &str); 3] = [
    ("client on the LAN", "on a host of the LAN"),
    ("client behind a router", "on a host of another network"),
    ("server as a client", "on each server, which may be balanced to itself"),
];

pub(super) fn checks(scene: &Scene) -> Vec<Check> {
    let of = |frontend: &Frontend| CLIENTS.map(|(kind, place)| check(frontend, kind, place));
    scene.snapshot.frontends.iter().flat_map(of).collect()
}

/// Says what to type there, with nothing but bash.
fn check(frontend: &Frontend, kind: &str, place: &str) -> Check {
    let (address, port) = (frontend.bind.ip(), frontend.bind.port());
    let detail = format!(
        "cannot be tried from here; {place}: `timeout 5 bash -c ': </dev/tcp/{address}/{port}' && echo works`"
    );
    Check::new(Area::Elsewhere, format!("{} {}, {kind}", frontend.name, frontend.bind), Outcome::Note, detail)
}
