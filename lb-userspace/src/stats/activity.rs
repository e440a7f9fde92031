//! What the agent has done and seen since it started, and no map tells.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lb_common::ending::How;

use super::{Average, Histogram};
use crate::dataplane::status::Status;

/// What is known of all frontends, backends and servers, by their names.
#[derive(Clone, Debug, Default)]
pub struct Activity {
    ring_switches: BTreeMap<String, u64>,
    backends: BTreeMap<String, BackendActivity>,
}

/// What is known of a backend.
#[derive(Clone, Debug, Default)]
struct BackendActivity {
    sessions: Sessions,
    servers: BTreeMap<String, ServerActivity>,
}

/// What is known of a server.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServerActivity {
    /// How its connections have ended, as far as ends are told.
    pub sessions: Sessions,
    /// How long its checks took.
    pub checks: Histogram,
    /// Connections that were reset because it went DOWN.
    pub reset_for_health: u64,
    /// Connections that were reset by the operator's word.
    pub reset_by_operator: u64,
    /// Whether its next hop answers; none while nobody knows.
    pub next_hop_answers: Option<bool>,
    /// How many percent of its share it gets, while it starts slowly.
    pub throttle: Option<u32>,
}

/// Connections that have ended. Only those are known of which the program tells, which it does for the log.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sessions {
    /// From the client's SYN to the server's answer, of those that were answered.
    pub connect: Average,
    /// From the client's SYN to the end, of the same.
    pub total: Average,
    /// Those that clients have ended.
    pub client_aborts: u64,
    /// Those that servers have ended.
    pub server_aborts: u64,
}

/// A connection that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session {
    /// How.
    pub how: How,
    /// How long after the client's SYN the server's answer came; none if it never did.
    pub connected_after: Option<Duration>,
    /// How long after it the connection ended.
    pub total: Duration,
}

impl Activity {
    /// A frontend's ring was replaced so often.
    pub fn set_ring_switches(&mut self, frontend: &str, switches: u64) {
        *entry(&mut self.ring_switches, frontend) = switches;
    }

    /// How often a frontend's ring was replaced.
    #[must_use]
    pub fn ring_switches(&self, frontend: &str) -> u64 {
        self.ring_switches.get(frontend).copied().unwrap_or_default()
    }

    /// A connection of a backend has ended, at a server if it had one.
    pub fn ended(&mut self, backend: &str, server: Option<&str>, session: &Session) {
        let backend = entry(&mut self.backends, backend);
        backend.sessions.take(session);
        if let Some(server) = server {
            entry(&mut backend.servers, server).sessions.take(session);
        }
    }

    /// The connections of a backend that have ended.
    #[must_use]
    pub fn sessions(&self, backend: &str) -> Sessions {
        self.backends.get(backend).map(|backend| backend.sessions).unwrap_or_default()
    }

    /// What is known of a server, to be added to.
    pub fn server_mut(&mut self, backend: &str, name: &str) -> &mut ServerActivity {
        entry(&mut entry(&mut self.backends, backend).servers, name)
    }

    /// What is known of a server.
    #[must_use]
    pub fn server(&self, backend: &str, name: &str) -> ServerActivity {
        self.backends.get(backend).and_then(|backend| backend.servers.get(name)).cloned().unwrap_or_default()
    }

    /// Lets the highest values begin anew.
    pub fn forget_highest(&mut self) {
        for backend in self.backends.values_mut() {
            backend.sessions.forget_longest();
            backend.servers.values_mut().for_each(|server| server.sessions.forget_longest());
        }
    }

    /// Forgets those that are not there any more.
    pub fn retain(&mut self, status: &Status) {
        let has_frontend = |name: &str| status.frontends.iter().any(|frontend| frontend.name == name);
        self.ring_switches.retain(|name, _| has_frontend(name));
        let servers = |backend: &str| {
            let of_backend = status.servers.iter().filter(move |server| server.backend == backend);
            of_backend.map(|server| server.name.clone()).collect::<Vec<_>>()
        };
        self.backends.retain(|name, backend| {
            let servers = servers(name);
            backend.servers.retain(|name, _| servers.contains(name));
            !servers.is_empty()
        });
    }
}

impl Sessions {
    /// Takes in one as HAProxy counts it: there are times of those that a server has answered, and a client that
    /// says nothing for too long has aborted its connection.
    fn take(&mut self, session: &Session) {
        if let Some(connected_after) = session.connected_after {
            self.connect.record(connected_after);
            self.total.record(session.total);
        }
        match session.how {
            How::ClientReset | How::Forgotten | How::Idle => self.client_aborts += 1,
            How::ServerReset => self.server_aborts += 1,
            // Attempts that fail are counted by the program; what the balancer ends is nobody's abort.
            How::Finished
            | How::Refused
            | How::NoServer
            | How::Unanswered
            | How::GivenUp
            | How::ServerDown
            | How::Killed => {}
        }
    }

    const fn forget_longest(&mut self) {
        self.connect.forget_longest();
        self.total.forget_longest();
    }
}

/// What a name has, from now on.
fn entry<'m, V: Default>(map: &'m mut BTreeMap<String, V>, name: &str) -> &'m mut V {
    // A connection's end has names that are nearly always there: no reason to copy them each time.
    if !map.contains_key(name) {
        map.insert(name.to_owned(), V::default());
    }
    map.get_mut(name).expect("it is there by now")
}

/// Where those who do something note it, and those who show it find it.
#[derive(Clone, Debug, Default)]
pub struct Ledger(Arc<Mutex<Activity>>);

impl Ledger {
    /// Notes something.
    pub fn note(&self, change: impl FnOnce(&mut Activity)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// What there is. Nothing is forgotten for a look: one that began before a reload knows nothing of those that
    /// came with it.
    #[must_use]
    pub fn look(&self) -> Activity {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKEND: &str = "k8s-api-server";

    fn session(how: How, connected_after: Option<u64>) -> Session {
        let total = Duration::from_secs(1);
        Session { how, connected_after: connected_after.map(Duration::from_millis), total }
    }

    #[test]
    fn only_what_a_server_has_answered_has_times() {
        let mut activity = Activity::default();
        activity.ended(BACKEND, Some("fenn"), &session(How::Finished, Some(8)));
        activity.ended(BACKEND, Some("fenn"), &session(How::Refused, None));
        activity.ended(BACKEND, None, &session(How::NoServer, None));
        for sessions in [activity.server(BACKEND, "fenn").sessions, activity.sessions(BACKEND)] {
            assert_eq!((sessions.connect.millis(), sessions.total.millis()), (8, 1_000));
        }
        activity.forget_highest();
        let sessions = activity.server(BACKEND, "fenn").sessions;
        assert_eq!((sessions.total.millis(), sessions.total.longest_millis()), (1_000, 0));
        assert_eq!(activity.sessions(BACKEND).total.longest_millis(), 0);
    }

    #[test]
    fn aborts_are_those_of_open_connections() {
        let mut activity = Activity::default();
        for how in How::ALL {
            activity.ended(BACKEND, Some("fenn"), &session(how, Some(1)));
        }
        let Sessions { client_aborts, server_aborts, .. } = activity.sessions(BACKEND);
        assert_eq!((client_aborts, server_aborts), (3, 1));
    }

    #[test]
    fn who_is_gone_is_forgotten_but_not_by_a_look() {
        let status = r#"{
            "pid": 1, "started": 1, "interface": "eth0", "mode": "native",
            "frontends": [
                {"number": 0, "bind": "198.18.0.10:6443", "name": "k8s-api-server", "backend": "k8s-api-server"}
            ],
            "servers": [{
                "number": 0, "address": "198.18.0.15:6443", "backend": "k8s-api-server", "name": "fenn",
                "weight": 1, "health": null
            }]
        }"#;
        let status: Status = serde_json::from_str(status).expect("a status");
        let ledger = Ledger::default();
        ledger.note(|activity| {
            activity.server_mut(BACKEND, "fenn").reset_for_health = 1;
            activity.server_mut(BACKEND, "gone").reset_for_health = 2;
            activity.server_mut("gone", "fenn").reset_for_health = 3;
            activity.set_ring_switches(BACKEND, 4);
            activity.set_ring_switches("gone", 5);
        });
        let resets = |activity: &Activity| {
            let names = [(BACKEND, "fenn"), (BACKEND, "gone"), ("gone", "fenn")];
            names.map(|(backend, name)| activity.server(backend, name).reset_for_health)
        };
        let switches = |activity: &Activity| [BACKEND, "gone"].map(|name| activity.ring_switches(name));
        let mut activity = ledger.look();
        assert_eq!((resets(&activity), switches(&activity)), ([1, 2, 3], [4, 5]));
        activity.retain(&status);
        assert_eq!((resets(&activity), switches(&activity)), ([1, 0, 0], [4, 0]));
    }
}
