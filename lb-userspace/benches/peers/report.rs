//! What came of it, as tables and as JSON.

use std::collections::BTreeMap;
use std::fmt::Write;

use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use crate::case::{Case, Kind, Sample};
use crate::chart::{Bar, Panel};
use crate::memory::Memory;
use crate::peer::Peer;

/// All samples.
#[derive(Default)]
pub struct Report {
    samples: BTreeMap<(Case, Peer), Vec<Sample>>,
    memory: BTreeMap<Peer, Memory>,
    skipped: BTreeMap<Peer, &'static str>,
}

/// All of the JSON.
#[derive(Serialize)]
struct Document {
    rows: Vec<Row>,
    /// Bytes, by peer, in the last round.
    memory: BTreeMap<String, Memory>,
    /// Peers that this machine does not have, and why.
    skipped: BTreeMap<String, &'static str>,
}

/// One row of a table, and one object of the JSON.
#[derive(Serialize)]
struct Row {
    case: &'static str,
    peer: String,
    #[serde(skip)]
    is_ours: bool,
    /// Connections, requests or gigabytes a second, and half of what lies between the extremes, relative
    /// to it.
    rate: f64,
    spread: f64,
    p50_ms: Option<f64>,
    p99_ms: Option<f64>,
    /// Connections that failed and requests without an answer, in all rounds.
    errors: u64,
    /// CPU seconds of the whole machine for a number of them.
    cpu: f64,
    cpu_unit: &'static str,
    /// What of that is the balancer's: beyond what there is without one.
    cpu_share: f64,
    /// Rate and share beside HAProxy's.
    rate_ratio: f64,
    share_ratio: f64,
}

impl Report {
    /// Adds what was measured once.
    pub fn add(&mut self, peer: Peer, case: Case, sample: Sample) {
        self.samples.entry((case, peer)).or_default().push(sample);
    }

    /// What a peer kept in memory after its cases; that of the last round counts.
    pub fn remember(&mut self, peer: Peer, memory: Memory) {
        self.memory.insert(peer, memory);
    }

    /// A peer that this machine does not have.
    pub fn skip(&mut self, peer: Peer, reason: &'static str) {
        self.skipped.insert(peer, reason);
    }

    /// As a script reads it.
    pub fn json(&self) -> impl Serialize {
        let rows: Vec<_> = Case::ALL.into_iter().flat_map(|case| self.rows(case)).collect();
        let skipped: BTreeMap<_, _> =
            self.skipped.iter().map(|(peer, reason)| (peer.to_string(), *reason)).collect();
        let memory = self.memory.iter().map(|(peer, memory)| (peer.to_string(), *memory)).collect();
        Document { rows, memory, skipped }
    }

    /// As a person does: a table for each case.
    pub fn tables(&self) -> String {
        let mut text = String::new();
        for case in Case::ALL.into_iter().filter(|case| !self.rows(*case).is_empty()) {
            let (unit, _) = case.unit();
            let mut table = Table::new();
            table.load_style(presets::NOTHING).set_header([
                "",
                "a second",
                "±",
                "p50 ms",
                "p99 ms",
                "errors",
                &format!("CPU s per {unit}"),
                "balancer's share",
                "rate × HAProxy",
                "share × HAProxy",
            ]);
            table.add_rows(self.rows(case).iter().map(|row| row.cells(case)));
            align(&mut table);
            let _ = writeln!(text, "{}\n{table}\n", case.title());
        }
        let _ = writeln!(text, "memory, MiB\n{}\n", self.memory_table());
        for (peer, reason) in &self.skipped {
            let _ = writeln!(text, "{peer} was left out: {reason}");
        }
        text
    }

    fn memory_table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_header(["", "processes", "maps in the kernel"]);
        table.add_rows(self.memory.iter().map(|(peer, memory)| {
            let mebibytes = |bytes: u64| format!("{:.1}", bytes as f64 / f64::from(1 << 20));
            [peer.to_string(), mebibytes(memory.processes), mebibytes(memory.maps)]
        }));
        align(&mut table);
        table
    }

    /// What a picture shows of it.
    pub fn panels(&self) -> Vec<Panel> {
        let rate = |case: Case| (case, format!("{}, a second: more is better", case.title()));
        let share =
            |case: Case| (case, format!("the balancer's CPU seconds per {}: less is better", case.unit().0));
        let cpu = |case: Case| (case, format!("CPU seconds per GB, {}: less is better", case.title()));
        let bars = |case, value: fn(&Row) -> f64, everybody: bool| {
            let rows = self.rows(case).into_iter().filter(|row| everybody || !row.is_nobodys());
            rows.map(|row| Bar { value: value(&row).max(0.0), is_ours: row.is_ours, name: row.peer })
                .collect()
        };
        let panel = |(case, title), value, everybody| Panel { title, bars: bars(case, value, everybody) };
        let panels = [
            panel(rate(Case::Connections), |row| row.rate, true),
            panel(rate(Case::Requests), |row| row.rate, true),
            panel(share(Case::PacedConnections), |row| row.cpu_share, false),
            panel(share(Case::PacedRequests), |row| row.cpu_share, false),
            panel(cpu(Case::bulk(true, Kind::One)), |row| row.cpu, true),
            panel(cpu(Case::bulk(false, Kind::One)), |row| row.cpu, true),
        ];
        panels.into_iter().filter(|panel| !panel.bars.is_empty()).collect()
    }

    fn rows(&self, case: Case) -> Vec<Row> {
        let median = |peer, field: fn(&Sample) -> f64| {
            self.samples.get(&(case, peer)).map_or(f64::NAN, |samples| median(samples, field))
        };
        let (cpu_unit, units) = case.unit();
        let share = |peer| (median(peer, |s| s.cpu) - median(Peer::Nobody, |s| s.cpu)) * units;
        let row = |peer| {
            let samples = self.samples.get(&(case, peer))?;
            let latency = |field: fn(&(f64, f64)) -> f64| {
                let values = samples.iter().filter_map(|sample| sample.latency.as_ref().map(field));
                Some(middle(values.collect())).filter(|value| value.is_finite())
            };
            let rate = median(peer, |s| s.rate);
            Some(Row {
                case: case.title(),
                peer: peer.to_string(),
                is_ours: matches!(peer, Peer::Xlb(_)),
                rate,
                spread: spread(samples) / rate,
                p50_ms: latency(|l| l.0),
                p99_ms: latency(|l| l.1),
                errors: samples.iter().map(|sample| sample.errors).sum(),
                cpu: median(peer, |s| s.cpu) * units,
                cpu_unit,
                cpu_share: share(peer),
                rate_ratio: rate / median(Peer::HaProxy, |s| s.rate),
                share_ratio: share(peer) / share(Peer::HaProxy),
            })
        };
        Peer::ALL.into_iter().filter_map(row).collect()
    }
}

impl Row {
    fn is_nobodys(&self) -> bool {
        self.peer == Peer::Nobody.to_string()
    }

    fn cells(&self, case: Case) -> [String; 10] {
        let latency = |value: Option<f64>| value.map_or(String::new(), |ms| format!("{ms:.2}"));
        let rate = if self.rate < 100.0 { format!("{:.3}", self.rate) } else { format!("{:.0}", self.rate) };
        let ratio = |value: f64| if self.is_nobodys() { String::new() } else { format!("{value:.2}") };
        [
            self.peer.clone(),
            rate,
            format!("{:.0} %", self.spread * 100.0),
            latency(self.p50_ms),
            latency(self.p99_ms),
            self.errors.to_string(),
            format!("{:.2}", self.cpu),
            ratio(self.cpu_share),
            if case.is_paced() { String::new() } else { ratio(self.rate_ratio) },
            ratio(self.share_ratio),
        ]
    }
}

/// Figures stand to the right.
fn align(table: &mut Table) {
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
}

fn median(samples: &[Sample], field: fn(&Sample) -> f64) -> f64 {
    middle(samples.iter().map(field).collect())
}

/// The middle one of some values; not a number where there are none.
fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Half of what lies between the slowest and the fastest.
fn spread(samples: &[Sample]) -> f64 {
    let rates = samples.iter().map(|sample| sample.rate);
    let (low, high) = rates.fold((f64::MAX, f64::MIN), |(low, high), rate| (low.min(rate), high.max(rate)));
    (high - low) / 2.0
}
