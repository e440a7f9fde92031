//! What pairs of measurements say about a difference: the mean of the logarithms of their ratios, with
//! Student's confidence interval.
//!
//! Both of a pair are measured right after each other, so what changes slowly on the machine is the same
//! for both and falls out of their ratio. Logarithms make twice as much and half as much equally far from
//! no difference.

use distrs::StudentsT;

/// How many of such intervals contain the true difference.
pub const CONFIDENCE: f64 = 0.95;

/// The same measurement without and with something.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pair {
    pub without: f64,
    pub with: f64,
}

/// How much larger the second ones of some pairs are, in logarithms.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Difference {
    mean: f64,
    /// Half of the interval's width.
    half: f64,
}

impl Difference {
    /// Of positive numbers. Fewer than two pairs tell nothing: their interval is not a number.
    pub fn of(pairs: &[Pair]) -> Self {
        let ratios: Vec<_> = pairs.iter().map(|pair| (pair.with / pair.without).ln()).collect();
        let count = ratios.len() as f64;
        let mean = ratios.iter().sum::<f64>() / count;
        let squares: f64 = ratios.iter().map(|ratio| (ratio - mean).powi(2)).sum();
        let standard_error = (squares / (count - 1.0) / count).sqrt();
        Self { mean, half: standard_error * quantile(count - 1.0) }
    }

    /// As a share of what there is without: 0.1 is a tenth more.
    pub fn relative(self) -> f64 {
        self.mean.exp_m1()
    }

    /// The ends of the interval, as such shares.
    pub fn interval(self) -> (f64, f64) {
        ((self.mean - self.half).exp_m1(), (self.mean + self.half).exp_m1())
    }

    /// The smallest difference that would have shown in pairs that vary as these do, as such a share: one
    /// below half of the interval's width is lost in it.
    pub fn smallest(self) -> f64 {
        self.half.exp_m1()
    }
}

/// How many standard errors the interval reaches to each side.
pub fn quantile(degrees_of_freedom: f64) -> f64 {
    StudentsT::ppf(f64::midpoint(1.0, CONFIDENCE), degrees_of_freedom)
}

/// The middle of some numbers; not a number where there are none.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.into_iter().collect();
    if values.is_empty() {
        return f64::NAN;
    }
    values.sort_by(f64::total_cmp);
    let (low, high) = ((values.len() - 1) / 2, values.len() / 2);
    f64::midpoint(values[low], values[high])
}
