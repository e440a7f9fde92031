//! The findings, for people and for programs.

use comfy_table::{Cell, Color, ContentArrangement};
use serde::Serialize;

use super::{Finding, Severity, worst};
use crate::stats::{Style, coloured, pretty, render};

/// One row for each finding, and a last line with the sum. On a terminal rows are wrapped; in a pipe each
/// is a line.
#[must_use]
pub fn table(findings: &[Finding], style: Style) -> String {
    let mut table = style.table(&["RESULT", "CHECK", "FOUND", "REMEDY"]);
    if style == Style::Coloured {
        table.set_content_arrangement(ContentArrangement::Dynamic);
    }
    for finding in findings {
        table.add_row([
            coloured(finding.result, Some(color(finding.result))),
            Cell::new(finding.check),
            Cell::new(&finding.reason),
            Cell::new(finding.remedy.as_deref().unwrap_or_default()),
        ]);
    }
    let count = |result| findings.iter().filter(|finding| finding.result == result).count();
    let [fatal, warnings, notes, ok] =
        [Severity::Fatal, Severity::Warning, Severity::Note, Severity::Ok].map(count);
    format!("{}\n{fatal} fatal, {warnings} warnings, {notes} notes, {ok} ok\n", render(&mut table))
}

const fn color(result: Severity) -> Color {
    match result {
        Severity::Ok => Color::Green,
        Severity::Note => Color::Blue,
        Severity::Warning => Color::Yellow,
        Severity::Fatal => Color::Red,
    }
}

/// The document.
#[derive(Serialize)]
struct Document<'f> {
    version: &'static str,
    worst: Severity,
    findings: &'f [Finding],
}

/// One JSON object.
#[must_use]
pub fn json(findings: &[Finding]) -> String {
    pretty(&Document { version: env!("CARGO_PKG_VERSION"), worst: worst(findings), findings })
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn findings() -> Vec<Finding> {
        vec![Finding::ok("kernel", "Linux 6.1"), Finding::fatal("interface", "eth0 is down", "bring it up")]
    }

    #[test]
    fn each_finding_is_a_line_in_a_pipe() {
        let shown = table(&findings(), Style::Plain);
        let expected = "\
RESULT  CHECK      FOUND         REMEDY
ok      kernel     Linux 6.1
FATAL   interface  eth0 is down  bring it up

1 fatal, 0 warnings, 0 notes, 1 ok
";
        assert_eq!(shown, expected, "shown:\n{shown}");
        assert!(table(&findings(), Style::Coloured).contains('\x1b'));
    }

    #[test]
    fn the_document_is_what_programs_expect() {
        let document: Value = serde_json::from_str(&json(&findings())).unwrap();
        assert_eq!(document["worst"], "fatal");
        assert_eq!(
            document["findings"],
            serde_json::json!([
                { "check": "kernel", "result": "ok", "reason": "Linux 6.1", "remedy": null },
                { "check": "interface", "result": "fatal", "reason": "eth0 is down", "remedy": "bring it up" },
            ])
        );
    }
}
