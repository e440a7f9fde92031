//! How big a test or a benchmark is.

use std::env;

/// The environment variable that asks for another size than takes seconds: `full`, or `small` for an emulated
/// processor.
const SIZE: &str = "XLB_SIZE";

/// How much less there is of what is tried at random, where it is to be small.
const SMALLER: u32 = 10;

/// The size to run with: `full` where the environment asks for it, otherwise `ci`, which takes seconds.
pub fn choose<T>(ci: T, full: T) -> T {
    if is("full") { full } else { ci }
}

/// How many cases to try at random.
pub fn cases(ci: u32, full: u32) -> u32 {
    if is("small") { ci / SMALLER } else { choose(ci, full) }
}

fn is(size: &str) -> bool {
    env::var(SIZE).is_ok_and(|value| value == size)
}
