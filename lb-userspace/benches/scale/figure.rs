//! What was measured, and what it should not be more than.

use comfy_table::{CellAlignment, Table, presets};
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use crate::Report;

/// One number.
#[derive(Clone, Debug)]
pub struct Figure {
    name: &'static str,
    unit: &'static str,
    value: f64,
    bound: Option<f64>,
    kind: Kind,
}

/// Whether a machine that is busy with something else makes it worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Time,
    Amount,
}

impl Figure {
    /// A time, or a ratio of times.
    pub const fn time(name: &'static str, unit: &'static str, value: f64) -> Self {
        Self { name, unit, value, bound: None, kind: Kind::Time }
    }

    /// An amount of memory, or of anything else.
    pub const fn amount(name: &'static str, unit: &'static str, value: f64) -> Self {
        Self { name, unit, value, bound: None, kind: Kind::Amount }
    }

    /// The same with a bound.
    pub const fn at_most(self, bound: f64) -> Self {
        Self { bound: Some(bound), ..self }
    }

    pub fn is_over(&self) -> bool {
        self.bound.is_some_and(|bound| self.value > bound)
    }

    pub fn is_time(&self) -> bool {
        self.kind == Kind::Time
    }

    fn cell(&self) -> String {
        let value =
            if self.value < 100.0 { format!("{:.1}", self.value) } else { format!("{:.0}", self.value) };
        if self.is_over() { format!("over {value}") } else { value }
    }
}

impl Serialize for Figure {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Figure", 5)?;
        fields.serialize_field("name", self.name)?;
        fields.serialize_field("unit", self.unit)?;
        fields.serialize_field("value", &self.value)?;
        fields.serialize_field("bound", &self.bound)?;
        fields.serialize_field("over", &self.is_over())?;
        fields.end()
    }
}

/// A column for each size, a row for each figure.
pub fn table(reports: &[Report]) -> Table {
    let mut table = Table::new();
    let column = |text: fn(&Report) -> String| reports.iter().map(text);
    let head = |name: &str| [name.to_owned(), String::new(), String::new()];
    table.load_style(presets::NOTHING);
    table.set_header(head("connections").into_iter().chain(column(|r| r.case.connections.to_string())));
    table.add_row(head("servers").into_iter().chain(column(|r| r.case.servers.to_string())));
    table.add_row(
        head("NAT addresses × ports")
            .into_iter()
            .chain(column(|r| format!("{} × {}", r.case.nat_addresses, r.case.nat_ports))),
    );
    for (row, figure) in reports.first().iter().flat_map(|report| report.figures.iter().enumerate()) {
        let bounds: Vec<String> = reports
            .iter()
            .filter_map(|report| report.figures[row].bound.map(|bound| bound.to_string()))
            .collect();
        let bound = match bounds.as_slice() {
            [] => String::new(),
            [first, .., last] if first != last => format!("≤ {first} … {last}"),
            [first, ..] => format!("≤ {first}"),
        };
        let cells = reports.iter().map(|report| report.figures[row].cell());
        table.add_row([figure.name.to_owned(), figure.unit.to_owned(), bound].into_iter().chain(cells));
    }
    for column in table.column_iter_mut().skip(3) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
