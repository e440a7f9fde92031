//! A series of numbers as a line of bars.

/// Bars by height; nothing stands for zero.
const BARS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The last `width` numbers, the newest at the right, the largest of them as the highest bar. What is not
/// zero can be seen.
pub fn line(numbers: impl DoubleEndedIterator<Item = u64>, width: usize) -> String {
    let mut shown: Vec<u64> = numbers.rev().take(width).collect();
    shown.resize(width, 0);
    shown.reverse();
    let largest = shown.iter().copied().max().unwrap_or(0).max(1);
    shown.into_iter().map(|number| bar(number, largest)).collect()
}

fn bar(number: u64, largest: u64) -> char {
    let highest = BARS.len() as u128 - 1;
    let height = (u128::from(number) * highest).div_ceil(u128::from(largest)).min(highest);
    BARS[height as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_is_at_the_right_and_the_largest_is_full() {
        assert_eq!(line([9, 0, 1, 4, 8].into_iter(), 4), " ▁▄█");
        assert_eq!(line([1].into_iter(), 3), "  █");
        assert_eq!(line([0, 0].into_iter(), 2), "  ");
        assert_eq!(line([1, u64::MAX].into_iter(), 2), "▁█");
        assert_eq!(line([].into_iter(), 0), "");
    }
}
