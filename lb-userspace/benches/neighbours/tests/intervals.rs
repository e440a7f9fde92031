//! Known intervals, and laws that all of them obey.

use proptest::prelude::*;

use crate::statistics::{Difference, Pair, median, quantile};

/// Pairs whose ratios have these logarithms.
fn pairs(logarithms: &[f64]) -> Vec<Pair> {
    logarithms.iter().map(|logarithm| Pair { without: 2.0, with: 2.0 * logarithm.exp() }).collect()
}

fn logarithm(difference: Difference) -> f64 {
    difference.relative().ln_1p()
}

fn assert_close(value: f64, expected: f64, distance: f64) {
    assert!((value - expected).abs() <= distance, "{value} is not {expected}");
}

/// Table III of Fisher and Yates, P = 0.05.
#[test]
fn quantiles_are_those_of_the_tables() {
    let table = [(1, 12.706), (2, 4.303), (3, 3.182), (5, 2.571), (9, 2.262), (15, 2.131), (30, 2.042)];
    for (degrees, expected) in table {
        assert_close(quantile(degrees.into()), expected, 0.0006);
    }
}

/// The hours of sleep that ten patients gained by one drug over another, in Student's paper of 1908;
/// the interval is what R's `t.test(…, paired = TRUE)` prints for its `sleep`.
#[test]
fn students_own_pairs_give_the_known_interval() {
    let gained = [1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4];
    let difference = Difference::of(&pairs(&gained));
    assert_close(logarithm(difference), 1.58, 1e-9);
    let (low, high) = difference.interval();
    assert_close(low.ln_1p(), 0.700_114_2, 1e-5);
    assert_close(high.ln_1p(), 2.459_885_8, 1e-5);
    assert_close(difference.smallest().ln_1p(), 0.879_885_8, 1e-5);
}

#[test]
fn a_difference_is_a_share_of_what_there_is_without() {
    let tenth = Pair { without: 50.0, with: 55.0 };
    let difference = Difference::of(&[tenth, tenth]);
    assert_close(difference.relative(), 0.1, 1e-12);
    assert_close(difference.smallest(), 0.0, 1e-12);
}

#[test]
fn one_pair_tells_nothing() {
    let (low, high) = Difference::of(&[Pair { without: 1.0, with: 2.0 }]).interval();
    assert!(low.is_nan() && high.is_nan());
}

#[test]
fn the_median_is_the_middle() {
    assert_close(median([3.0, 1.0, 2.0]), 2.0, 0.0);
    assert_close(median([4.0, 1.0, 2.0, 3.0]), 2.5, 0.0);
    assert!(median([]).is_nan());
}

proptest! {
    /// Who is compared with whom changes the sign and nothing else.
    #[test]
    fn exchanged_pairs_give_the_mirrored_interval(
        logarithms in prop::collection::vec(-1.0..1.0, 2..20_usize),
    ) {
        let pairs = pairs(&logarithms);
        let mirrored: Vec<_> =
            pairs.iter().map(|pair| Pair { without: pair.with, with: pair.without }).collect();
        let (difference, mirrored) = (Difference::of(&pairs), Difference::of(&mirrored));
        assert_close(logarithm(mirrored), -logarithm(difference), 1e-9);
        assert_close(mirrored.smallest(), difference.smallest(), 1e-9);
    }

    /// A machine that is slower for both of a pair changes nothing.
    #[test]
    fn what_slows_both_falls_out(
        rounds in prop::collection::vec((-1.0..1.0, 0.1..10.0), 2..20_usize),
    ) {
        let logarithms: Vec<f64> = rounds.iter().map(|round| round.0).collect();
        let pairs = pairs(&logarithms);
        let slowed = pairs.iter().zip(&rounds);
        let slowed: Vec<_> = slowed
            .map(|(pair, (_, by))| Pair { without: pair.without * by, with: pair.with * by })
            .collect();
        let (difference, slowed) = (Difference::of(&pairs), Difference::of(&slowed));
        assert_close(logarithm(slowed), logarithm(difference), 1e-9);
        assert_close(slowed.smallest(), difference.smallest(), 1e-9);
    }
}
