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

/// Declares lines of what there is none of, each with its kind of number.
macro_rules! nothing {
    ($($kind:ident $place:literal $name:literal $tags:literal, $description:literal;)+) => {
        /// What HAProxy has and this program cannot have.
        const NOTHING: &[Info] = &[$(Info {
            place: $place,
            name: $name,
            tags: $tags,
            value: Value::$kind(0),
            description: $description,
        },)+];
    };
}

nothing! {
    U32 9 "Memmax_MB" "CLP", "Limit of memory in MB";
    U32 12 "PoolFailed" "MCP", "Failed allocations of memory";
    U32 20 "MaxSslConns" "MMP", "Limit of TLS sessions";
    U32 21 "CurrSslConns" "MGP", "Current number of TLS sessions";
    U32 22 "CumSslConns" "MCP", "Total number of TLS sessions";
    U32 23 "Maxpipes" "CLP", "Limit of pipes";
    U32 24 "PipesUsed" "MGP", "Current number of pipes in use";
    U32 25 "PipesFree" "MGP", "Current number of pipes that are not";
    U32 27 "ConnRateLimit" "CLP", "Limit of ConnRate";
    U32 30 "SessRateLimit" "CLP", "Limit of SessRate";
    U32 32 "SslRate" "MRP", "TLS sessions over the last second";
    U32 33 "SslRateLimit" "CLP", "Limit of SslRate";
    U32 34 "MaxSslRate" "MMP", "Highest SslRate since the start";
    U32 35 "SslFrontendKeyRate" "MGP", "Keys of clients' TLS sessions over the last second";
    U32 36 "SslFrontendMaxKeyRate" "MMP", "Highest SslFrontendKeyRate since the start";
    U32 37 "SslFrontendSessionReuse_pct" "MGP", "Percent of clients' TLS sessions without a new key";
    U32 38 "SslBackendKeyRate" "MRP", "Keys of servers' TLS sessions over the last second";
    U32 39 "SslBackendMaxKeyRate" "MMP", "Highest SslBackendKeyRate since the start";
    U32 40 "SslCacheLookups" "MCP", "Total number of looks for a former TLS session";
    U32 41 "SslCacheMisses" "MCP", "Those of them that found none";
    U32 42 "CompressBpsIn" "MRP", "Bytes to be compressed over the last second";
    U32 43 "CompressBpsOut" "MRP", "Compressed bytes over the last second";
    U32 44 "CompressBpsRateLim" "CLP", "Limit of CompressBpsOut";
    U32 48 "Run_queue" "MGP", "Current number of tasks that wait for the processor";
    U32 52 "Stopping" "MGP", "1 if the agent is stopping";
    U32 54 "Unstoppable Jobs" "MGP", "Current number of jobs that cannot be stopped";
    U32 56 "ActivePeers" "MGP", "Current number of peers";
    U32 57 "ConnectedPeers" "MGP", "Current number of them that are connected";
    U32 59 "BusyPolling" "MGP", "1 if the agent polls all the time";
    U32 60 "FailedResolutions" "MGP", "Total number of names that could not be resolved";
    U64 62 "TotalSplicdedBytesOut" "MGP", "Bytes that were sent to clients through a pipe";
    U32 64 "DebugCommandsIssued" "MGP", "Total number of commands for debugging";
    U32 65 "CumRecvLogs" "MCP", "Total number of lines of others' logs";
    U32 67 "Memmax_bytes" "CLP", "Limit of memory in bytes";
}

/// All lines, in HAProxy's order.
#[must_use]
pub fn info(view: &View) -> Vec<Info> {
    let mut lines = NOTHING.to_vec();
    lines.extend(product());
    lines.extend(agent(view));
    lines.extend(resources(view));
    lines.extend(traffic(view));
    lines.sort_by_key(|line| line.place);
    lines
}

const fn line(
    place: usize,
    name: &'static str,
    tags: &'static str,
    value: Value,
    description: &'static str,
) -> Info {
    Info { place, name, tags, value, description }
}

/// What does not change.
fn product() -> [Info; 8] {
    let text = |text: &str| Value::from(text);
    let version = || Value::Text(version());
    [
        line(0, "Name", "POS", text("xlb"), "Product name"),
        line(1, "Version", "POS", version(), "The version of HAProxy whose formats these are, and ours"),
        line(2, "Release_date", "POS", text(RELEASE_DATE), "Date of that version of HAProxy"),
        line(3, "Nbthread", "CGS", Value::U32(1), "Number of started threads"),
        line(4, "Nbproc", "CGS", Value::U32(1), "Number of started worker processes"),
        line(5, "Process_num", "KGP", Value::U32(1), "Relative worker process number"),
        line(66, "Build info", "POS", version(), "Build info"),
        line(71, "Tainted", "SGP", text("0"), "Experimental features in use"),
    ]
}

fn agent(view: &View) -> [Info; 8] {
    let process = &view.process;
    let started = clock::unix_seconds(process.started);
    let dropped = Value::up_to_u32(process.dropped_logs);
    [
        line(6, "Pid", "SGP", Value::U32(process.pid), "The agent's process"),
        line(7, "Uptime", "MDP", Value::Text(days(process.uptime)), "How long ago the agent was started"),
        line(8, "Uptime_sec", "MDP", Value::up_to_u32(process.uptime.as_secs()), "The same in seconds"),
        line(47, "Tasks", "MGP", Value::up_to_u32(process.tasks), "Current number of the agent's tasks"),
        line(49, "Idle_pct", "MaP", Value::U32(process.idle_percent), "Percent of its time that it is idle"),
        line(50, "node", "COS", Value::Text(process.node.clone()), "Node name"),
        line(58, "DroppedLogs", "MGP", dropped, "Lines of the log that were dropped"),
        line(70, "Start_time_sec", "MDP", Value::up_to_u32(started), "Start time in seconds"),
    ]
}

/// What there is to be used. All maps are there from the start, so all of their memory is in use.
fn resources(view: &View) -> [Info; 8] {
    let memory = view.snapshot.memory_bytes();
    let megabytes = || Value::up_to_u32(memory >> 20);
    let files = || Value::up_to_u32(view.process.max_files);
    let slots = view.snapshot.servers.iter().map(|server| u64::from(server.slots)).sum();
    let capacity = || Value::up_to_u32(slots);
    [
        line(10, "PoolAlloc_MB", "MGP", megabytes(), "Memory of the maps in MB"),
        line(11, "PoolUsed_MB", "MGP", megabytes(), "The same"),
        line(13, "Ulimit-n", "CLP", files(), "Files that the agent may have open"),
        line(14, "Maxsock", "CLP", files(), "The same: a socket is a file"),
        line(15, "Maxconn", "CLP", capacity(), "Connections that there are ports for"),
        line(16, "Hard_maxconn", "CLP", capacity(), "The same"),
        line(68, "PoolAlloc_bytes", "MGP", Value::U64(memory), "Memory of the maps in bytes"),
        line(69, "PoolUsed_bytes", "MGP", Value::U64(memory), "The same"),
    ]
}

fn traffic(view: &View) -> [Info; 11] {
    let frontends = &view.snapshot.frontends;
    let listeners = frontends.iter().filter(|frontend| !frontend.removed).count() as u64;
    let open: u64 = frontends.iter().map(Frontend::all_open).sum();
    // Of the total, 32 bits are kept.
    let total = || Value::U32(frontends.iter().map(Frontend::all_connections).sum::<u64>() as u32);
    let bytes = Value::U64(frontends.iter().map(|frontend| frontend.traffic.bytes_out).sum());
    let gauge = view.gauges.of(&Whose::Everybody);
    let rate = || Value::up_to_u32(gauge.rate);
    let highest = || Value::up_to_u32(gauge.highest_rate);
    let bytes_rate = Value::U64(gauge.bytes_out_rate);
    let jobs = Value::up_to_u32(open + listeners);
    [
        line(17, "CurrConns", "MGP", Value::up_to_u32(open), "Current number of connections"),
        line(18, "CumConns", "MCP", total(), "Total number of connections, of which 32 bits are kept"),
        line(19, "CumReq", "MCP", total(), "The same: each is a request to forward"),
        line(26, "ConnRate", "MRP", rate(), "New connections over the last second"),
        line(28, "MaxConnRate", "MMP", highest(), "Highest ConnRate since the start"),
        line(29, "SessRate", "MRP", rate(), "New sessions over the last second"),
        line(31, "MaxSessRate", "MRP", highest(), "Highest SessRate since the start"),
        line(53, "Jobs", "MGP", jobs, "Connections and frontends"),
        line(55, "Listeners", "MGP", Value::up_to_u32(listeners), "Frontends"),
        line(61, "TotalBytesOut", "MGP", bytes, "Bytes that were sent to clients"),
        line(63, "BytesOutRate", "MRP", bytes_rate, "The same over the last second"),
    ]
}

/// As HAProxy writes it: `0d 0h00m04s`.
fn days(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    format!("{}d {}h{:02}m{:02}s", hours / 24, hours % 24, minutes % 60, seconds % 60)
}
