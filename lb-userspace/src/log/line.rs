//! A connection's line, as HAProxy's `option tcplog` has it (configuration manual, 8.2.2 and 8.5), and as
//! JSON.

use std::fmt;
use std::net::SocketAddrV4;
use std::time::Duration;

use chrono::{DateTime, Local, SecondsFormat};
use lb_common::ending::How;
use serde::Serialize;

use super::counts::Counts;

/// A connection that has ended.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Line<'a> {
    pub client: SocketAddrV4,
    /// When its first SYN came.
    pub accepted: DateTime<Local>,
    pub frontend: &'a str,
    pub backend: &'a str,
    pub server: &'a str,
    /// How long the server took to answer, if it has.
    pub connected_after: Option<Duration>,
    /// How long all of it took.
    pub total: Duration,
    pub bytes_to_server: u64,
    pub bytes_to_client: u64,
    pub how: How,
    pub counts: Counts,
    pub redispatched: u8,
}

/// What HAProxy says of how a session ended: who ended it, and in which phase.
pub(super) const fn termination(how: How) -> &'static str {
    match how {
        How::Finished => "--",
        How::ClientReset | How::Forgotten => "CD",
        How::ServerReset => "SD",
        How::Refused | How::NoServer => "SC",
        How::Unanswered => "sC",
        How::GivenUp => "CC",
        How::Idle => "cD",
        How::ServerDown => "D-",
        How::Killed => "K-",
    }
}

/// What it says in a word.
const fn reason(how: How) -> &'static str {
    match how {
        How::Finished => "finished",
        How::ClientReset => "client_reset",
        How::ServerReset => "server_reset",
        How::Refused => "refused",
        How::NoServer => "no_server",
        How::Unanswered => "unanswered",
        How::GivenUp => "given_up",
        How::Idle => "idle",
        How::Forgotten => "forgotten",
        How::ServerDown => "server_down",
        How::Killed => "killed",
    }
}

impl Line<'_> {
    /// Milliseconds in the queue, which there is none of: -1 where a connection got past it to no server.
    fn queued(&self) -> i8 {
        if self.how == How::NoServer { -1 } else { 0 }
    }

    /// Milliseconds until the server answered: -1 if it has not.
    fn connect(&self) -> i128 {
        self.connected_after.map_or(-1, |after| after.as_millis().cast_signed())
    }

    /// The same as JSON.
    pub fn json(&self) -> String {
        let json = Json {
            event: "connection",
            accepted: self.accepted.to_rfc3339_opts(SecondsFormat::Millis, false),
            client: self.client,
            frontend: self.frontend,
            backend: self.backend,
            server: (self.how != How::NoServer).then_some(self.server),
            connect_ms: self.connected_after.map(|after| after.as_millis() as u64),
            total_ms: self.total.as_millis() as u64,
            bytes_to_server: self.bytes_to_server,
            bytes_to_client: self.bytes_to_client,
            end: reason(self.how),
            termination: termination(self.how),
            redispatched: self.redispatched,
            open: self.counts.all,
            open_frontend: self.counts.frontend,
            open_backend: self.counts.backend,
            open_server: self.counts.server,
        };
        serde_json::to_string(&json).unwrap_or_default()
    }
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { client, frontend, backend, server, bytes_to_client, how, counts, .. } = self;
        write!(f, "{client} [{}] ", self.accepted.format("%d/%b/%Y:%H:%M:%S%.3f"))?;
        write!(f, "{frontend} {backend}/{server} ")?;
        write!(f, "{}/{}/{} ", self.queued(), self.connect(), self.total.as_millis())?;
        write!(f, "{bytes_to_client} {} ", termination(*how))?;
        let Counts { all, frontend, backend, server } = counts;
        // A `+` says that the last attempt was made with another server.
        let plus = if self.redispatched > 0 { "+" } else { "" };
        write!(f, "{all}/{frontend}/{backend}/{server}/{plus}{} 0/0", self.redispatched)
    }
}

/// The fields of a line in JSON.
#[derive(Serialize)]
struct Json<'a> {
    event: &'static str,
    accepted: String,
    client: SocketAddrV4,
    frontend: &'a str,
    backend: &'a str,
    server: Option<&'a str>,
    connect_ms: Option<u64>,
    total_ms: u64,
    bytes_to_server: u64,
    bytes_to_client: u64,
    end: &'static str,
    termination: &'static str,
    redispatched: u8,
    open: u64,
    open_frontend: u64,
    open_backend: u64,
    open_server: u64,
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone;
    use proptest::prelude::*;

    use super::*;

    fn line() -> Line<'static> {
        let day = Local.with_ymd_and_hms(2026, 2, 6, 12, 12, 9).single().expect("a time");
        Line {
            client: "198.18.0.101:33317".parse().expect("an address"),
            accepted: day + Duration::from_millis(7),
            frontend: "front",
            backend: "back",
            server: "srv1",
            connected_after: Some(Duration::from_micros(7_900)),
            total: Duration::from_millis(5_007),
            bytes_to_server: 1,
            bytes_to_client: 212,
            how: How::Finished,
            counts: Counts { all: 4, frontend: 3, backend: 2, server: 1 },
            redispatched: 0,
        }
    }

    // Lines of HAProxy 2.6, with the counters of this program.

    #[test]
    fn a_connection_that_was_served() {
        assert_eq!(
            line().to_string(),
            "198.18.0.101:33317 [06/Feb/2026:12:12:09.007] front back/srv1 0/7/5007 212 -- 4/3/2/1/0 0/0"
        );
    }

    #[test]
    fn a_connection_that_nobody_took() {
        let refused = Line { connected_after: None, how: How::Refused, redispatched: 2, ..line() };
        assert_eq!(
            refused.to_string(),
            "198.18.0.101:33317 [06/Feb/2026:12:12:09.007] front back/srv1 0/-1/5007 212 SC 4/3/2/1/+2 0/0"
        );
        let none = Line { server: "<NOSRV>", how: How::NoServer, redispatched: 0, ..refused };
        assert_eq!(
            none.to_string(),
            "198.18.0.101:33317 [06/Feb/2026:12:12:09.007] front back/<NOSRV> -1/-1/5007 212 SC 4/3/2/1/0 0/0"
        );
    }

    #[test]
    fn the_same_as_json() {
        let json: serde_json::Value = serde_json::from_str(&line().json()).expect("JSON");
        assert_eq!(json["client"], "198.18.0.101:33317");
        assert_eq!((&json["connect_ms"], &json["total_ms"]), (&7.into(), &5_007.into()));
        assert_eq!((&json["end"], &json["termination"]), (&"finished".into(), &"--".into()));
        assert!(json["accepted"].as_str().is_some_and(|at| at.starts_with("2026-02-06T12:12:09.007")));
        let none = Line { how: How::NoServer, connected_after: None, ..line() }.json();
        let none: serde_json::Value = serde_json::from_str(&none).expect("JSON");
        assert_eq!((none["server"].is_null(), none["connect_ms"].is_null()), (true, true));
    }

    proptest! {
        /// Whatever happened, a line has the fields that halog counts on.
        #[test]
        fn a_line_has_the_fields_of_haproxys(
            how in prop::sample::select(How::ALL.to_vec()),
            millis: u32,
            connected in prop::option::of(any::<u32>()),
            bytes: u64,
            redispatched: u8,
        ) {
            let line = Line {
                how,
                redispatched,
                bytes_to_client: bytes,
                total: Duration::from_millis(millis.into()),
                connected_after: connected.map(|micros| Duration::from_micros(micros.into())),
                ..line()
            };
            let text = line.to_string();
            let fields: Vec<&str> = text.split(' ').collect();
            prop_assert_eq!(fields.len(), 9, "{}", text);
            let parts = |field: &str| field.split('/').count();
            prop_assert_eq!([parts(fields[3]), parts(fields[4]), parts(fields[7]), parts(fields[8])], [2, 3, 5, 2]);
            prop_assert_eq!((fields[6].len(), fields[5].parse()), (2, Ok(bytes)));
            let timers = fields[4].split('/').map(|timer| timer.parse::<i64>().is_ok_and(|timer| timer >= -1));
            prop_assert!(timers.into_iter().all(|is_timer| is_timer), "{}", text);
        }
    }
}
