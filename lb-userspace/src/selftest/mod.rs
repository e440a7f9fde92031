//! `xlb selftest`: tries what can be tried from the balancer's own host, and says what works.
//!
//! [`dataplane`] looks at what is pinned and attached, [`host`] at the host around it, [`connect`]
//! makes connections, [`elsewhere`] names what has to be tried from other hosts. The only packets that
//! any of them causes are those of TCP connections to the configured frontends and servers.

mod connect;
mod dataplane;
mod elsewhere;
mod host;
mod show;

use std::fmt;

use serde::Serialize;

use crate::dataplane::Error;
use crate::dataplane::maps::Maps;
use crate::dataplane::pins::Pins;
use crate::neighbours::Interface;
use crate::observe::Observer;
use crate::stats::Snapshot;

pub use show::{json, table};

/// Something that was tried or looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What it belongs to.
    pub area: Area,
    /// What it is about, such as a frontend and its address.
    pub subject: String,
    /// What came of it.
    pub outcome: Outcome,
    /// The same in words; of a failure, what to do about it.
    pub detail: String,
}

/// What a check belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Area {
    /// Programs, maps and agent.
    DataPlane,
    /// The health of a server.
    Server,
    /// What the host around has to be like.
    Host,
    /// A connection from this host to a server, past the frontends.
    Direct,
    /// A connection from this host to a frontend.
    Local,
    /// A connection that cannot be tried from this host.
    Elsewhere,
}

/// What came of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It works.
    Ok,
    /// It does not.
    Failed,
    /// Something to know, or to try elsewhere.
    Note,
}

impl Check {
    fn new(area: Area, subject: impl Into<String>, outcome: Outcome, detail: impl Into<String>) -> Self {
        Self { area, subject: subject.into(), outcome, detail: detail.into() }
    }
}

impl fmt::Display for Area {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DataPlane => "data plane",
            Self::Server => "server",
            Self::Host => "host",
            Self::Direct => "to server",
            Self::Local => "local client",
            Self::Elsewhere => "elsewhere",
        })
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok => "ok",
            Self::Failed => "FAILED",
            Self::Note => "note",
        })
    }
}

/// What the checks look at.
struct Scene<'s> {
    pins: &'s Pins,
    /// The eBPF object that this `xlb` brings along.
    object: &'s [u8],
    maps: Maps,
    snapshot: Snapshot,
    interface: Result<Interface, crate::neighbours::Error>,
}

/// Does everything, in an order in which the first failure explains later ones.
///
/// # Errors
///
/// When there is no data plane, or one of another version.
pub async fn run(pins: &Pins, object: &[u8]) -> Result<Vec<Check>, Error> {
    let (maps, _) = pins.open()?;
    let snapshot = Observer::open(pins)?.snapshot()?;
    let interface = Interface::lookup(&snapshot.interface).await;
    let scene = Scene { pins, object, maps, snapshot, interface };
    let mut checks = dataplane::checks(&scene);
    checks.extend(host::checks(&scene));
    checks.extend(connect::checks(&scene));
    checks.extend(elsewhere::checks(&scene));
    Ok(checks)
}

/// How many checks failed.
#[must_use]
pub fn failures(checks: &[Check]) -> usize {
    checks.iter().filter(|check| check.outcome == Outcome::Failed).count()
}
