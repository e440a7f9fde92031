//! Ranges of ports.

use std::fmt;
use std::str::FromStr;

use lb_common::settings::DEFAULT_NAT_PORTS;

/// A range of ports that includes both ends and is never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortRange {
    first: u16,
    last: u16,
}

impl PortRange {
    /// The NAT ports unless the file names others.
    pub const DEFAULT_NAT: Self = Self { first: DEFAULT_NAT_PORTS.0, last: DEFAULT_NAT_PORTS.1 };

    /// The ports from `first` to `last`; none if they are in the wrong order.
    #[must_use]
    pub fn new(first: u16, last: u16) -> Option<Self> {
        (first <= last).then_some(Self { first, last })
    }

    /// The lowest port.
    #[must_use]
    pub const fn first(self) -> u16 {
        self.first
    }

    /// The highest port.
    #[must_use]
    pub const fn last(self) -> u16 {
        self.last
    }

    /// How many ports there are.
    #[must_use]
    pub fn count(self) -> u32 {
        u32::from(self.last - self.first) + 1
    }

    /// Whether a port is among them.
    #[must_use]
    pub fn contains(self, port: u16) -> bool {
        (self.first..=self.last).contains(&port)
    }

    /// The ports of both ranges.
    #[must_use]
    pub fn intersection(self, other: Self) -> Option<Self> {
        Self::new(self.first.max(other.first), self.last.min(other.last))
    }

    /// The ports of this range below and above another.
    pub(super) fn without(self, other: Self) -> impl Iterator<Item = Self> {
        let Some(common) = self.intersection(other) else {
            return [Some(self), None].into_iter().flatten();
        };
        let below = common.first.checked_sub(1).and_then(|last| Self::new(self.first, last));
        let above = common.last.checked_add(1).and_then(|first| Self::new(first, self.last));
        [below, above].into_iter().flatten()
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            return self.first.fmt(f);
        }
        write!(f, "{}-{}", self.first, self.last)
    }
}

/// The text is not two ports in rising order, as in `10240-32767`, nor a single one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a range of ports")]
pub struct NotARange;

impl FromStr for PortRange {
    type Err = NotARange;

    fn from_str(text: &str) -> Result<Self, NotARange> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let port = |text: &str| text.trim().parse().map_err(|_| NotARange);
        Self::new(port(first)?, port(last)?).ok_or(NotARange)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(text: &str) -> PortRange {
        text.parse().expect("a range in the test")
    }

    #[test]
    fn parses_ranges_and_single_ports() {
        assert_eq!(range("10240-32767"), PortRange { first: 10_240, last: 32_767 });
        assert_eq!((range("80").count(), range("80").to_string()), (1, "80".to_owned()));
        for wrong in ["", "-", "2-1", "1-65536", "a-b", "1-2-3"] {
            assert_eq!(wrong.parse::<PortRange>(), Err(NotARange), "{wrong}");
        }
    }

    #[test]
    fn takes_ranges_out_of_ranges() {
        let rest = |from: &str, out: &str| -> Vec<String> {
            range(from).without(range(out)).map(|rest| rest.to_string()).collect()
        };
        assert_eq!(rest("10-20", "12-14"), ["10-11", "15-20"]);
        assert_eq!(rest("10-20", "1-14"), ["15-20"]);
        assert_eq!(rest("10-20", "21-30"), ["10-20"]);
        assert!(rest("0-65535", "0-65535").is_empty());
    }
}
