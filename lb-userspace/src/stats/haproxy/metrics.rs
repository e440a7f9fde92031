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
    /// The line of `show info` that it repeats.
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

const PROCESS: &[ProcessFamily] = &[
    ProcessFamily {
        name: "nbthread",
        nature: Nature::Gauge,
        line: "Nbthread",
        help: "Number of started threads (global.nbthread)",
    },
    ProcessFamily {
        name: "nbproc",
        nature: Nature::Gauge,
        line: "Nbproc",
        help: "Number of started worker processes (historical, always 1)",
    },
    ProcessFamily {
        name: "relative_process_id",
        nature: Nature::Gauge,
        line: "Process_num",
        help: "Relative worker process number (1)",
    },
    ProcessFamily {
        name: "uptime_seconds",
        nature: Nature::Gauge,
        line: "Uptime_sec",
        help: "How long ago this worker process was started (seconds)",
    },
    ProcessFamily {
        name: "max_connections",
        nature: Nature::Gauge,
        line: "Maxconn",
        help: "Hard limit on the number of per-process connections (configured or imposed by Ulimit-n)",
    },
    ProcessFamily {
        name: "hard_max_connections",
        nature: Nature::Gauge,
        line: "Hard_maxconn",
        help: "Hard limit on the number of per-process connections (imposed by Memmax_MB or Ulimit-n)",
    },
    ProcessFamily {
        name: "current_connections",
        nature: Nature::Gauge,
        line: "CurrConns",
        help: "Current number of connections on this worker process",
    },
    ProcessFamily {
        name: "connections_total",
        nature: Nature::Counter,
        line: "CumConns",
        help: "Total number of connections on this worker process since started",
    },
    ProcessFamily {
        name: "requests_total",
        nature: Nature::Counter,
        line: "CumReq",
        help: "Total number of requests on this worker process since started",
    },
    ProcessFamily {
        name: "current_connection_rate",
        nature: Nature::Gauge,
        line: "ConnRate",
        help: "Number of front connections created on this worker process over the last second",
    },
    ProcessFamily {
        name: "limit_connection_rate",
        nature: Nature::Gauge,
        line: "ConnRateLimit",
        help: "Hard limit for ConnRate (global.maxconnrate)",
    },
    ProcessFamily {
        name: "max_connection_rate",
        nature: Nature::Gauge,
        line: "MaxConnRate",
        help: "Highest ConnRate reached on this worker process since started (in connections per second)",
    },
    ProcessFamily {
        name: "current_session_rate",
        nature: Nature::Gauge,
        line: "SessRate",
        help: "Number of sessions created on this worker process over the last second",
    },
    ProcessFamily {
        name: "limit_session_rate",
        nature: Nature::Gauge,
        line: "SessRateLimit",
        help: "Hard limit for SessRate (global.maxsessrate)",
    },
    ProcessFamily {
        name: "max_session_rate",
        nature: Nature::Gauge,
        line: "MaxSessRate",
        help: "Highest SessRate reached on this worker process since started (in sessions per second)",
    },
    ProcessFamily {
        name: "stopping",
        nature: Nature::Gauge,
        line: "Stopping",
        help: "1 if the worker process is currently stopping, otherwise zero",
    },
    ProcessFamily {
        name: "dropped_logs_total",
        nature: Nature::Counter,
        line: "DroppedLogs",
        help: "Total number of dropped logs for current worker process since started",
    },
    ProcessFamily {
        name: "bytes_out_total",
        nature: Nature::Counter,
        line: "TotalBytesOut",
        help: "Total number of bytes emitted by current worker process since started",
    },
    ProcessFamily { name: "build_info", nature: Nature::Gauge, line: "Build info", help: "Build info" },
    ProcessFamily {
        name: "start_time_seconds",
        nature: Nature::Gauge,
        line: "Start_time_sec",
        help: "Start time in seconds",
    },
];

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
    let Some(Info { value, .. }) = info.iter().find(|info| info.name == family.line) else { return };
    let name = format!("haproxy_process_{}", family.name);
    head(text, &name, family.help, family.nature);
    let _ = match value {
        // What it says is a label; there is nothing to count.
        Value::Text(said) => writeln!(text, "{name}{{version=\"{}\"}} 1", escaped(said)),
        number => writeln!(text, "{name} {number}"),
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
