//! The report, for people and for programs.

use comfy_table::{Cell, Color};
use serde::Serialize;

use super::{Check, Outcome, failures};
use crate::stats::{Style, coloured, pretty, render};

/// One line for each check, and a last one with the sum.
#[must_use]
pub fn table(checks: &[Check], style: Style) -> String {
    let mut table = style.table(&["RESULT", "WHAT", "WHICH", "DETAIL"]);
    for check in checks {
        table.add_row([
            coloured(check.outcome, Some(color(check.outcome))),
            Cell::new(check.area),
            Cell::new(&check.subject),
            Cell::new(&check.detail),
        ]);
    }
    let count = |outcome| checks.iter().filter(|check| check.outcome == outcome).count();
    let (ok, failed, notes) = (count(Outcome::Ok), count(Outcome::Failed), count(Outcome::Note));
    format!("{}\n{ok} ok, {failed} failed, {notes} to know or to try elsewhere\n", render(&mut table))
}

const fn color(outcome: Outcome) -> Color {
    match outcome {
        Outcome::Ok => Color::Green,
        Outcome::Failed => Color::Red,
        Outcome::Note => Color::Yellow,
    }
}

/// The document.
#[derive(Serialize)]
struct Document<'c> {
    version: &'static str,
    failed: usize,
    checks: &'c [Check],
}

/// One JSON object.
#[must_use]
pub fn json(checks: &[Check]) -> String {
    pretty(&Document { version: env!("CARGO_PKG_VERSION"), failed: failures(checks), checks })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::Area;
    use super::*;

    fn checks() -> Vec<Check> {
        vec![
            Check::new(Area::DataPlane, "attached", Outcome::Ok, "on eth0, native XDP"),
            Check::new(Area::Server, "api/fenn 198.18.0.15:6443", Outcome::Failed, "DOWN"),
        ]
    }

    #[test]
    fn the_table_has_a_line_for_each_check() {
        let shown = table(&checks(), Style::Plain);
        let expected = "\
RESULT  WHAT        WHICH                      DETAIL
ok      data plane  attached                   on eth0, native XDP
FAILED  server      api/fenn 198.18.0.15:6443  DOWN

1 ok, 1 failed, 0 to know or to try elsewhere
";
        assert_eq!(shown, expected, "shown:\n{shown}");
    }

    #[test]
    fn the_document_is_what_programs_expect() {
        let document: Value = serde_json::from_str(&json(&checks())).unwrap();
        assert_eq!(document["failed"], 1);
        assert_eq!(
            document["checks"][1],
            json!({
                "area": "server", "subject": "api/fenn 198.18.0.15:6443", "outcome": "failed", "detail": "DOWN",
            })
        );
    }
}
