//! How big a test or a benchmark is.

use std::env;
use std::ops::Div;

/// The environment variable that asks for another size than takes seconds: `full`, or `small` for an emulated
/// processor.
const SIZE: &str = "XLB_SIZE";

/// How much less there is of what is counted, where it is to be small.
const SMALLER: u8 = 10;

/// The size to run with: `full` where the environment asks for it, otherwise `ci`, which takes seconds.
pub fn choose<T>(ci: T, full: T) -> T {
    if is("full") { full } else { ci }
}

/// How many or how much of something; less where it is to be small.
pub fn count<T: Div<Output = T> + From<u8>>(ci: T, full: T) -> T {
    or_less(choose(ci, full))
}

/// So many or so much, in CI and in full; less where it is to be small.
pub fn or_less<T: Div<Output = T> + From<u8>>(size: T) -> T {
    if is_small() { size / T::from(SMALLER) } else { size }
}

/// Whether it is to be small, because the processor is emulated: what takes milliseconds elsewhere may take
/// hundreds.
#[must_use]
pub fn is_small() -> bool {
    is("small")
}

fn is(size: &str) -> bool {
    env::var(SIZE).is_ok_and(|value| value == size)
}
