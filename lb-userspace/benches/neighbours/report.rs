//! What came of it, as text and as JSON.

use std::collections::BTreeMap;
use std::fmt::Write;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use serde::Serialize;

use crate::figure::{Figure, Verdict};
use crate::mode::Mode;
use crate::statistics::{Difference, Pair, median};

/// What the columns mean.
const LEGEND: &str = "\
none, xlb      medians without xlb and with it; CPU time is that of the whole machine
difference     mean over the pairs (log ratio), and its interval of 95 % confidence (Student's t)
could show     the smallest difference that could have shown in this run: half of the interval
faster         all of the interval is a higher rate, less time, or less CPU time; slower: the opposite";

/// All pairs.
#[derive(Default)]
pub struct Report {
    figures: BTreeMap<(Mode, Figure), Vec<Pair>>,
    packets: BTreeMap<Mode, Vec<Pair>>,
    errors: BTreeMap<Mode, Errors>,
}

/// How text is to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// A line is a row, also for grep and awk.
    Plain,
    /// With rules, for terminals.
    Ruled,
}

/// Requests without an answer, in all rounds.
#[derive(Clone, Copy, Default, Serialize)]
struct Errors {
    none: u64,
    xlb: u64,
}

/// All of the JSON.
#[derive(Serialize)]
struct Document {
    confidence: f64,
    modes: Vec<ModeDocument>,
    /// Figures of tc whose interval does not contain zero.
    tc_differs: Vec<Figure>,
}

#[derive(Serialize)]
struct ModeDocument {
    mode: &'static str,
    rows: Vec<Row>,
    /// Bytes in a packet as IP is given it while bytes stream to the host, by GRO; medians.
    packet_none: f64,
    packet_xlb: f64,
    errors: Errors,
}

/// One row of a table, and one object of the JSON. Differences are shares: 0.1 is a tenth more.
#[derive(Serialize)]
struct Row {
    figure: Figure,
    rounds: usize,
    /// Medians.
    none: f64,
    xlb: f64,
    difference: f64,
    low: f64,
    high: f64,
    /// The smallest difference that could have shown.
    smallest: f64,
    verdict: Verdict,
}

impl Report {
    /// Adds a figure that was measured without and with xlb.
    pub fn add(&mut self, mode: Mode, figure: Figure, pair: Pair) {
        self.figures.entry((mode, figure)).or_default().push(pair);
    }

    /// Adds how long packets were when they came to IP.
    pub fn add_packet(&mut self, mode: Mode, pair: Pair) {
        self.packets.entry(mode).or_default().push(pair);
    }

    /// Adds requests without an answer.
    pub fn add_errors(&mut self, mode: Mode, without: u64, with: u64) {
        let errors = self.errors.entry(mode).or_default();
        errors.none += without;
        errors.xlb += with;
    }

    /// As a script reads it.
    pub fn json(&self) -> impl Serialize {
        let modes = Mode::ALL.into_iter().map(|mode| {
            let [packet_none, packet_xlb] = self.packet(mode);
            let (rows, errors) = (self.rows(mode), self.errors(mode));
            ModeDocument { mode: mode.name(), rows, packet_none, packet_xlb, errors }
        });
        Document {
            confidence: crate::statistics::CONFIDENCE,
            modes: modes.collect(),
            tc_differs: self.differing(Mode::Tc),
        }
    }

    /// As a person does: a table for each mode, and what is to be said of tc.
    pub fn text(&self, style: Style) -> String {
        let mut text = String::new();
        for mode in Mode::ALL {
            let _ = writeln!(text, "{}\n{}", self.title(mode), style.table(&self.rows(mode)));
            let [none, xlb] = self.packet(mode);
            let _ = writeln!(text, "GRO: {none:.0} bytes a packet to the host without xlb, {xlb:.0} with it");
            let Errors { none, xlb } = self.errors(mode);
            if none + xlb > 0 {
                let _ = writeln!(text, "requests without an answer: {none} without xlb, {xlb} with it");
            }
            text.push('\n');
        }
        let _ = writeln!(text, "{LEGEND}\n\n{}", self.conclusion(Mode::Tc));
        text
    }

    fn title(&self, mode: Mode) -> String {
        let rounds = self.packets.get(&mode).map_or(0, Vec::len);
        format!("xlb in {mode}, {rounds} pairs")
    }

    /// Whether anything at all has shown.
    fn conclusion(&self, mode: Mode) -> String {
        let figures = Figure::ALL.len();
        let differing: Vec<_> = self.differing(mode).into_iter().map(Figure::title).collect();
        match differing[..] {
            [] => format!("{mode}: none of the {figures} intervals excludes 0"),
            _ => format!(
                "{mode}: of {figures} intervals these exclude 0, as one in 20 does by chance alone: {}",
                differing.join("; ")
            ),
        }
    }

    fn differing(&self, mode: Mode) -> Vec<Figure> {
        let rows = self.rows(mode).into_iter();
        rows.filter(|row| row.verdict != Verdict::NoDifference).map(|row| row.figure).collect()
    }

    fn rows(&self, mode: Mode) -> Vec<Row> {
        let row = |figure| self.figures.get(&(mode, figure)).map(|pairs| Row::new(figure, pairs));
        Figure::ALL.into_iter().filter_map(row).collect()
    }

    fn packet(&self, mode: Mode) -> [f64; 2] {
        let pairs = || self.packets.get(&mode).into_iter().flatten();
        [median(pairs().map(|pair| pair.without)), median(pairs().map(|pair| pair.with))]
    }

    fn errors(&self, mode: Mode) -> Errors {
        self.errors.get(&mode).copied().unwrap_or_default()
    }
}

impl Row {
    fn new(figure: Figure, pairs: &[Pair]) -> Self {
        let difference = Difference::of(pairs);
        let (low, high) = difference.interval();
        Self {
            figure,
            rounds: pairs.len(),
            none: median(pairs.iter().map(|pair| pair.without)),
            xlb: median(pairs.iter().map(|pair| pair.with)),
            difference: difference.relative(),
            low,
            high,
            smallest: difference.smallest(),
            verdict: figure.judge(difference),
        }
    }

    fn cells(&self) -> [String; 7] {
        let value = |value: f64| if value < 100.0 { format!("{value:.3}") } else { format!("{value:.0}") };
        let percent = |share: f64| format!("{:+.1}", share * 100.0);
        [
            self.figure.title().to_owned(),
            value(self.none),
            value(self.xlb),
            format!("{} %", percent(self.difference)),
            format!("{} to {} %", percent(self.low), percent(self.high)),
            format!("{:.1} %", self.smallest * 100.0),
            self.verdict.text().to_owned(),
        ]
    }
}

impl Style {
    fn table(self, rows: &[Row]) -> String {
        let mut table = Table::new();
        table.set_content_arrangement(ContentArrangement::Disabled).load_style(match self {
            Self::Plain => presets::NOTHING,
            Self::Ruled => presets::UTF8_FULL_CONDENSED,
        });
        table.set_header(["", "none", "xlb", "difference", "interval", "could show", ""]);
        table.add_rows(rows.iter().map(Row::cells));
        for column in table.column_iter_mut().skip(1).take(5) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table.trim_fmt()
    }
}
