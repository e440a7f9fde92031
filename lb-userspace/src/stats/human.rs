//! Numbers for people.

use std::time::{Duration, SystemTime};

/// A number of bytes with three significant digits: `999 B`, `1.50 KiB`, `10.0 MiB`.
pub(crate) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut hundredths = u128::from(bytes) * 100 / 1024;
    let mut unit = 0;
    while hundredths >= 102_400 {
        hundredths /= 1024;
        unit += 1;
    }
    let (whole, part) = (hundredths / 100, hundredths % 100);
    match whole {
        0..10 => format!("{whole}.{part:02} {}", UNITS[unit]),
        10..100 => format!("{whole}.{} {}", part / 10, UNITS[unit]),
        _ => format!("{whole} {}", UNITS[unit]),
    }
}

/// A day of the calendar: `2027-05-01`.
pub(crate) fn date(time: SystemTime) -> String {
    let mut text = humantime::format_rfc3339_seconds(time).to_string();
    text.truncate("2027-05-01".len());
    text
}

/// A span of time in its two largest units, as HAProxy's page has it: `23s`, `3h12m`, `1d2h`.
pub(crate) fn duration(duration: Duration) -> String {
    let secs = duration.as_secs();
    let (days, hours, minutes) = (secs / 86_400, secs / 3600 % 24, secs / 60 % 60);
    match secs {
        0..60 => format!("{secs}s"),
        60..3600 => format!("{minutes}m{}s", secs % 60),
        3600..86_400 => format!("{hours}h{minutes}m"),
        _ => format!("{days}d{hours}h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_three_digits() {
        let shown = [0, 1023, 1024, 1536, 10_240, 1_048_575, 1_048_576, 157_286_400, u64::MAX].map(bytes);
        let expected = [
            "0 B", "1023 B", "1.00 KiB", "1.50 KiB", "10.0 KiB", "1023 KiB", "1.00 MiB", "150 MiB",
            "15.9 EiB",
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn durations_have_two_units() {
        let shown = [0, 59, 60, 3599, 3600, 86_399, 86_400, 93_600].map(|s| duration(Duration::from_secs(s)));
        assert_eq!(shown, ["0s", "59s", "1m0s", "59m59s", "1h0m", "23h59m", "1d0h", "1d2h"]);
    }
}
