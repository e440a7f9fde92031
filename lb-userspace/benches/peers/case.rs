//! What is measured.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use lb_lab::{Host, Lab};

use crate::peer::Peer;
use crate::support::cpu;
use crate::support::tools::{self, Requests};

/// Streams of the case with many.
const STREAMS: &str = "8";
/// The pace of a paced stream.
const PACE: &str = "800M";
/// What each of wrk's 32 connections waits before a request where the rate is fixed. Far enough below what any
/// peer can do, and far enough above what an idle machine does anyway.
const PAUSE_OF_CONNECTIONS: Duration = Duration::from_millis(8);
const PAUSE_OF_REQUESTS: Duration = Duration::from_millis(2);

/// One kind of traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Case {
    /// New connections, each with one request, as many as possible.
    Connections,
    /// Requests over connections that stay, as many as possible.
    Requests,
    /// The same at a fixed rate.
    PacedConnections,
    PacedRequests,
    /// Bytes towards the client, or from it.
    Bulk {
        down: bool,
        kind: Kind,
    },
}

/// How bytes are moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// By one stream, as fast as it can.
    One,
    /// By many.
    Many,
    /// By one stream at a fixed rate.
    Paced,
}

/// What was measured once.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sample {
    /// Connections, requests or gigabytes a second.
    pub rate: f64,
    /// Milliseconds that half of the requests, and all but a hundredth, took at most.
    pub latency: Option<(f64, f64)>,
    /// CPU seconds of the whole machine for each of them.
    pub cpu: f64,
    /// Connections that failed, and requests without an answer.
    pub errors: u64,
}

impl Case {
    /// All of them, in the order of the tables.
    pub const ALL: [Self; 10] = [
        Self::Connections,
        Self::Requests,
        Self::PacedConnections,
        Self::PacedRequests,
        Self::bulk(true, Kind::One),
        Self::bulk(false, Kind::One),
        Self::bulk(true, Kind::Many),
        Self::bulk(false, Kind::Many),
        Self::bulk(true, Kind::Paced),
        Self::bulk(false, Kind::Paced),
    ];

    /// One of each kind.
    pub const QUICK: [Self; 3] = [Self::PacedConnections, Self::PacedRequests, Self::bulk(true, Kind::One)];

    /// Bytes towards the client, or from it.
    pub const fn bulk(down: bool, kind: Kind) -> Self {
        Self::Bulk { down, kind }
    }

    /// Makes this traffic through a peer that runs in the lab.
    pub fn measure(self, lab: &Lab, peer: Peer, duration: Duration) -> Result<Sample> {
        let client = &lab.lan_clients[0];
        let before = cpu::busy()?;
        let (count, seconds, latency, errors) = match self {
            Self::Bulk { down, kind } => {
                let tools::Bulk { bytes, seconds } = kind.run(client, peer.bulk(lab), duration, down)?;
                (bytes / 1e9, seconds, None, 0)
            }
            requests => {
                let keep_alive = matches!(requests, Self::Requests | Self::PacedRequests);
                let pause = match requests {
                    Self::PacedConnections => Some(PAUSE_OF_CONNECTIONS),
                    Self::PacedRequests => Some(PAUSE_OF_REQUESTS),
                    _ => None,
                };
                let Requests { count, seconds, p50, p99, errors } =
                    tools::wrk(client, peer.web(lab), duration, keep_alive, pause)?;
                (count, seconds, Some((p50, p99)), errors)
            }
        };
        let cpu = (cpu::busy()? - before) / count;
        Ok(Sample { rate: count / seconds, latency, cpu, errors })
    }

    /// What the CPU's share is counted by, and how many of them.
    pub const fn unit(self) -> (&'static str, f64) {
        match self {
            Self::Connections | Self::PacedConnections => ("10k connections", 10_000.0),
            Self::Requests | Self::PacedRequests => ("10k requests", 10_000.0),
            Self::Bulk { .. } => ("GB", 1.0),
        }
    }

    /// Whether the rate is the case's own, so that only its cost can be compared.
    pub const fn is_paced(self) -> bool {
        matches!(self, Self::PacedConnections | Self::PacedRequests | Self::Bulk { kind: Kind::Paced, .. })
    }

    /// Its title.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Connections => "new connections",
            Self::Requests => "requests over connections that stay",
            Self::PacedConnections => "new connections at a fixed rate",
            Self::PacedRequests => "requests at a fixed rate",
            Self::Bulk { down: true, kind: Kind::One } => "bulk to the client, one stream",
            Self::Bulk { down: false, kind: Kind::One } => "bulk to the server, one stream",
            Self::Bulk { down: true, kind: Kind::Many } => "bulk to the client, 8 streams",
            Self::Bulk { down: false, kind: Kind::Many } => "bulk to the server, 8 streams",
            Self::Bulk { down: true, kind: Kind::Paced } => "bulk to the client at 800 Mbit/s",
            Self::Bulk { down: false, kind: Kind::Paced } => "bulk to the server at 800 Mbit/s",
        }
    }
}

impl Kind {
    /// Moves bytes towards the client, or from it.
    fn run(self, client: &Host, target: SocketAddr, duration: Duration, down: bool) -> Result<tools::Bulk> {
        let mut more = match self {
            Self::One => vec![],
            Self::Many => vec!["-P", STREAMS],
            Self::Paced => vec!["-b", PACE],
        };
        if down {
            more.push("-R");
        }
        tools::iperf(client, target, duration, &more)
    }
}
