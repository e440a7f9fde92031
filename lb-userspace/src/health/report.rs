//! What the log says about a change of state: HAProxy's lines, so that whatever watches such a log
//! goes on working.

use std::fmt;

use super::{CheckResult, Transition};

/// A server went UP or DOWN; displayed as the line for the log.
#[derive(Clone, Copy, Debug)]
pub struct StateChange<'a> {
    /// The name of the backend.
    pub backend: &'a str,
    /// The name of the server.
    pub server: &'a str,
    /// Which way it went.
    pub transition: Transition,
    /// The check that decided.
    pub check: &'a CheckResult,
    /// How many servers of the backend are UP after the change.
    pub active: usize,
    /// How many backup servers of the backend are UP after the change.
    pub backup: usize,
    /// How many connections the server holds.
    pub sessions: u64,
}

/// A backend has lost its last server; displayed as the line for the log.
#[derive(Clone, Copy, Debug)]
pub struct NoServer<'a> {
    /// The name of the backend.
    pub backend: &'a str,
}

impl fmt::Display for StateChange<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { backend, server, transition, check, active, backup, sessions } = *self;
        let state = match transition {
            Transition::Up => "UP",
            Transition::Down => "DOWN",
        };
        write!(f, "Server {backend}/{server} is {state}, reason: {}", check.status.description())?;
        if let Some(code) = check.status.code() {
            write!(f, ", code: {code}")?;
        }
        if let Some(info) = check.status.info() {
            write!(f, ", info: \"{info}\"")?;
        }
        if check.status.is_of_check() {
            write!(f, ", check duration: {}ms", check.duration.as_millis())?;
        }
        f.write_str(". ")?;
        write!(f, "{active} active and {backup} backup servers ")?;
        // There is no queue here, so nothing is ever requeued or remaining.
        match transition {
            Transition::Up => f.write_str("online. 0 sessions requeued, 0 total in queue."),
            Transition::Down => {
                write!(f, "left. {sessions} sessions active, 0 requeued, 0 remaining in queue.")
            }
        }
    }
}

impl fmt::Display for NoServer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "backend {} has no server available!", self.backend)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::health::Status;
    use crate::health::state::Layer;

    fn line(transition: Transition, status: Status, duration: u64, active: usize) -> String {
        let (duration, at) = (Duration::from_millis(duration), Instant::now());
        let check = CheckResult { status, duration, at, certificate_expires: None };
        let (backend, server) = ("k8s-api-server", "bettley");
        StateChange { backend, server, transition, check: &check, active, backup: 0, sessions: 0 }.to_string()
    }

    // The expected lines are what HAProxy 2.6 wrote.

    #[test]
    fn down_for_a_connection_problem() {
        assert_eq!(
            line(Transition::Down, Status::ConnectionProblem("Connection refused".into()), 0, 2),
            "Server k8s-api-server/bettley is DOWN, reason: Layer4 connection problem, \
             info: \"Connection refused\", check duration: 0ms. 2 active and 0 backup servers left. \
             0 sessions active, 0 requeued, 0 remaining in queue."
        );
    }

    #[test]
    fn down_for_a_timeout() {
        assert_eq!(
            line(Transition::Down, Status::TimedOut(Layer::Connection), 2001, 0),
            "Server k8s-api-server/bettley is DOWN, reason: Layer4 timeout, check duration: 2001ms. \
             0 active and 0 backup servers left. 0 sessions active, 0 requeued, 0 remaining in queue."
        );
    }

    #[test]
    fn up_again() {
        assert_eq!(
            line(Transition::Up, Status::Connected, 0, 3),
            "Server k8s-api-server/bettley is UP, reason: Layer4 check passed, check duration: 0ms. \
             3 active and 0 backup servers online. 0 sessions requeued, 0 total in queue."
        );
    }

    #[test]
    fn down_for_a_wrong_status() {
        let status = Status::WrongStatus { code: 500, reason: "Internal Server Error".into() };
        assert_eq!(
            line(Transition::Down, status, 2, 2),
            "Server k8s-api-server/bettley is DOWN, reason: Layer7 wrong status, code: 500, \
             info: \"Internal Server Error\", check duration: 2ms. 2 active and 0 backup servers left. \
             0 sessions active, 0 requeued, 0 remaining in queue."
        );
    }

    #[test]
    fn down_for_failed_connects() {
        assert_eq!(
            line(Transition::Down, Status::ConnectsFailed(10), 0, 2),
            "Server k8s-api-server/bettley is DOWN, reason: Health analyze, info: \"Detected 10 consecutive \
             errors, last one was: L4 unsuccessful connection\". 2 active and 0 backup servers left. \
             0 sessions active, 0 requeued, 0 remaining in queue."
        );
    }

    #[test]
    fn no_server_left() {
        let line = NoServer { backend: "k8s-api-server" }.to_string();
        assert_eq!(line, "backend k8s-api-server has no server available!");
    }
}
