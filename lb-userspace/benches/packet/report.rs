//! What came of it, as a table and as JSON.

use clap::ValueEnum;
use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use crate::Path;
use crate::samples::{median, spread};
use crate::subject::Subject;

/// What a path is compared with.
#[derive(Clone, Copy, ValueEnum)]
pub enum Yardstick {
    /// The least that any forwarding program costs.
    Floor,
    /// A plain program with the kernel's hash maps.
    Prototype,
}

/// All figures.
#[derive(Serialize)]
pub struct Report {
    floor_ns: f64,
    paths: Vec<Row>,
}

/// Those of a path.
#[derive(Serialize)]
struct Row {
    path: &'static str,
    #[serde(flatten)]
    time: Time,
    /// In floors.
    #[serde(flatten)]
    floors: Comparison,
    prototype: Option<Prototype>,
}

/// Those of the prototype on the same path.
#[derive(Serialize)]
struct Prototype {
    #[serde(flatten)]
    time: Time,
    /// The path in prototypes.
    #[serde(flatten)]
    prototypes: Comparison,
}

/// How long a packet takes.
#[derive(Serialize)]
struct Time {
    ns: f64,
    /// Half of what lies between the quartiles, relative to the median.
    spread: f64,
}

/// How a path compares.
#[derive(Serialize)]
struct Comparison {
    ratio: f64,
    bound: f64,
    within_bound: bool,
}

impl Report {
    /// The figures of all samples.
    pub fn new(floor: &Subject, paths: &[Path]) -> Self {
        let floor = Time::of(floor);
        Self { floor_ns: floor.ns, paths: paths.iter().map(|path| Row::new(path, &floor)).collect() }
    }

    /// The paths that are over their bounds.
    pub fn over(&self, yardstick: Yardstick) -> Vec<&'static str> {
        let is_over = |row: &&Row| row.ratio(yardstick).is_some_and(|ratio| !ratio.within_bound);
        self.paths.iter().filter(is_over).map(|row| row.path).collect()
    }

    /// As a person reads it.
    pub fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_header([
            "path",
            "ns",
            "±",
            "× floor",
            "bound",
            "",
            "prototype",
            "±",
            "× prototype",
            "bound",
            "",
        ]);
        table.add_row(["floor", &format!("{:.0}", self.floor_ns), "", "1.00"]);
        table.add_rows(self.paths.iter().map(Row::cells));
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table
    }
}

impl Row {
    fn new(path: &Path, floor: &Time) -> Self {
        let time = Time::of(&path.product);
        let floors = Comparison::new(&time, floor, path.bound.floors);
        let prototype = path.prototype.as_ref().zip(path.bound.prototypes()).map(|(subject, bound)| {
            let prototype = Time::of(subject);
            Prototype { prototypes: Comparison::new(&time, &prototype, bound), time: prototype }
        });
        Self { path: path.name, time, floors, prototype }
    }

    fn ratio(&self, yardstick: Yardstick) -> Option<&Comparison> {
        match yardstick {
            Yardstick::Floor => Some(&self.floors),
            Yardstick::Prototype => self.prototype.as_ref().map(|prototype| &prototype.prototypes),
        }
    }

    fn cells(&self) -> Vec<String> {
        let mut cells = vec![self.path.to_owned()];
        cells.extend(self.time.cells());
        cells.extend(self.floors.cells());
        match &self.prototype {
            Some(Prototype { time, prototypes }) => {
                cells.extend(time.cells());
                cells.extend(prototypes.cells());
            }
            None => cells.extend(["-", "", "-", "-", ""].map(str::to_owned)),
        }
        cells
    }
}

impl Time {
    fn of(Subject { samples, .. }: &Subject) -> Self {
        Self { ns: median(samples), spread: spread(samples) }
    }

    fn cells(&self) -> [String; 2] {
        [format!("{:.0}", self.ns), format!("{:.0} %", self.spread * 100.0)]
    }
}

impl Comparison {
    fn new(time: &Time, yardstick: &Time, bound: f64) -> Self {
        let ratio = time.ns / yardstick.ns;
        Self { ratio, bound, within_bound: ratio <= bound }
    }

    fn cells(&self) -> [String; 3] {
        let over = if self.within_bound { "" } else { "over" };
        [format!("{:.2}", self.ratio), format!("{:.2}", self.bound), over.to_owned()]
    }
}
