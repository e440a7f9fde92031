//! How big a test or a benchmark is.

use std::env;

/// The environment variable that asks for full sizes, by the value `1`.
pub const FULL: &str = "XLB_FULL";

/// The size to run with: `full` where [`FULL`] asks for it, otherwise `ci`, which takes seconds.
pub fn choose<T>(ci: T, full: T) -> T {
    if env::var(FULL).is_ok_and(|value| value == "1") { full } else { ci }
}
