//! What came of it, as a table.

use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};
use lb_lab::load::Tally;

use crate::failure::Failure;
use crate::peer::Peer;

/// What the columns mean.
pub const LEGEND: &str = "
failed         connections that were refused, reset or given up, or ended without an answer
worst connect  the longest time until a client was connected, or gave up
worst answer   the same until it had its answer
SYN again      connections whose SYN was sent a second time; whose SYN was sent more often than that
DOWN           from the failure until the balancer's log says that the server is DOWN
idle noticed   from the failure until the last idle client of the dead server was told";

/// What came of one server's death behind one balancer.
pub struct Row {
    pub failure: Failure,
    pub peer: Peer,
    pub tally: Tally,
    /// From the failure to the line in the log.
    pub down: Duration,
    /// From the failure until the last idle client knew; or as long as they were watched in vain.
    pub noticed: Result<Duration, Duration>,
}

impl Row {
    fn cells(&self) -> [String; 10] {
        let tally = &self.tally;
        let many = tally.retransmitted(2);
        [
            self.failure.to_string(),
            self.peer.to_string(),
            tally.made.to_string(),
            tally.failed().to_string(),
            seconds(tally.worst_connect),
            seconds(tally.worst_time),
            (tally.retransmitted(1) - many).to_string(),
            many.to_string(),
            seconds(self.down),
            self.noticed.map_or_else(|watched| format!("> {}", seconds(watched)), seconds),
        ]
    }
}

/// The table of these rows.
pub fn table(rows: &[Row]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header([
        "a server",
        "behind",
        "connections",
        "failed",
        "worst connect",
        "worst answer",
        "SYN again",
        "more often",
        "DOWN",
        "idle noticed",
    ]);
    table.add_rows(rows.iter().map(Row::cells));
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn seconds(time: Duration) -> String {
    format!("{:.3} s", time.as_secs_f64())
}
