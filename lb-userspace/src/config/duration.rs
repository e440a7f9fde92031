//! Durations.

use std::time::Duration;

use toml::de::DeValue;

use super::value::{Parsed, refuse};

/// The shortest that can be told apart by a timer of the agent.
const SHORTEST: Duration = Duration::from_millis(1);

/// A year: the packet path's 32-bit clock tells at least two from its past.
const LONGEST: Duration = Duration::from_secs(31_557_600);

const EXPECTED: &str = "expected a duration from 1ms to 1year such as \"10s\"";

/// A duration such as `"10s"`.
pub(super) fn duration(value: &DeValue<'_>) -> Parsed<Duration> {
    let Some(text) = value.as_str() else {
        return refuse(EXPECTED, "write a number and its unit in double quotes");
    };
    match humantime::parse_duration(text) {
        Ok(duration) if duration < SHORTEST => refuse(EXPECTED, "use a longer one"),
        Ok(duration) if duration > LONGEST => refuse(EXPECTED, "use a shorter one"),
        Ok(duration) => Ok(duration),
        Err(_) => refuse(EXPECTED, "write a number and its unit (ms, s, m, h or d)"),
    }
}
