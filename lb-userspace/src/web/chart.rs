//! A small chart, drawn without anything from elsewhere.

use maud::{Markup, html};

/// Of the drawing, in its own units.
const WIDTH: u64 = 240;
const HEIGHT: u64 = 48;

/// A line of values, each a step after the other, with its latest and highest in words.
pub fn chart(title: &str, values: &[u64], write: impl Fn(u64) -> String) -> Markup {
    let latest = values.last().copied().unwrap_or_default();
    let highest = values.iter().copied().max().unwrap_or_default();
    let (latest, top) = (write(latest), write(highest));
    html! {
        figure {
            figcaption { (title) " " b { (latest) } }
            svg viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } preserveAspectRatio="none" role="img"
                aria-label={ (title) ", now " (latest) ", at most " (top) } {
                polyline points=(points(values, highest)) {}
            }
            span.top { "max " (top) }
        }
    }
}

/// The line's corners, the highest at the top.
fn points(values: &[u64], highest: u64) -> String {
    let last = values.len().max(2) as u64 - 1;
    let corner = |(place, value): (u64, &u64)| {
        format!("{},{}", place * WIDTH / last, HEIGHT - 1 - value * (HEIGHT - 2) / highest.max(1))
    };
    (0..).zip(values).map(corner).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_is_at_the_top_and_nothing_at_the_bottom() {
        assert_eq!(points(&[0, 5, 10], 10), "0,47 120,24 240,1");
        assert_eq!(points(&[0, 0], 0), "0,47 240,47");
        assert_eq!(points(&[], 0), "");
        assert_eq!(points(&[3], 3), "0,1");
    }
}
