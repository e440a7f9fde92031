//! What is faster, what is slower, and what is neither.

use crate::figure::{Figure, Verdict};
use crate::statistics::{Difference, Pair};

/// The verdict on pairs whose second one is larger by these factors.
fn judge(figure: Figure, factors: [f64; 3]) -> Verdict {
    figure.judge(Difference::of(&factors.map(|factor| Pair { without: 10.0, with: 10.0 * factor })))
}

#[test]
fn a_higher_rate_is_faster_and_more_time_is_slower() {
    let (higher, lower) = ([1.10, 1.11, 1.12], [0.90, 0.89, 0.88]);
    assert_eq!(judge(Figure::RequestRate, higher), Verdict::Faster);
    assert_eq!(judge(Figure::RequestRate, lower), Verdict::Slower);
    for time in [Figure::RequestTail, Figure::ToHostCpu] {
        assert_eq!(judge(time, higher), Verdict::Slower);
        assert_eq!(judge(time, lower), Verdict::Faster);
    }
}

#[test]
fn what_lies_on_both_sides_of_zero_is_no_difference() {
    for figure in Figure::ALL {
        assert_eq!(judge(figure, [0.95, 1.10, 1.01]), Verdict::NoDifference);
    }
}
