//! From what is known to the table.

use std::time::Duration;

use super::{Column, Kind, Row, Value};
use crate::stats::{Check, Frontend, Gauge, Server, ServerState, Sessions, Traffic, View, Whose};

/// The number of the first frontend. HAProxy has 1 for itself.
const FIRST_PROXY: u32 = 2;

/// A backend, which is nothing but its servers and the frontends before them.
struct Backend<'v> {
    name: &'v str,
    iid: u32,
    servers: Vec<&'v Server>,
    frontends: Vec<&'v Frontend>,
}

/// The frontends, and each backend behind its servers: what has left the configuration is left out.
#[must_use]
pub fn rows(view: &View) -> Vec<Row> {
    let frontends: Vec<_> = view.snapshot.frontends.iter().filter(|frontend| !frontend.removed).collect();
    let first_backend = FIRST_PROXY + frontends.len() as u32;
    let mut rows: Vec<_> =
        (FIRST_PROXY..).zip(&frontends).map(|(iid, frontend)| frontend_row(view, iid, frontend)).collect();
    for backend in backends(view, first_backend) {
        rows.extend((1..).zip(&backend.servers).map(|(sid, server)| server_row(view, &backend, sid, server)));
        rows.push(backend_row(view, &backend));
    }
    rows
}

fn backends(view: &View, first: u32) -> Vec<Backend<'_>> {
    let mut backends: Vec<Backend<'_>> = Vec::new();
    for server in view.snapshot.servers.iter().filter(|server| server.state != ServerState::Removed) {
        let name = server.backend.as_str();
        if let Some(backend) = backends.iter_mut().find(|backend| backend.name == name) {
            backend.servers.push(server);
        } else {
            let iid = first + backends.len() as u32;
            let frontends = view.snapshot.frontends.iter().filter(|frontend| frontend.backend == name);
            backends.push(Backend { name, iid, servers: vec![server], frontends: frontends.collect() });
        }
    }
    backends
}

fn frontend_row(view: &View, iid: u32, frontend: &Frontend) -> Row {
    let mut row = Row::new(Kind::Frontend, (&frontend.name, iid), ("FRONTEND", 0));
    let gauge = view.gauges.of(&Whose::Frontend(frontend.name.clone()));
    row.set(Column::Status, "OPEN".into());
    common(&mut row, frontend.all_connections(), frontend.all_open(), &gauge, &frontend.traffic);
    row.set(Column::Slim, Value::up_to_u32(limit(view, frontend)));
    row.set(Column::ConnRate, Value::up_to_u32(gauge.rate));
    row.set(Column::ConnRateMax, Value::up_to_u32(gauge.highest_rate));
    row.u32s(&[(Column::RateLim, 0), (Column::ReqRate, 0), (Column::ReqRateMax, 0)]);
    row.u64s(&[
        (Column::ConnTot, frontend.all_connections()),
        (Column::Dreq, 0),
        (Column::Dresp, 0),
        (Column::Ereq, 0),
        (Column::ReqTot, 0),
        (Column::Dcon, 0),
        (Column::Dses, 0),
    ]);
    never_compressed(&mut row);
    row
}

/// The most connections that a frontend can have at once: as many as it may, or as many as have ports.
fn limit(view: &View, frontend: &Frontend) -> u64 {
    let servers = view.snapshot.servers.iter().filter(|server| server.backend == frontend.backend);
    let slots = servers.map(|server| u64::from(server.slots)).sum();
    frontend.max_connections.map_or(slots, u64::from)
}

fn server_row(view: &View, backend: &Backend, sid: u32, server: &Server) -> Row {
    let mut row = Row::new(Kind::Server, (backend.name, backend.iid), (&server.name, sid));
    let whose = Whose::Server(server.backend.clone(), server.name.clone());
    row.set(Column::Status, server.status.as_str().into());
    common(&mut row, server.all_connections(), server.all_open(), &view.gauges.of(&whose), &server.traffic);
    let activity = view.activity.server(&server.backend, &server.name);
    behind(&mut row, server.refused, server.redispatched);
    sessions(&mut row, &activity.sessions);
    last_session(&mut row, view, &whose);
    if let Some(throttle) = activity.throttle {
        row.set(Column::Throttle, Value::U32(throttle));
    }
    row.u64s(&[(Column::Lbtot, server.all_connections()), (Column::Connect, server.all_connections())]);
    row.u32s(&[
        (Column::Weight, effective_weight(server, activity.throttle)),
        (Column::Uweight, server.weight),
        (Column::Act, u32::from(!server.backup)),
        (Column::Bck, u32::from(server.backup)),
        // Connections are not kept for others.
        (Column::SrvIcur, 0),
        (Column::IdleConnCur, 0),
        (Column::SafeConnCur, 0),
    ]);
    row.set(Column::UsedConnCur, Value::up_to_u32(server.all_open()));
    row.set(Column::NeedConnEst, Value::up_to_u32(server.all_open()));
    row.set(Column::Addr, Value::Text(server.address.to_string()));
    health(&mut row, server);
    row
}

/// What its checks say, if there are any.
fn health(row: &mut Row, server: &Server) {
    let Some(standing) = server.standing else { return };
    let since = server.since.unwrap_or_default();
    // In maintenance too.
    let is_down = standing.counter < standing.rise;
    let down_now = if is_down { since } else { Duration::ZERO };
    row.set(Column::Lastchg, seconds(since));
    row.set(Column::Downtime, seconds(Duration::from_millis(server.history.down_for) + down_now));
    row.u64s(&[(Column::Chkfail, server.history.failures), (Column::Chkdown, server.history.downs)]);
    if let Some(Check { status, code, description, info, duration, .. }) = &server.check {
        row.set(Column::CheckStatus, status.as_str().into());
        row.set(Column::CheckDuration, Value::U64(duration.as_millis() as u64));
        row.set(Column::CheckDesc, description.as_str().into());
        row.set(Column::LastChk, info.as_deref().unwrap_or_default().into());
        if let Some(code) = code {
            row.set(Column::CheckCode, Value::U32(u32::from(*code)));
        }
    }
    row.u32s(&[
        (Column::CheckRise, standing.rise),
        (Column::CheckFall, standing.fall),
        (Column::CheckHealth, standing.counter),
    ]);
}

fn backend_row(view: &View, backend: &Backend) -> Row {
    let mut row = Row::new(Kind::Backend, (backend.name, backend.iid), ("BACKEND", 0));
    let whose = Whose::Backend(backend.name.to_owned());
    let frontends = || backend.frontends.iter();
    let sum = |value: fn(&Frontend) -> u64| frontends().map(|frontend| value(frontend)).sum::<u64>();
    let connections = sum(Frontend::all_connections);
    let traffic = Traffic {
        bytes_in: sum(|frontend| frontend.traffic.bytes_in),
        bytes_out: sum(|frontend| frontend.traffic.bytes_out),
        ..Traffic::default()
    };
    common(&mut row, connections, sum(Frontend::all_open), &view.gauges.of(&whose), &traffic);
    behind(&mut row, sum(|frontend| frontend.refused), sum(|frontend| frontend.redispatched));
    sessions(&mut row, &view.activity.sessions(backend.name));
    last_session(&mut row, view, &whose);
    row.u64s(&[(Column::Lbtot, connections), (Column::Connect, connections), (Column::Dreq, 0)]);
    let limit = frontends().map(|frontend| limit(view, frontend)).max().unwrap_or_default();
    row.set(Column::Slim, Value::up_to_u32(limit));
    row.set(Column::Algo, "roundrobin".into());
    let outage = view.outages.of(backend.name);
    row.set(Column::Status, if outage.is_up { "UP" } else { "DOWN" }.into());
    row.set(Column::Chkdown, Value::U64(outage.downs));
    row.set(Column::Lastchg, seconds(view.at.saturating_sub(outage.since)));
    row.set(Column::Downtime, seconds(outage.down_for(view.at)));
    of_servers(&mut row, view, &backend.servers);
    never_compressed(&mut row);
    row
}

/// What a backend is by its servers.
fn of_servers(row: &mut Row, view: &View, servers: &[&Server]) {
    let usable: Vec<_> = servers.iter().filter(|server| server.takes_connections()).collect();
    let backup = usable.iter().filter(|server| server.backup).count() as u32;
    let effective = |server: &&&Server| {
        effective_weight(server, view.activity.server(&server.backend, &server.name).throttle)
    };
    row.u32s(&[
        (Column::Weight, usable.iter().map(effective).sum()),
        (Column::Uweight, usable.iter().map(|server| server.weight).sum()),
        (Column::Act, usable.len() as u32 - backup),
        (Column::Bck, backup),
        (Column::AggServerStatus, 0),
        (Column::AggServerCheckStatus, 0),
        (Column::AggCheckStatus, 0),
    ]);
}

/// What a server has of its weight while it gets so many percent of its share.
fn effective_weight(server: &Server, throttle: Option<u32>) -> u32 {
    throttle.map_or(server.weight, |percent| (server.weight * percent).div_ceil(100))
}

/// What every row has.
fn common(row: &mut Row, connections: u64, open: u64, gauge: &Gauge, traffic: &Traffic) {
    row.set(Column::Scur, Value::up_to_u32(open));
    row.set(Column::Smax, Value::up_to_u32(gauge.highest_open.max(open)));
    row.set(Column::Rate, Value::up_to_u32(gauge.rate));
    row.set(Column::RateMax, Value::up_to_u32(gauge.highest_rate));
    row.u64s(&[
        (Column::Stot, connections),
        (Column::Bin, traffic.bytes_in),
        (Column::Bout, traffic.bytes_out),
        (Column::Dresp, 0),
        (Column::Wrew, 0),
        (Column::Eint, 0),
        (Column::SslSess, 0),
        (Column::SslReusedSess, 0),
        (Column::SslFailedHandshake, 0),
    ]);
}

/// What backends and servers have of connections that have ended. Nothing waits before it is connected, and
/// HAProxy has no time of an answer for TCP either.
fn sessions(row: &mut Row, sessions: &Sessions) {
    row.u32s(&[
        (Column::Qtime, 0),
        (Column::Ctime, sessions.connect.millis()),
        (Column::Rtime, 0),
        (Column::Ttime, sessions.total.millis()),
        (Column::QtimeMax, 0),
        (Column::RtimeMax, 0),
    ]);
    row.set(Column::CtimeMax, Value::up_to_u32(sessions.connect.longest_millis()));
    row.set(Column::TtimeMax, Value::up_to_u32(sessions.total.longest_millis()));
    row.u64s(&[
        (Column::CliAbrt, sessions.client_aborts),
        (Column::SrvAbrt, sessions.server_aborts),
        // A server that resets a connection has not answered it as it should.
        (Column::Eresp, sessions.server_aborts),
    ]);
}

/// What backends and servers have besides: there is no queue.
fn behind(row: &mut Row, refused: u64, redispatched: u64) {
    row.u32s(&[(Column::Qcur, 0), (Column::Qmax, 0)]);
    row.u64s(&[
        (Column::Econ, refused),
        (Column::Wretr, redispatched),
        (Column::Wredis, redispatched),
        (Column::Reuse, 0),
    ]);
}

/// How many seconds ago there was a new connection; -1 if there was none.
fn last_session(row: &mut Row, view: &View, whose: &Whose) {
    let idle = view.gauges.of(whose).last_connection.map(|last| view.at.saturating_sub(last));
    row.set(Column::Lastsess, Value::S32(idle.map_or(-1, |idle| idle.as_secs() as i32)));
}

/// What only HTTP has, and HAProxy has as 0 for TCP.
fn never_compressed(row: &mut Row) {
    row.u64s(&[(Column::CompIn, 0), (Column::CompOut, 0), (Column::CompByp, 0), (Column::CompRsp, 0)]);
    let http = Column::ALL.iter().filter(|column| **column > Column::SslFailedHandshake);
    http.for_each(|column| row.set(*column, Value::U64(0)));
}

fn seconds(duration: Duration) -> Value {
    Value::up_to_u32(duration.as_secs())
}
