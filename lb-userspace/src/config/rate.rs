//! Rates of events.

use std::fmt;
use std::time::Duration;

use toml::de::DeValue;

use super::value::{Parsed, refuse, string};

/// So many events in a second or in a minute, as `100/s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    count: u32,
    unit: Unit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Second,
    Minute,
}

impl Rate {
    /// The highest count.
    const MAX: u32 = 1_000_000;

    /// How many events there may be in one [`Rate::period`]; at least 1.
    #[must_use]
    pub const fn count(self) -> u32 {
        self.count
    }

    /// The time that they are counted over.
    #[must_use]
    pub const fn period(self) -> Duration {
        match self.unit {
            Unit::Second => Duration::from_secs(1),
            Unit::Minute => Duration::from_secs(60),
        }
    }

    /// The time between two events at an even pace.
    #[must_use]
    pub fn spacing(self) -> Duration {
        self.period() / self.count
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.unit {
            Unit::Second => "s",
            Unit::Minute => "m",
        };
        write!(f, "{}/{unit}", self.count)
    }
}

/// A rate such as `"100/s"`.
pub(super) fn read(value: &DeValue<'_>) -> Parsed<Rate> {
    let expected = "expected a rate such as \"100/s\" or \"600/m\"";
    let (count, unit) = match string(value, "a rate such as \"100/s\" or \"600/m\"")?.split_once('/') {
        Some((count, "s")) => (count, Unit::Second),
        Some((count, "m")) => (count, Unit::Minute),
        _ => return refuse(expected, "write a number, \"/\", and s for a second or m for a minute"),
    };
    match count.parse() {
        Ok(count @ 1..=Rate::MAX) => Ok(Rate { count, unit }),
        _ => refuse(expected, format!("use a whole number from 1 to {}", Rate::MAX)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_minutes_are_told_apart() {
        let rate = |text: &str| read(&DeValue::String(text.into())).expect("a rate");
        assert_eq!((rate("100/s").spacing(), rate("100/s").count()), (Duration::from_millis(10), 100));
        assert_eq!(rate("30/m").spacing(), Duration::from_secs(2));
        assert_eq!(rate("30/m").to_string(), "30/m");
    }
}
