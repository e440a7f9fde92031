//! HAProxy's metrics in Prometheus' text format, version 0.0.4: families, order, labels and help texts are those
//! of the exporter that HAProxy 2.6 has built in.
//!
//! Those that only HTTP has are left out, as HAProxy leaves them out where no frontend speaks it.

use std::fmt::Write;

use super::{Column, Info, Kind, Row, Value};

/// What the numbers of a family are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Nature {
    Counter,
    Gauge,
}

/// How a value of the table becomes one of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// As it is; not a number where the row has none.
    Number,
    /// Milliseconds, which become seconds.
    Millis,
    /// One sample for each state that there is, 1 for the one that it is in.
    State(&'static [&'static str]),
    /// One sample for each state that a column of servers may name: how many are in it.
    Servers(&'static [&'static str], Column),
}

/// A family of each kind of row that has it.
struct Family {
    /// Its name behind the kind's.
    name: &'static str,
    help: &'static str,
    nature: Nature,
    kinds: &'static [Kind],
    column: Column,
    form: Form,
}

/// A family of the process.
struct ProcessFamily {
    name: &'static str,
    nature: Nature,
    /// The line of `show info` that it repeats; not a number where that has no such line.
    line: &'static str,
    help: &'static str,
}

const ALL: &[Kind] = &[Kind::Frontend, Kind::Backend, Kind::Server];
const PROXIES: &[Kind] = &[Kind::Frontend, Kind::Backend];
const BEHIND: &[Kind] = &[Kind::Backend, Kind::Server];
const FRONTEND: &[Kind] = &[Kind::Frontend];
const BACKEND: &[Kind] = &[Kind::Backend];
const SERVER: &[Kind] = &[Kind::Server];

/// The states of a proxy, and those of a server.
const PROXY_STATES: &[&str] = &["DOWN", "UP"];
const SERVER_STATES: &[&str] = &["DOWN", "UP", "MAINT", "DRAIN", "NOLB"];

/// The results of a check.
const CHECKS: &[&str] = &[
    "HANA", "SOCKERR", "L4OK", "L4TOUT", "L4CON", "L6OK", "L6TOUT", "L6RSP", "L7TOUT", "L7RSP", "L7OK",
    "L7OKC", "L7STS", "PROCERR", "PROCTOUT", "PROCOK",
];

/// Declares families, a line each.
macro_rules! families {
    ($($nature:ident $name:literal $kinds:ident $column:ident $form:expr, $help:literal;)+) => {
        /// In HAProxy's order.
        const FAMILIES: &[Family] = &[$(Family {
            name: $name,
            help: $help,
            nature: Nature::$nature,
            kinds: $kinds,
            column: Column::$column,
            form: $form,
        },)+];
    };
}

use Form::{Millis, Number, Servers, State};

families! {
    Gauge "current_queue" BEHIND Qcur Number, "Number of current queued connections";
    Gauge "max_queue" BEHIND Qmax Number, "Highest value of queued connections encountered since process started";
    Gauge "current_sessions" ALL Scur Number, "Number of current sessions on the frontend, backend or server";
    Gauge "max_sessions" ALL Smax Number, "Highest value of current sessions encountered since process started";
    Gauge "limit_sessions" ALL Slim Number, "Frontend/listener/server's maxconn, backend's fullconn";
    Counter "sessions_total" ALL Stot Number, "Total number of sessions since process started";
    Counter "bytes_in_total" ALL Bin Number, "Total number of request bytes since process started";
    Counter "bytes_out_total" ALL Bout Number, "Total number of response bytes since process started";
    Counter "requests_denied_total" PROXIES Dreq Number, "Total number of denied requests since process started";
    Counter "responses_denied_total" ALL Dresp Number, "Total number of denied responses since process started";
    Counter "request_errors_total" FRONTEND Ereq Number, "Total number of invalid requests since process started";
    Counter "connection_errors_total" BEHIND Econ Number, "Total number of failed connections to server since the worker process started";
    Counter "response_errors_total" BEHIND Eresp Number, "Total number of invalid responses since the worker process started";
    Counter "retry_warnings_total" BEHIND Wretr Number, "Total number of server connection retries since the worker process started";
    Counter "redispatch_warnings_total" BEHIND Wredis Number, "Total number of server redispatches due to connection failures since the worker process started";
    Gauge "status" PROXIES Status State(PROXY_STATES), "Current status of the service, per state label value.";
    Gauge "status" SERVER Status State(SERVER_STATES), "Current status of the service, per state label value.";
    Gauge "limit_session_rate" FRONTEND RateLim Number, "Limit on the number of sessions accepted in a second (frontend only, 'rate-limit sessions' setting)";
    Gauge "weight" BEHIND Weight Number, "Server's effective weight, or sum of active servers' effective weights for a backend";
    Gauge "active_servers" BACKEND Act Number, "Total number of active UP servers with a non-zero weight";
    Gauge "backup_servers" BACKEND Bck Number, "Total number of backup UP servers with a non-zero weight";
    Counter "check_failures_total" SERVER Chkfail Number, "Total number of failed individual health checks per server/backend, since the worker process started";
    Counter "check_up_down_total" BEHIND Chkdown Number, "Total number of failed checks causing UP to DOWN server transitions, per server/backend, since the worker process started";
    Gauge "check_last_change_seconds" BEHIND Lastchg Number, "How long ago the last server state changed, in seconds";
    Counter "downtime_seconds_total" BEHIND Downtime Number, "Total time spent in DOWN state, for server or backend";
    Gauge "queue_limit" SERVER Qlimit Number, "Limit on the number of connections in queue, for servers only (maxqueue argument)";
    Gauge "current_throttle" SERVER Throttle Number, "Throttling ratio applied to a server's maxconn and weight during the slowstart period (0 to 100%)";
    Counter "loadbalanced_total" BEHIND Lbtot Number, "Total number of requests routed by load balancing since the worker process started (ignores queue pop and stickiness)";
    Gauge "max_session_rate" ALL RateMax Number, "Highest value of sessions per second observed since the worker process started";
    Gauge "connections_rate_max" FRONTEND ConnRateMax Number, "Highest value of connections per second observed since the worker process started";
    Counter "connections_total" FRONTEND ConnTot Number, "Total number of new connections accepted on this frontend since the worker process started";
    Counter "denied_connections_total" FRONTEND Dcon Number, "Total number of incoming connections blocked on a listener/frontend by a tcp-request connection rule since the worker process started";
    Counter "denied_sessions_total" FRONTEND Dses Number, "Total number of incoming sessions blocked on a listener/frontend by a tcp-request connection rule since the worker process started";
    Gauge "check_status" SERVER CheckStatus State(CHECKS), "Status of last health check, per state label value.";
    Gauge "check_code" SERVER CheckCode Number, "layer5-7 code, if available of the last health check.";
    Gauge "check_duration_seconds" SERVER CheckDuration Millis, "Total duration of the latest server health check, in seconds.";
    Counter "client_aborts_total" BEHIND CliAbrt Number, "Total number of requests or connections aborted by the client since the worker process started";
    Counter "server_aborts_total" BEHIND SrvAbrt Number, "Total number of requests or connections aborted by the server since the worker process started";
    Gauge "last_session_seconds" BEHIND Lastsess Number, "How long ago some traffic was seen on this object on this worker process, in seconds";
    Gauge "queue_time_average_seconds" BEHIND Qtime Millis, "Avg. queue time for last 1024 successful connections.";
    Gauge "connect_time_average_seconds" BEHIND Ctime Millis, "Avg. connect time for last 1024 successful connections.";
    Gauge "response_time_average_seconds" BEHIND Rtime Millis, "Avg. response time for last 1024 successful connections.";
    Gauge "total_time_average_seconds" BEHIND Ttime Millis, "Avg. total time for last 1024 successful connections.";
    Counter "failed_header_rewriting_total" ALL Wrew Number, "Total number of failed HTTP header rewrites since the worker process started";
    Counter "connection_attempts_total" BEHIND Connect Number, "Total number of outgoing connection attempts on this backend/server since the worker process started";
    Counter "connection_reuses_total" BEHIND Reuse Number, "Total number of reused connection on this backend/server since the worker process started";
    Gauge "idle_connections_current" SERVER SrvIcur Number, "Current number of idle connections available for reuse on this server";
    Gauge "idle_connections_limit" SERVER SrcIlim Number, "Limit on the number of available idle connections on this server (server 'pool_max_conn' directive)";
    Gauge "max_queue_time_seconds" BEHIND QtimeMax Millis, "Maximum observed time spent in the queue";
    Gauge "max_connect_time_seconds" BEHIND CtimeMax Millis, "Maximum observed time spent waiting for a connection to complete";
    Gauge "max_response_time_seconds" BEHIND RtimeMax Millis, "Maximum observed time spent waiting for a server response";
    Gauge "max_total_time_seconds" BEHIND TtimeMax Millis, "Maximum observed total request+response time (request+queue+connect+response+processing)";
    Counter "internal_errors_total" ALL Eint Number, "Total number of internal errors since process started";
    Gauge "unsafe_idle_connections_current" SERVER IdleConnCur Number, "Current number of unsafe idle connections";
    Gauge "safe_idle_connections_current" SERVER SafeConnCur Number, "Current number of safe idle connections";
    Gauge "used_connections_current" SERVER UsedConnCur Number, "Current number of connections in use";
    Gauge "need_connections_current" SERVER NeedConnEst Number, "Estimated needed number of connections";
    Gauge "uweight" BEHIND Uweight Number, "Server's user weight, or sum of active servers' user weights for a backend";
    Gauge "agg_server_status" BACKEND AggServerStatus Servers(SERVER_STATES, Column::Status), "Backend's aggregated gauge of servers' status";
    Gauge "agg_server_check_status" BACKEND AggServerCheckStatus Servers(SERVER_STATES, Column::Status), "Backend's aggregated gauge of servers' state check status";
    Gauge "agg_check_status" BACKEND AggCheckStatus Servers(CHECKS, Column::CheckStatus), "Backend's aggregated gauge of servers' state check status";
}

/// Declares families of the process, a line each.
macro_rules! process_families {
    ($($nature:ident $name:literal $line:literal, $help:literal;)+) => {
        /// In HAProxy's order.
        const PROCESS: &[ProcessFamily] =
            &[$(ProcessFamily { name: $name, nature: Nature::$nature, line: $line, help: $help },)+];
    };
}

process_families! {
    Gauge "nbthread" "Nbthread", "Number of started threads (global.nbthread)";
    Gauge "nbproc" "Nbproc", "Number of started worker processes (historical, always 1)";
    Gauge "relative_process_id" "Process_num", "Relative worker process number (1)";
    Gauge "uptime_seconds" "Uptime_sec", "How long ago this worker process was started (seconds)";
    Counter "pool_failures_total" "PoolFailed", "Number of failed pool allocations since this worker was started";
    Gauge "max_fds" "Ulimit-n", "Hard limit on the number of per-process file descriptors";
    Gauge "max_sockets" "Maxsock", "Hard limit on the number of per-process sockets";
    Gauge "max_connections" "Maxconn", "Hard limit on the number of per-process connections (configured or imposed by Ulimit-n)";
    Gauge "hard_max_connections" "Hard_maxconn", "Hard limit on the number of per-process connections (imposed by Memmax_MB or Ulimit-n)";
    Gauge "current_connections" "CurrConns", "Current number of connections on this worker process";
    Counter "connections_total" "CumConns", "Total number of connections on this worker process since started";
    Counter "requests_total" "CumReq", "Total number of requests on this worker process since started";
    Gauge "max_ssl_connections" "MaxSslConns", "Hard limit on the number of per-process SSL endpoints (front+back), 0=unlimited";
    Gauge "current_ssl_connections" "CurrSslConns", "Current number of SSL endpoints on this worker process (front+back)";
    Counter "ssl_connections_total" "CumSslConns", "Total number of SSL endpoints on this worker process since started (front+back)";
    Gauge "max_pipes" "Maxpipes", "Hard limit on the number of pipes for splicing, 0=unlimited";
    Counter "pipes_used_total" "PipesUsed", "Current number of pipes in use in this worker process";
    Counter "pipes_free_total" "PipesFree", "Current number of allocated and available pipes in this worker process";
    Gauge "current_connection_rate" "ConnRate", "Number of front connections created on this worker process over the last second";
    Gauge "limit_connection_rate" "ConnRateLimit", "Hard limit for ConnRate (global.maxconnrate)";
    Gauge "max_connection_rate" "MaxConnRate", "Highest ConnRate reached on this worker process since started (in connections per second)";
    Gauge "current_session_rate" "SessRate", "Number of sessions created on this worker process over the last second";
    Gauge "limit_session_rate" "SessRateLimit", "Hard limit for SessRate (global.maxsessrate)";
    Gauge "max_session_rate" "MaxSessRate", "Highest SessRate reached on this worker process since started (in sessions per second)";
    Gauge "current_ssl_rate" "SslRate", "Number of SSL connections created on this worker process over the last second";
    Gauge "limit_ssl_rate" "SslRateLimit", "Hard limit for SslRate (global.maxsslrate)";
    Gauge "max_ssl_rate" "MaxSslRate", "Highest SslRate reached on this worker process since started (in connections per second)";
    Gauge "current_frontend_ssl_key_rate" "SslFrontendKeyRate", "Number of SSL keys created on frontends in this worker process over the last second";
    Gauge "max_frontend_ssl_key_rate" "SslFrontendMaxKeyRate", "Highest SslFrontendKeyRate reached on this worker process since started (in SSL keys per second)";
    Gauge "frontend_ssl_reuse" "SslFrontendSessionReuse_pct", "Percent of frontend SSL connections which did not require a new key";
    Gauge "current_backend_ssl_key_rate" "SslBackendKeyRate", "Number of SSL keys created on backends in this worker process over the last second";
    Gauge "max_backend_ssl_key_rate" "SslBackendMaxKeyRate", "Highest SslBackendKeyRate reached on this worker process since started (in SSL keys per second)";
    Counter "ssl_cache_lookups_total" "SslCacheLookups", "Total number of SSL session ID lookups in the SSL session cache on this worker since started";
    Counter "ssl_cache_misses_total" "SslCacheMisses", "Total number of SSL session ID lookups that didn't find a session in the SSL session cache on this worker since started";
    Counter "http_comp_bytes_in_total" "CompressBpsIn", "Number of bytes submitted to the HTTP compressor in this worker process over the last second";
    Counter "http_comp_bytes_out_total" "CompressBpsOut", "Number of bytes emitted by the HTTP compressor in this worker process over the last second";
    Gauge "limit_http_comp" "CompressBpsRateLim", "Limit of CompressBpsOut beyond which HTTP compression is automatically disabled";
    Gauge "current_zlib_memory" "ZlibMemUsage", "Amount of memory currently used by HTTP compression on the current worker process (in bytes)";
    Gauge "max_zlib_memory" "MaxZlibMemUsage", "Limit on the amount of memory used by HTTP compression above which it is automatically disabled (in bytes, see global.maxzlibmem)";
    Gauge "current_tasks" "Tasks", "Total number of tasks in the current worker process (active + sleeping)";
    Gauge "current_run_queue" "Run_queue", "Total number of active tasks+tasklets in the current worker process";
    Gauge "idle_time_percent" "Idle_pct", "Percentage of last second spent waiting in the current worker thread";
    Gauge "stopping" "Stopping", "1 if the worker process is currently stopping, otherwise zero";
    Gauge "jobs" "Jobs", "Current number of active jobs on the current worker process (frontend connections, master connections, listeners)";
    Gauge "unstoppable_jobs" "Unstoppable Jobs", "Current number of unstoppable jobs on the current worker process (master connections)";
    Gauge "listeners" "Listeners", "Current number of active listeners on the current worker process";
    Gauge "active_peers" "ActivePeers", "Current number of verified active peers connections on the current worker process";
    Gauge "connected_peers" "ConnectedPeers", "Current number of peers having passed the connection step on the current worker process";
    Counter "dropped_logs_total" "DroppedLogs", "Total number of dropped logs for current worker process since started";
    Gauge "busy_polling_enabled" "BusyPolling", "1 if busy-polling is currently in use on the worker process, otherwise zero (config.busy-polling)";
    Counter "failed_resolutions" "FailedResolutions", "Total number of failed DNS resolutions in current worker process since started";
    Counter "bytes_out_total" "TotalBytesOut", "Total number of bytes emitted by current worker process since started";
    Counter "spliced_bytes_out_total" "TotalSplicdedBytesOut", "Total number of bytes emitted by current worker process through a kernel pipe since started";
    Gauge "bytes_out_rate" "BytesOutRate", "Number of bytes emitted by current worker process over the last second";
    Counter "recv_logs_total" "CumRecvLogs", "Total number of log messages received by log-forwarding listeners on this worker process since started";
    Gauge "build_info" "Build info", "Build info";
    Gauge "max_memory_bytes" "Memmax_bytes", "Worker process's hard limit on memory usage in byes (-m on command line)";
    Gauge "pool_allocated_bytes" "PoolAlloc_bytes", "Amount of memory allocated in pools (in bytes)";
    Gauge "pool_used_bytes" "PoolUsed_bytes", "Amount of pool memory currently used (in bytes)";
    Gauge "start_time_seconds" "Start_time_sec", "Start time in seconds";
}

/// The page that Prometheus scrapes, as far as it is HAProxy's.
#[must_use]
pub fn metrics(info: &[Info], rows: &[Row]) -> String {
    let mut text = String::new();
    for family in PROCESS {
        process(&mut text, family, info);
    }
    for kind in ALL {
        let of_kind: Vec<_> = rows.iter().filter(|row| row.kind == *kind).collect();
        for family in FAMILIES.iter().filter(|family| family.kinds.contains(kind)) {
            let name = format!("haproxy_{}_{}", kind_name(*kind), family.name);
            head(&mut text, &name, family.help, family.nature);
            for row in &of_kind {
                family.samples(&mut text, &name, row, rows);
            }
        }
    }
    text
}

/// The lines before a family's samples.
fn head(text: &mut String, name: &str, help: &str, nature: Nature) {
    let nature = match nature {
        Nature::Counter => "counter",
        Nature::Gauge => "gauge",
    };
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {nature}");
}

fn process(text: &mut String, family: &ProcessFamily, info: &[Info]) {
    let name = format!("haproxy_process_{}", family.name);
    head(text, &name, family.help, family.nature);
    let line = info.iter().find(|info| info.name == family.line);
    let _ = match line.map(|line| &line.value) {
        // What it says is a label; there is nothing to count.
        Some(Value::Text(said)) => writeln!(text, "{name}{{version=\"{}\"}} 1", escaped(said)),
        Some(number) => writeln!(text, "{name} {number}"),
        None => writeln!(text, "{name} NaN"),
    };
}

impl Family {
    fn samples(&self, text: &mut String, name: &str, row: &Row, rows: &[Row]) {
        let labels = labels(row);
        let value = row.get(self.column);
        let mut states = |states: &[&str], count: &dyn Fn(&str) -> usize| {
            for state in states {
                let _ = writeln!(text, "{name}{{{labels},state=\"{state}\"}} {}", count(state));
            }
        };
        match self.form {
            State(all) => {
                let Some(value) = value else { return };
                let is = word(&value.to_string()).to_owned();
                states(all, &|state| usize::from(state == is));
            }
            Servers(all, column) => {
                let servers =
                    || rows.iter().filter(|other| other.kind == Kind::Server && other.iid == row.iid);
                let is = |server: &Row, state: &str| {
                    server.get(column).is_some_and(|status| word(&status.to_string()) == state)
                };
                states(all, &|state| servers().filter(|server| is(server, state)).count());
            }
            Number | Millis if self.column == Column::CheckCode && row.get(Column::CheckStatus).is_none() => {
            }
            Number => {
                let value = value.map_or("NaN".to_owned(), Value::to_string);
                let _ = writeln!(text, "{name}{{{labels}}} {value}");
            }
            Millis => {
                let seconds = value.and_then(Value::number).map_or(f64::NAN, |millis| millis / 1_000.0);
                let _ = writeln!(text, "{name}{{{labels}}} {seconds:.6}");
            }
        }
    }
}

/// The first word of a status, in HAProxy's own: `UP 2/3` is `UP`, a frontend that is `OPEN` is `UP`, and a
/// server that nobody checks is, too.
fn word(status: &str) -> &str {
    match status.split(' ').next().unwrap_or_default() {
        "OPEN" | "no" => "UP",
        word => word,
    }
}

fn labels(row: &Row) -> String {
    let text = |column| row.get(column).map_or(String::new(), |value| escaped(&value.to_string()));
    let proxy = text(Column::Pxname);
    match row.kind {
        Kind::Server => format!("proxy=\"{proxy}\",server=\"{}\"", text(Column::Svname)),
        Kind::Frontend | Kind::Backend => format!("proxy=\"{proxy}\""),
    }
}

/// As a label's value is written.
pub(crate) fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

const fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Frontend => "frontend",
        Kind::Backend => "backend",
        Kind::Server => "server",
    }
}
