//! A server's health as HAProxy counts it.
//!
//! One counter says everything: a server is UP while it is at least `rise`, and a server in perfect
//! health has `rise + fall - 1`. A success adds one and a failure takes one away; crossing `rise`
//! jumps to the far end, so only results in a row ever get there. A server starts at `rise`
//! exactly: UP, because nothing is known against it, and one failure from DOWN.

use std::borrow::Cow;
use std::fmt;
use std::time::{Duration, Instant, SystemTime};

use super::Check;
use crate::dataplane::status::Standing;

/// What a check found; the names are HAProxy's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// The server accepted a connection.
    Connected,
    /// The server answered with the status that is expected, which is this one.
    Answered(u16),
    /// The server did not get so far in time.
    TimedOut(Layer),
    /// The connection was refused or could not be tried, for the reason that the system gives.
    ConnectionProblem(String),
    /// There is no TLS session with the server, for this reason.
    NoSession(String),
    /// What the server answered is no HTTP, for this reason.
    InvalidAnswer(String),
    /// The server answered with another status than the one that is expected.
    WrongStatus {
        /// Which one.
        code: u16,
        /// The same in the server's words; may be empty.
        reason: String,
    },
    /// So many of clients' connects in a row have failed.
    ConnectsFailed(u32),
}

/// How far a check gets, by the layers of the OSI model as HAProxy counts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// The TCP connection.
    Connection,
    /// The TLS session.
    Session,
    /// The answer.
    Answer,
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
    /// When the server's certificate expires; none if the check did not get to see one.
    pub certificate_expires: Option<SystemTime>,
}

impl CheckResult {
    /// When it began.
    #[must_use]
    pub fn started(&self) -> Instant {
        self.at.checked_sub(self.duration).unwrap_or(self.at)
    }

    /// Whether it speaks for the server.
    #[must_use]
    pub const fn passed(&self) -> bool {
        matches!(self.status, Status::Connected | Status::Answered(_))
    }
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
    certificate_expires: Option<SystemTime>,
}

impl Status {
    /// The short name, such as `L4OK`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Connected => "L4OK",
            Self::Answered(_) => "L7OK",
            Self::TimedOut(Layer::Connection) => "L4TOUT",
            Self::TimedOut(Layer::Session) => "L6TOUT",
            Self::TimedOut(Layer::Answer) => "L7TOUT",
            Self::ConnectionProblem(_) => "L4CON",
            Self::NoSession(_) => "L6RSP",
            Self::InvalidAnswer(_) => "L7RSP",
            Self::WrongStatus { .. } => "L7STS",
            Self::ConnectsFailed(_) => "HANA",
        }
    }

    /// The words for a person.
    #[must_use]
    pub const fn description(&self) -> &'static str {
        match self {
            Self::Connected => "Layer4 check passed",
            Self::Answered(_) => "Layer7 check passed",
            Self::TimedOut(Layer::Connection) => "Layer4 timeout",
            Self::TimedOut(Layer::Session) => "Layer6 timeout",
            Self::TimedOut(Layer::Answer) => "Layer7 timeout",
            Self::ConnectionProblem(_) => "Layer4 connection problem",
            Self::NoSession(_) => "Layer6 invalid response",
            Self::InvalidAnswer(_) => "Layer7 invalid response",
            Self::WrongStatus { .. } => "Layer7 wrong status",
            Self::ConnectsFailed(_) => "Health analyze",
        }
    }

    /// The status of the server's answer, if it gave one.
    #[must_use]
    pub const fn code(&self) -> Option<u16> {
        match self {
            Self::Answered(code) | Self::WrongStatus { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// What the system or the server said, where it said anything.
    #[must_use]
    pub fn info(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::ConnectionProblem(message) | Self::NoSession(message) | Self::InvalidAnswer(message) => {
                Some(message.into())
            }
            Self::WrongStatus { reason, .. } => (!reason.is_empty()).then(|| reason.into()),
            Self::ConnectsFailed(count) => Some(
                format!("Detected {count} consecutive errors, last one was: L4 unsuccessful connection")
                    .into(),
            ),
            Self::Connected | Self::Answered(_) | Self::TimedOut(_) => None,
        }
    }

    /// Whether it is the outcome of a check, which takes some time.
    #[must_use]
    pub const fn is_of_check(&self) -> bool {
        !matches!(self, Self::ConnectsFailed(_))
    }
}

impl Health {
    /// A server that has not been checked yet.
    #[must_use]
    pub fn new(check: &Check, now: Instant) -> Self {
        let (fall, rise) = (check.fall.max(1), check.rise.max(1));
        Self { fall, rise, counter: rise, last_check: None, changed_at: now, certificate_expires: None }
    }

    /// A server that another agent knew to be UP or DOWN since `changed_at`, perhaps with a
    /// certificate: it takes `fall` failures or `rise` successes to change that.
    #[must_use]
    pub fn restored(
        check: &Check,
        up: bool,
        changed_at: Instant,
        certificate_expires: Option<SystemTime>,
    ) -> Self {
        let mut health = Self::new(check, changed_at);
        health.counter = if up { health.perfect() } else { 0 };
        health.certificate_expires = certificate_expires.filter(|_| check.probe.sees_certificate());
        health
    }

    /// Follows another check from now on. UP stays UP and DOWN stays DOWN, as far from the other as
    /// they can be of what they were. Of a certificate that is not looked at any more, nothing is
    /// known.
    pub fn change_check(&mut self, check: &Check) {
        self.certificate_expires = self.certificate_expires.filter(|_| check.probe.sees_certificate());
        let (was_up, missing) = (self.is_up(), self.perfect() - self.counter);
        (self.fall, self.rise) = (check.fall.max(1), check.rise.max(1));
        self.counter = if was_up {
            self.perfect().saturating_sub(missing).max(self.rise)
        } else {
            self.counter.min(self.rise - 1)
        };
    }

    /// Takes a check into account and says whether it changed anything.
    pub fn record(&mut self, result: CheckResult) -> Option<Transition> {
        let counter = if result.passed() { self.after_success() } else { self.after_failure() };
        self.take(result, counter)
    }

    /// Takes a server DOWN for another reason than its checks.
    pub fn mark_down(&mut self, result: CheckResult) -> Option<Transition> {
        self.take(result, 0)
    }

    /// The server is UP or DOWN from `now` on by the operator's word, as far from the other as it can be.
    pub fn set(&mut self, up: bool, now: Instant) {
        if self.is_up() != up {
            self.changed_at = now;
        }
        self.counter = if up { self.perfect() } else { 0 };
    }

    fn take(&mut self, result: CheckResult, counter: u32) -> Option<Transition> {
        let was_up = self.is_up();
        self.counter = counter;
        self.certificate_expires = result.certificate_expires.or(self.certificate_expires);
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

    /// When the certificate expires that the server showed last.
    #[must_use]
    pub const fn certificate_expires(&self) -> Option<SystemTime> {
        self.certificate_expires
    }

    /// When the server last went UP or DOWN; before that, when the checks began.
    #[must_use]
    pub const fn changed_at(&self) -> Instant {
        self.changed_at
    }

    /// Where it stands between DOWN and UP.
    #[must_use]
    pub const fn standing(&self) -> Standing {
        Standing { counter: self.counter, rise: self.rise, fall: self.fall }
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
    use crate::health::Probe;

    fn health(fall: u32, rise: u32) -> Health {
        Health::new(&check(fall, rise), Instant::now())
    }

    fn check(fall: u32, rise: u32) -> Check {
        let second = Duration::from_secs(1);
        Check { probe: Probe::Tcp, interval: second, timeout: second, fall, rise, error_limit: None }
    }

    fn result(passed: bool) -> CheckResult {
        let refused = || Status::ConnectionProblem("Connection refused".into());
        of(if passed { Status::Connected } else { refused() })
    }

    fn of(status: Status) -> CheckResult {
        CheckResult { status, duration: Duration::ZERO, at: Instant::now(), certificate_expires: None }
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

    proptest! {
        #[test]
        fn a_restored_server_needs_what_a_known_one_needs(
            fall in 1u32..5, rise in 1u32..5, up: bool, results: Vec<bool>,
        ) {
            let mut health = Health::restored(&check(fall, rise), up, Instant::now(), None);
            let needed = if up { fall } else { rise };
            let against = results.iter().take_while(|passed| **passed != up).count() as u32;
            for passed in results.iter().take(against as usize) {
                health.record(result(*passed));
            }
            // Only of interest up to the first change.
            if against <= needed {
                prop_assert_eq!(health.is_up(), up == (against < needed));
            }
        }

        #[test]
        fn another_check_changes_no_state(
            old in (1u32..5, 1u32..5), new in (1u32..5, 1u32..5), history: Vec<bool>,
        ) {
            let mut health = health(old.0, old.1);
            for passed in history {
                health.record(result(passed));
            }
            let (was_up, shown) = (health.is_up(), health.to_string());
            health.change_check(&check(new.0, new.1));
            prop_assert_eq!(health.is_up(), was_up);
            if ["UP", "DOWN"].contains(&shown.as_str()) {
                prop_assert_eq!(health.to_string(), shown);
            }
            health.change_check(&check(new.0, new.1));
            prop_assert_eq!(health.is_up(), was_up);
        }
    }

    #[test]
    fn failed_connects_take_a_server_down_that_passes_its_checks() {
        let mut health = health(3, 2);
        health.record(result(true));
        assert_eq!(health.to_string(), "UP");
        assert_eq!(health.mark_down(of(Status::ConnectsFailed(10))), Some(Transition::Down));
        assert_eq!(health.to_string(), "DOWN");
        assert_eq!(health.mark_down(of(Status::ConnectsFailed(10))), None);
        assert_eq!(health.record(result(true)), None);
        assert_eq!(health.record(result(true)), Some(Transition::Up));
    }

    #[test]
    fn a_certificate_is_remembered_while_none_is_seen() {
        let mut health = health(3, 2);
        let expires = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        health.record(CheckResult { certificate_expires: Some(expires), ..result(true) });
        health.record(result(false));
        assert_eq!(health.certificate_expires(), Some(expires));
    }

    #[test]
    fn a_certificate_is_known_as_long_as_checks_look_at_it() {
        let https = || {
            let tls = crate::health::Tls::with_anybody();
            let page = crate::health::Page { path: "/".into(), status: 200, server_name: None, tls };
            Check { probe: Probe::Https(page.into()), ..check(3, 2) }
        };
        let expires = Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000));
        let restored = |check: &Check| Health::restored(check, true, Instant::now(), expires);
        let mut health = restored(&https());
        assert_eq!(health.certificate_expires(), expires);
        health.change_check(&https());
        assert_eq!(health.certificate_expires(), expires);
        health.change_check(&check(3, 2));
        assert_eq!(health.certificate_expires(), None);
        assert_eq!(restored(&check(3, 2)).certificate_expires(), None);
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
