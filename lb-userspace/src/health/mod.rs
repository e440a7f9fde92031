//! Health checks: what HAProxy's `check inter … fall … rise …`, `option httpchk` and `observe layer4`
//! do, in its words.
//!
//! [`Checker`] runs one task per server and reports every result as an [`Event`]. What a result means
//! for a server is decided in [`state`], what clients' failed connects mean in [`connects`], and
//! whether a server is really dead, or only out of our sight, in [`evidence`]. How a change of state
//! reads in the log is in [`report`]. A check over HTTPS is an exchange ([`https`]) on top of a
//! session ([`tls`]).

mod certificate;
mod check;
mod checker;
mod connects;
pub mod evidence;
pub mod https;
pub mod report;
pub mod state;
pub mod tls;

use std::net::SocketAddrV4;
use std::sync::Arc;
use std::time::Duration;

pub use certificate::{ExpiryWarning, ExpiryWatch};
pub(crate) use check::message;
pub use checker::{Checker, Event, Target};
pub use evidence::{Evidence, Verdict};
pub use https::Page;
pub use state::{CheckResult, Health, Status, Transition};
pub use tls::Tls;

/// How a server is checked.
#[derive(Clone, Debug)]
pub struct Check {
    /// What a check does.
    pub probe: Probe,
    /// From the start of one check to the start of the next; not zero.
    pub interval: Duration,
    /// How long the server may take to answer.
    pub timeout: Duration,
    /// How many failures in a row take a server DOWN that has passed a check; at least 1.
    pub fall: u32,
    /// How many successes in a row bring a server that is DOWN back; at least 1.
    pub rise: u32,
    /// How many failed connects of clients in a row take a server DOWN; any number without.
    pub error_limit: Option<u32>,
}

/// What a check does.
#[derive(Clone, Debug)]
pub enum Probe {
    /// Opens a TCP connection and resets it.
    Tcp,
    /// Asks for a page.
    Https(Arc<Page>),
}

/// Checks a server once.
pub(crate) async fn try_once(server: SocketAddrV4, how: Check) -> CheckResult {
    check::run(server, how).await
}

impl Probe {
    /// Whether the server shows its certificate.
    #[must_use]
    pub const fn sees_certificate(&self) -> bool {
        matches!(self, Self::Https(_))
    }
}
