//! The host's traffic, and what is measured of it.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::figure::Figure;
use crate::site::Site;
use crate::support::cpu;
use crate::support::tools::{self, Bulk, Requests};

/// Requests that CPU time is counted by.
const REQUESTS: f64 = 10_000.0;

/// A kind of traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Traffic {
    /// One stream of bytes to the host.
    ToHost,
    /// One from it.
    FromHost,
    /// Requests to its web server over connections that stay.
    Requests,
}

/// What was measured once.
#[derive(Clone, Debug)]
pub struct Sample {
    pub figures: Vec<(Figure, f64)>,
    /// Bytes in a packet, as IP was given it. With GRO it is longer than what the wire carries.
    pub packet: f64,
    /// Connections that failed, and requests without an answer.
    pub errors: u64,
}

/// What was done.
struct Work {
    figures: Vec<(Figure, f64)>,
    /// What CPU time is counted by, and as which figure.
    units: f64,
    cpu: Figure,
    errors: u64,
}

impl Traffic {
    /// All of it.
    pub const ALL: [Self; 3] = [Self::ToHost, Self::FromHost, Self::Requests];

    /// Makes it for so long.
    pub fn measure(self, site: &Site, duration: Duration) -> Result<Sample> {
        let before = site.received()?;
        let busy = cpu::busy()?;
        let Work { mut figures, units, cpu, errors } = self.run(site, duration)?;
        figures.push((cpu, (cpu::busy()? - busy) / units));
        let after = site.received()?;
        for (figure, value) in &figures {
            ensure!(*value > 0.0 && value.is_finite(), "{}: {value} was measured", figure.title());
        }
        let packet = (after.bytes - before.bytes) as f64 / (after.packets - before.packets) as f64;
        Ok(Sample { figures, packet, errors })
    }

    fn run(self, site: &Site, duration: Duration) -> Result<Work> {
        match self {
            Self::ToHost => bulk(site, duration, &[], Figure::ToHostRate, Figure::ToHostCpu),
            Self::FromHost => bulk(site, duration, &["-R"], Figure::FromHostRate, Figure::FromHostCpu),
            Self::Requests => requests(site, duration),
        }
    }
}

fn bulk(site: &Site, duration: Duration, more: &[&str], rate: Figure, cpu: Figure) -> Result<Work> {
    let Bulk { bytes, seconds } = tools::iperf(site.client(), site.bulk(), duration, more)?;
    let units = bytes / 1e9;
    Ok(Work { figures: vec![(rate, units / seconds)], units, cpu, errors: 0 })
}

fn requests(site: &Site, duration: Duration) -> Result<Work> {
    let Requests { count, seconds, p50, p99, errors } =
        tools::wrk(site.client(), site.web(), duration, true, None)?;
    let figures = vec![
        (Figure::RequestRate, count / seconds),
        (Figure::RequestMedian, p50),
        (Figure::RequestTail, p99),
    ];
    Ok(Work { figures, units: count / REQUESTS, cpu: Figure::RequestCpu, errors })
}
