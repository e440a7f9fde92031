//! From two looks at a counter to a rate.

use std::time::Duration;

/// What a counter's growth is in a second, rounded; a counter that began anew has not grown.
#[must_use]
pub fn per_second(before: u64, now: u64, elapsed: Duration) -> u64 {
    let millis = elapsed.as_millis().max(1) as u64;
    let grown = now.saturating_sub(before);
    (grown.saturating_mul(1_000).saturating_add(millis / 2)) / millis
}
