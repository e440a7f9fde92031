//! Tables, the sentence at their end, and JSON.

use crate::figure::Figure;
use crate::mode::Mode;
use crate::report::{Report, Style};
use crate::statistics::Pair;

/// Three pairs of every figure and mode; with xlb they are larger by these factors.
fn report(factors: impl Fn(Mode, Figure) -> [f64; 3]) -> Report {
    let mut report = Report::default();
    for mode in Mode::ALL {
        for figure in Figure::ALL {
            for factor in factors(mode, figure) {
                report.add(mode, figure, Pair { without: 10.0, with: 10.0 * factor });
            }
        }
        report.add_packet(mode, Pair { without: 20_000.0, with: 1_500.0 });
    }
    report
}

const SAME: [f64; 3] = [0.99, 1.0, 1.02];
const MORE: [f64; 3] = [1.20, 1.21, 1.22];

#[test]
fn a_difference_of_another_mode_is_none_of_tc() {
    let report = report(|mode, _| if mode == Mode::Tc { SAME } else { MORE });
    let text = report.text(Style::Plain);
    assert!(text.ends_with("tc: none of the 8 intervals excludes 0\n"), "{text}");
}

#[test]
fn what_differs_in_tc_is_named_at_the_end() {
    let report = report(|_, figure| if figure == Figure::RequestTail { MORE } else { SAME });
    let text = report.text(Style::Plain);
    let conclusion =
        "tc: of 8 intervals these exclude 0, as one in 20 does by chance alone: requests, p99 ms\n";
    assert!(text.ends_with(conclusion), "{text}");
}

#[test]
fn a_row_tells_medians_difference_interval_and_verdict() {
    let report = report(|_, _| MORE);
    let text = report.text(Style::Plain);
    let line = text.lines().find(|line| line.contains("requests a second")).expect("there is a row");
    let words: Vec<_> = line.split_whitespace().skip(3).collect();
    assert_eq!(words, "10.000 12.100 +21.0 % +18.5 to +23.5 % 2.1 % faster".split(' ').collect::<Vec<_>>());
}

#[test]
fn requests_without_an_answer_are_told() {
    let mut report = report(|_, _| SAME);
    assert!(!report.text(Style::Plain).contains("without an answer"));
    report.add_errors(Mode::Native, 1, 2);
    let text = report.text(Style::Plain);
    assert!(text.contains("requests without an answer: 1 without xlb, 2 with it"), "{text}");
}

#[test]
fn json_has_the_same() {
    let report = report(|mode, _| if mode == Mode::Tc { MORE } else { SAME });
    let json = serde_json::to_value(report.json()).expect("a report is JSON");
    assert_eq!(json["tc_differs"].as_array().map(Vec::len), Some(Figure::ALL.len()));
    assert_eq!(json["modes"][0]["rows"][0]["verdict"], "faster");
    assert_eq!(json["modes"][2]["rows"][0]["verdict"], "no difference");
    assert_eq!(json["modes"][2]["packet_xlb"], 1_500.0);
}

#[test]
fn only_a_terminal_gets_rules() {
    let report = report(|_, _| SAME);
    assert!(report.text(Style::Ruled).contains('│'));
    assert!(!report.text(Style::Plain).contains('│'));
}
