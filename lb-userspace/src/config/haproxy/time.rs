//! Times as `HAProxy` writes them, section 2.5 of its manual.

use std::time::Duration;

use super::note::Note;
use super::section::Setting;

/// A time, and how to write it in `xlb.toml`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Time {
    pub text: String,
    pub duration: Duration,
}

/// A number and a unit; `default_unit` where none is written. The same units mean the same in
/// `xlb.toml`, so the text stays as its author wrote it.
fn time(text: &str, default_unit: &str) -> Option<Time> {
    let unit_start = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (_, unit) = text.split_at(unit_start);
    let text = match unit {
        "" => format!("{text}{default_unit}"),
        "us" | "ms" | "s" | "m" | "h" | "d" => text.to_owned(),
        _ => return None,
    };
    let duration = humantime::parse_duration(&text).ok()?;
    Some(Time { text, duration })
}

/// The same for a time in a setting, with a note if it is none.
pub(super) fn noted(
    text: &str,
    default_unit: &str,
    setting: &Setting,
    notes: &mut Vec<Note>,
) -> Option<Time> {
    let time = time(text, default_unit);
    if time.is_none() {
        notes.push(setting.note(&format!("`{text}` is not carried: it is not a time")));
    }
    time
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_haproxys() {
        let read = |text| time(text, "ms").map(|time| (time.text, time.duration.as_millis()));
        assert_eq!(read("5000"), Some(("5000ms".to_owned(), 5000)));
        assert_eq!(read("20ms"), Some(("20ms".to_owned(), 20)));
        assert_eq!(read("86400s"), Some(("86400s".to_owned(), 86_400_000)));
        assert_eq!(read("1m"), Some(("1m".to_owned(), 60_000)));
        assert_eq!(read("1d"), Some(("1d".to_owned(), 86_400_000)));
        for wrong in ["", "s", "1w", "-1", "1s2", "1.5s", "99999999999999999999d"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
