//! Has the program report packets for as long as this process lives.

use std::io;
use std::net::SocketAddrV4;
use std::time::Duration;

use lb_common::net::{Addr, Port};
use lb_common::reason::Reason;
use lb_common::time::{Tick, Ticks};
use lb_common::trace::{End, Outcome, Record, Tracing};

use super::Names;
use crate::clock;
use crate::dataplane;
use crate::dataplane::maps::Maps;
use crate::dataplane::pins::Pins;
use crate::dataplane::reports::Reports;
use crate::dataplane::status::Status;
use crate::dataplane::ticker::Ticker;
use crate::kind::Kind;
use crate::stats::ClientFilter;

/// How long the program goes on after the last word of a tracer that was killed.
const LEASE: Duration = Duration::from_secs(4);

/// So many packets are taken at once, so that the lease is renewed in between.
const BATCH: usize = 1024;

/// Which packets are wanted: those that fulfil all conditions, before or after their rewrite.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// To or from these clients.
    pub client: Option<ClientFilter>,
    /// To or from this server, by name or as `backend/name`.
    pub server: Option<String>,
    /// To or from this frontend.
    pub frontend: Option<String>,
    /// What becomes of them.
    pub outcome: Option<Outcome>,
    /// To or from this port.
    pub port: Option<u16>,
}

/// A tracer that is at work.
pub struct Tracer {
    maps: Maps,
    traces: Reports<Record>,
    ticker: Ticker,
    /// What addresses are called.
    pub names: Names,
}

/// Why packets cannot be traced.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// One tracer at a time.
    #[error("process {0} is tracing already; one tracer at a time")]
    Busy(u32),
    /// Nobody is called so.
    #[error("there is no server {0:?}; `xlb stats` shows them")]
    NoServer(String),
    /// Nobody is called so.
    #[error("there is no frontend {0:?}; `xlb stats` shows them")]
    NoFrontend(String),
    /// The maps cannot be read or written.
    #[error(transparent)]
    Dataplane(#[from] dataplane::Error),
    /// The reports cannot be read, or the capture not be written.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Error {
    /// What kind of failure it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Busy(_) => Kind::Environment,
            Self::NoServer(_) | Self::NoFrontend(_) => Kind::Wrong,
            Self::Dataplane(error) => error.kind(),
            Self::Io(_) => Kind::Failed,
        }
    }
}

impl Tracer {
    /// Has the program report packets from now on; must be called in a tokio runtime.
    pub fn start(pins: &Pins, wanted: &Wanted) -> Result<Self, Error> {
        let (mut maps, board) = pins.open()?;
        let ticker = pins.open_ticker()?;
        let tracing = tracing(wanted, &board.read()?)?;
        let until = maps.setup.trace_until();
        // Its end is ahead, so somebody lives who has moved it there.
        if until != Tick(0) && until.age(ticker.now()?) == Ticks(0) {
            return Err(Error::Busy(maps.tracing.get(0)?.owner));
        }
        let traces = maps.take_traces()?;
        maps.tracing.set(0, tracing)?;
        let names = Names::new(&board.read()?, maps.setup.get());
        let tracer = Self { maps, traces, ticker, names };
        tracer.renew()?;
        Ok(tracer)
    }

    /// Keeps the program at it; to be called once a second.
    pub fn renew(&self) -> Result<(), dataplane::Error> {
        let now = self.ticker.now()?;
        // Zero means never.
        let until = now.0.wrapping_add(clock::jiffy().ticks(LEASE).0).max(1);
        self.maps.setup.set_trace_until(Tick(until));
        Ok(())
    }

    /// Waits for the next packets.
    pub async fn next(&mut self) -> io::Result<Vec<Record>> {
        self.traces.next(BATCH).await
    }

    /// Has the program report no more, and returns what it has reported by then.
    pub fn end(&mut self) -> Vec<Record> {
        self.maps.setup.set_trace_until(Tick(0));
        self.traces.rest().collect()
    }

    /// How many packets were not reported because nobody read fast enough. They were forwarded all the same.
    pub fn lost(&self) -> Result<u64, dataplane::Error> {
        Ok(self.maps.tracing.get(0)?.lost)
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        self.maps.setup.set_trace_until(Tick(0));
    }
}

/// The conditions in the program's words.
fn tracing(wanted: &Wanted, status: &Status) -> Result<Tracing, Error> {
    let mut tracing = Tracing::all(std::process::id());
    match wanted.client {
        Some(ClientFilter::Prefix { network, length }) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
            (tracing.client, tracing.client_mask) = (network.into(), Addr::from_wire(mask.to_be()));
        }
        Some(ClientFilter::Endpoint(client)) => {
            (tracing.client, tracing.client_mask) = ((*client.ip()).into(), Addr::from_wire(u32::MAX));
            tracing.port = Port::new(client.port());
        }
        None => {}
    }
    if let Some(name) = &wanted.server {
        let mut servers = status.servers.iter();
        let server = servers
            .find(|server| *name == server.name || *name == format!("{}/{}", server.backend, server.name));
        tracing.server = end(server.ok_or_else(|| Error::NoServer(name.clone()))?.address);
    }
    if let Some(name) = &wanted.frontend {
        let frontend = status.frontends.iter().find(|frontend| *name == frontend.name);
        tracing.frontend = end(frontend.ok_or_else(|| Error::NoFrontend(name.clone()))?.bind);
    }
    tracing.outcome = wanted.outcome.unwrap_or(Outcome::ANY);
    tracing.port = wanted.port.map_or(tracing.port, Port::new);
    Ok(tracing)
}

fn end(address: SocketAddrV4) -> End {
    End { addr: (*address.ip()).into(), port: Port::new(address.port()), padding: 0 }
}

impl Wanted {
    /// Reads what becomes of a packet: `forwarded`, or a reason's name.
    pub fn outcome(text: &str) -> Result<Outcome, String> {
        let reason = Reason::ALL.iter().find(|reason| reason.name() == text);
        match (text, reason) {
            ("forwarded", _) => Ok(Outcome::FORWARDED),
            (_, Some(reason)) if !reason.is_of_others() => Ok(Outcome::of(*reason)),
            (_, Some(_)) => {
                Err("that is the host's own traffic, which is not traced; use tcpdump".to_owned())
            }
            (_, None) => Err("expected forwarded, or an outcome that `xlb stats` shows".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_read_by_name() {
        assert_eq!(Wanted::outcome("forwarded"), Ok(Outcome::FORWARDED));
        assert_eq!(Wanted::outcome("no_server"), Ok(Outcome::of(Reason::NoServer)));
        assert!(Wanted::outcome("other_port").unwrap_err().contains("tcpdump"));
        assert!(Wanted::outcome("nonsense").is_err());
    }

    #[test]
    fn clients_are_a_prefix_or_a_port() {
        let tracing = |text: &str| {
            let wanted = Wanted { client: Some(text.parse().unwrap()), ..Wanted::default() };
            let tracing = tracing(&wanted, &Status::default()).unwrap();
            (tracing.client.to_string(), tracing.client_mask.to_string(), tracing.port.number())
        };
        let expect = |client: &str, mask: &str, port| (client.to_owned(), mask.to_owned(), port);
        assert_eq!(tracing("198.18.0.0/15"), expect("198.18.0.0", "255.254.0.0", 0));
        assert_eq!(tracing("198.18.0.1"), expect("198.18.0.1", "255.255.255.255", 0));
        assert_eq!(tracing("0.0.0.0/0"), expect("0.0.0.0", "0.0.0.0", 0));
        assert_eq!(tracing("198.18.0.1:443"), expect("198.18.0.1", "255.255.255.255", 443));
    }

    #[test]
    fn names_that_nobody_has_are_refused() {
        let server = Wanted { server: Some("fenn".into()), ..Wanted::default() };
        assert!(matches!(tracing(&server, &Status::default()), Err(Error::NoServer(_))));
        let frontend = Wanted { frontend: Some("api".into()), ..Wanted::default() };
        assert!(matches!(tracing(&frontend, &Status::default()), Err(Error::NoFrontend(_))));
    }
}
