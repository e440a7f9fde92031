//! What several measurements of the same come to.

/// The middle one.
pub fn median(samples: &[f64]) -> f64 {
    quartile(samples, 2)
}

/// Half of what lies between the quartiles, relative to the median.
pub fn spread(samples: &[f64]) -> f64 {
    (quartile(samples, 3) - quartile(samples, 1)) / 2.0 / median(samples)
}

/// The `q`th of four quarters' upper end.
fn quartile(samples: &[f64], q: usize) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[(sorted.len() - 1) * q / 4]
}
