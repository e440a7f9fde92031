//! A server's health as HAProxy counts it.
//!
//! One counter says everything: a server is UP while it is at least `rise`, and a server in perfect
//! health has `rise + fall - 1`. A success adds one and a failure takes one away; crossing `rise`
//! jumps to the far end, so only results in a row ever get there. A server starts at `rise`
//! exactly: UP, because nothing is known against it, and one failure from DOWN.

use std::fmt;
use std::time::{Duration, Instant};

use super::Check;

/// What a check found; the names are HAProxy's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// The server accepted a connection.
    Passed,
    /// The server did not answer in time.
    TimedOut,
    /// The connection was refused or could not be tried, for the reason that the system gives.
    ConnectionProblem(String),
}

/// One check and its outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckResult {
    /// What it found.
    pub status: Status,
    /// How long it took.
    pub duration: Duration,
    /// When it ended.
    pub at: Instant,
}

/// A change between UP and DOWN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transition {
    /// The server may be used again.
    Up,
    /// The server may not be used any more.
    Down,
}

/// What is known about the health of one server.
///
/// Displayed as on HAProxy's page: `UP`, `UP 2/3` while failures bring it down, `DOWN`, and
/// `DOWN 1/2` while successes bring it up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    fall: u32,
    rise: u32,
    counter: u32,
    last_check: Option<CheckResult>,
    changed_at: Instant,
}

impl Status {
    /// The short name: `L4OK`, `L4TOUT` or `L4CON`.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Passed => "L4OK",
            Self::TimedOut => "L4TOUT",
            Self::ConnectionProblem(_) => "L4CON",
        }
    }

    /// The words for a person.
    #[must_use]
    pub const fn description(&self) -> &'static str {
        match self {
            Self::Passed => "Layer4 check passed",
            Self::TimedOut => "Layer4 timeout",
            Self::ConnectionProblem(_) => "Layer4 connection problem",
        }
    }

    /// What the system said, where it said anything.
    #[must_use]
    pub fn info(&self) -> Option<&str> {
        match self {
            Self::ConnectionProblem(message) => Some(message),
            Self::Passed | Self::TimedOut => None,
        }
    }
}

impl Health {
    /// A server that has not been checked yet.
    #[must_use]
    pub fn new(check: &Check, now: Instant) -> Self {
        let (fall, rise) = (check.fall.max(1), check.rise.max(1));
        Self { fall, rise, counter: rise, last_check: None, changed_at: now }
    }

    /// Takes a check into account and says whether it changed anything.
    pub fn record(&mut self, result: CheckResult) -> Option<Transition> {
        let was_up = self.is_up();
        self.counter =
            if result.status == Status::Passed { self.after_success() } else { self.after_failure() };
        let at = result.at;
        self.last_check = Some(result);
        if self.is_up() == was_up {
            return None;
        }
        self.changed_at = at;
        Some(if was_up { Transition::Down } else { Transition::Up })
    }

    /// Whether the server may be used.
    #[must_use]
    pub const fn is_up(&self) -> bool {
        self.counter >= self.rise
    }

    /// The latest check; none before the first.
    #[must_use]
    pub const fn last_check(&self) -> Option<&CheckResult> {
        self.last_check.as_ref()
    }

    /// When the server last went UP or DOWN; before that, when the checks began.
    #[must_use]
    pub const fn changed_at(&self) -> Instant {
        self.changed_at
    }

    const fn perfect(&self) -> u32 {
        self.rise.saturating_add(self.fall - 1)
    }

    const fn after_success(&self) -> u32 {
        if self.counter + 1 >= self.rise { self.perfect() } else { self.counter + 1 }
    }

    const fn after_failure(&self) -> u32 {
        if self.counter > self.rise { self.counter - 1 } else { 0 }
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.counter == self.perfect() {
            f.write_str("UP")
        } else if self.is_up() {
            write!(f, "UP {}/{}", self.counter - self.rise + 1, self.fall)
        } else if self.counter == 0 {
            f.write_str("DOWN")
        } else {
            write!(f, "DOWN {}/{}", self.counter, self.rise)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn health(fall: u32, rise: u32) -> Health {
        let second = Duration::from_secs(1);
        Health::new(&Check { interval: second, timeout: second, fall, rise }, Instant::now())
    }

    fn result(passed: bool) -> CheckResult {
        let status =
            if passed { Status::Passed } else { Status::ConnectionProblem("Connection refused".into()) };
        CheckResult { status, duration: Duration::ZERO, at: Instant::now() }
    }

    /// The rule in the words of HAProxy's manual: whether a server with this history is UP.
    fn is_up_by_the_manual(fall: u32, rise: u32, history: &[bool]) -> bool {
        let (mut up, mut in_a_row) = (true, 0);
        for (i, passed) in history.iter().enumerate() {
            in_a_row = if *passed == up { 0 } else { in_a_row + 1 };
            let needed = if !up {
                rise
            } else if i == 0 {
                1
            } else {
                fall
            };
            if in_a_row == needed {
                (up, in_a_row) = (!up, 0);
            }
        }
        up
    }

    proptest! {
        #[test]
        fn follows_the_manual(fall in 1u32..5, rise in 1u32..5, history: Vec<bool>) {
            let mut health = health(fall, rise);
            for n in 0..history.len() {
                let was_up = health.is_up();
                let transition = health.record(result(history[n]));
                let up = is_up_by_the_manual(fall, rise, &history[..=n]);
                prop_assert_eq!(health.is_up(), up);
                let expected = (up != was_up).then_some(if up { Transition::Up } else { Transition::Down });
                prop_assert_eq!(transition, expected);
            }
        }
    }

    #[test]
    fn shows_what_the_page_of_haproxy_shows() {
        let mut health = health(3, 3);
        let mut after = |passed| {
            health.record(result(passed));
            health.to_string()
        };
        let results = [true, false, false, false, true, true, false, true, true, true, false, true];
        let shown = results.map(&mut after);
        let expected = [
            "UP", "UP 2/3", "UP 1/3", "DOWN", "DOWN 1/3", "DOWN 2/3", "DOWN", "DOWN 1/3", "DOWN 2/3", "UP",
            "UP 2/3", "UP",
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn nothing_is_held_against_an_unchecked_server() {
        let health = health(3, 2);
        assert!(health.is_up());
        assert_eq!(health.last_check(), None);
        assert_eq!(health.to_string(), "UP 1/3");
    }

    #[test]
    fn the_time_of_change_is_that_of_the_check_that_changed_it() {
        let mut health = health(2, 1);
        let first = health.changed_at();
        health.record(result(true));
        assert_eq!(health.changed_at(), first);
        health.record(result(false));
        let last = result(false);
        health.record(last.clone());
        assert_eq!(health.changed_at(), last.at);
        assert_eq!(health.last_check(), Some(&last));
    }
}
