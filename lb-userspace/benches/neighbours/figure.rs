//! What is compared.

use serde::{Serialize, Serializer};

use crate::statistics::Difference;

/// A figure of the host's traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Figure {
    /// One stream of bytes to the host: gigabytes a second, and CPU seconds of the machine for each.
    ToHostRate,
    ToHostCpu,
    /// The same from the host.
    FromHostRate,
    FromHostCpu,
    /// Requests to the host's web server over connections that stay: how many a second, the milliseconds
    /// that half of them and all but a hundredth took at most, and CPU seconds of the machine for 10,000.
    RequestRate,
    RequestMedian,
    RequestTail,
    RequestCpu,
}

/// What the intervals allow to say about a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The interval contains zero.
    NoDifference,
    /// All of the interval is a higher rate, less time, or less CPU time.
    Faster,
    Slower,
}

impl Figure {
    /// All of them, in the order of the tables.
    pub const ALL: [Self; 8] = [
        Self::ToHostRate,
        Self::ToHostCpu,
        Self::FromHostRate,
        Self::FromHostCpu,
        Self::RequestRate,
        Self::RequestMedian,
        Self::RequestTail,
        Self::RequestCpu,
    ];

    /// Its name and unit.
    pub const fn title(self) -> &'static str {
        match self {
            Self::ToHostRate => "bulk to the host, GB/s",
            Self::ToHostCpu => "bulk to the host, CPU s/GB",
            Self::FromHostRate => "bulk from the host, GB/s",
            Self::FromHostCpu => "bulk from the host, CPU s/GB",
            Self::RequestRate => "requests a second",
            Self::RequestMedian => "requests, p50 ms",
            Self::RequestTail => "requests, p99 ms",
            Self::RequestCpu => "requests, CPU s/10,000",
        }
    }

    /// What a difference of this figure is.
    pub fn judge(self, difference: Difference) -> Verdict {
        let (low, high) = difference.interval();
        let is_rate = matches!(self, Self::ToHostRate | Self::FromHostRate | Self::RequestRate);
        let (more, less) =
            if is_rate { (Verdict::Faster, Verdict::Slower) } else { (Verdict::Slower, Verdict::Faster) };
        match (low > 0.0, high < 0.0) {
            (true, _) => more,
            (_, true) => less,
            _ => Verdict::NoDifference,
        }
    }
}

impl Verdict {
    pub const fn text(self) -> &'static str {
        match self {
            Self::NoDifference => "no difference",
            Self::Faster => "faster",
            Self::Slower => "slower",
        }
    }
}

impl Serialize for Figure {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.title())
    }
}

impl Serialize for Verdict {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.text())
    }
}
