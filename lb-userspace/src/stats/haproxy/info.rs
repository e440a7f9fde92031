//! `show info`: the process.

use std::time::Duration;

use super::{Value, version};
use crate::clock;
use crate::stats::{Frontend, View, Whose};

/// When HAProxy 2.6.0 came out: tools expect a date, and show it.
const RELEASE_DATE: &str = "2022/05/31";

/// One line of it.
#[derive(Clone, Debug)]
pub struct Info {
    /// Its number among HAProxy's.
    pub place: usize,
    /// Its name.
    pub name: &'static str,
    /// As those of [`super::Column::tags`].
    pub tags: &'static str,
    /// What it says.
    pub value: Value,
    /// What that means.
    pub description: &'static str,
}

/// All lines, in HAProxy's order. What it has and this program cannot have is 0.
#[must_use]
pub fn info(view: &View) -> Vec<Info> {
    let line = |place, name, tags, value, description| Info { place, name, tags, value, description };
    let text = |text: String| Value::Text(text);
    let zero = || Value::U32(0);
    let process = &view.process;
    let open: u64 = view.snapshot.frontends.iter().map(Frontend::all_open).sum();
    let connections: u64 = view.snapshot.frontends.iter().map(Frontend::all_connections).sum();
    let capacity: u64 = view.snapshot.servers.iter().map(|server| u64::from(server.slots)).sum();
    let (rate, highest_rate) = rates(view);
    let bytes: u64 = view.snapshot.frontends.iter().map(|frontend| frontend.traffic.bytes_out).sum();
    let version = || text(version());
    vec![
        line(0, "Name", "POS", text("xlb".to_owned()), "Product name"),
        line(1, "Version", "POS", version(), "The version of HAProxy whose formats these are, and ours"),
        line(2, "Release_date", "POS", text(RELEASE_DATE.to_owned()), "Date of that version of HAProxy"),
        line(3, "Nbthread", "CGS", Value::U32(1), "Number of started threads"),
        line(4, "Nbproc", "CGS", Value::U32(1), "Number of started worker processes"),
        line(5, "Process_num", "KGP", Value::U32(1), "Relative worker process number"),
        line(6, "Pid", "SGP", Value::U32(process.pid), "The agent's process"),
        line(7, "Uptime", "MDP", text(days(process.uptime)), "How long ago the agent was started"),
        line(8, "Uptime_sec", "MDP", Value::up_to_u32(process.uptime.as_secs()), "The same in seconds"),
        line(15, "Maxconn", "CLP", Value::up_to_u32(capacity), "Connections that there are ports for"),
        line(16, "Hard_maxconn", "CLP", Value::up_to_u32(capacity), "The same"),
        line(17, "CurrConns", "MGP", Value::up_to_u32(open), "Current number of connections"),
        line(18, "CumConns", "MCP", Value::up_to_u32(connections), "Total number of connections"),
        line(19, "CumReq", "MCP", zero(), "Total number of requests"),
        line(23, "Maxpipes", "CLP", zero(), "Limit of pipes"),
        line(24, "PipesUsed", "MGP", zero(), "Current number of pipes in use"),
        line(25, "PipesFree", "MGP", zero(), "Current number of pipes that are not"),
        line(26, "ConnRate", "MRP", Value::up_to_u32(rate), "New connections over the last second"),
        line(27, "ConnRateLimit", "CLP", zero(), "Limit of ConnRate"),
        line(28, "MaxConnRate", "MMP", Value::up_to_u32(highest_rate), "Highest ConnRate since the start"),
        line(29, "SessRate", "MRP", Value::up_to_u32(rate), "New sessions over the last second"),
        line(30, "SessRateLimit", "CLP", zero(), "Limit of SessRate"),
        line(31, "MaxSessRate", "MRP", Value::up_to_u32(highest_rate), "Highest SessRate since the start"),
        line(47, "Tasks", "MGP", zero(), "Current number of tasks"),
        line(48, "Run_queue", "MGP", zero(), "Current number of them that wait for the processor"),
        line(50, "node", "COS", text(process.node.clone()), "Node name"),
        line(52, "Stopping", "MGP", zero(), "1 if the agent is stopping"),
        line(61, "TotalBytesOut", "MGP", Value::U64(bytes), "Bytes that were sent to clients"),
        line(66, "Build info", "POS", version(), "Build info"),
        line(
            70,
            "Start_time_sec",
            "MDP",
            Value::up_to_u32(clock::unix_seconds(process.started)),
            "Start time in seconds",
        ),
    ]
}

/// New connections a second of all frontends together, and the most of any of them.
fn rates(view: &View) -> (u64, u64) {
    let names = view.snapshot.frontends.iter().map(|frontend| frontend.name.clone());
    let gauges = names.map(|name| view.gauges.of(&Whose::Frontend(name)));
    gauges.fold((0, 0), |(rate, highest), gauge| (rate + gauge.rate, highest.max(gauge.highest_rate)))
}

/// As HAProxy writes it: `0d 0h00m04s`.
fn days(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    format!("{}d {}h{:02}m{:02}s", hours / 24, hours % 24, minutes % 60, seconds % 60)
}
