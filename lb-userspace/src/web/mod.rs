//! What is served over HTTP: HAProxy's statistics, metrics, and an answer for watchdogs.
//!
//! [`routes`] says what is where, [`guard`] who may see it, [`server`], [`places`] and [`handshakes`] keep slow and greedy
//! clients from doing harm, [`tls`] says who it is that answers. All of it is read from what is watched, so nothing here
//! touches the data plane; what [`buttons`] change, the agent's main loop changes.

mod buttons;
mod chart;
mod guard;
mod handshakes;
mod page;
mod places;
mod routes;
mod server;
mod tally;
mod tls;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

pub use self::tls::{Unusable, acceptor};

use self::buttons::Token;
use self::server::{Listening, Offer, Served};
use crate::config::Config;
use crate::monitor::Monitor;
use crate::pulse::Pulse;
use crate::socket::Request;

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} ({setting}): {source}; is another program there, such as HAProxy?")]
pub struct BindError {
    address: SocketAddr,
    setting: &'static str,
    source: io::Error,
}

/// All that answers are made from, and who makes changes.
#[derive(Debug)]
pub struct Sources<W> {
    /// What there is to show.
    pub watched: Arc<W>,
    /// Whether the agent's main loop goes on.
    pub pulse: Pulse,
    /// What the main loop is asked for.
    pub requests: mpsc::Sender<Request>,
}

impl<W> Clone for Sources<W> {
    fn clone(&self) -> Self {
        Self { watched: self.watched.clone(), pulse: self.pulse.clone(), requests: self.requests.clone() }
    }
}

/// What the page proves with who it is, read from its files; none if it is served without TLS.
pub struct Proof(Option<TlsAcceptor>);

impl Proof {
    /// Reads the files that a configuration names.
    pub fn read(config: &Config) -> Result<Self, Unusable> {
        let identity = config.stats.as_ref().and_then(|stats| stats.identity.as_ref());
        identity.map(acceptor).transpose().map(Self)
    }
}

/// Bound addresses at which nobody is answered yet.
pub struct Bound {
    stats: Option<Listening>,
    metrics: Option<Listening>,
}

/// Serves until it is dropped.
pub struct Web {
    sources: Sources<Monitor>,
    token: Token,
    stats: Option<Served>,
    metrics: Option<Served>,
}

/// The settings that addresses come from.
const STATS: &str = "stats.bind";
const METRICS: &str = "metrics.bind";

impl Bound {
    /// Listens where a configuration wants it.
    pub async fn new(config: &Config) -> Result<Self, BindError> {
        let stats = match &config.stats {
            Some(stats) => Some(Listening::bind(stats.bind, STATS).await?),
            None => None,
        };
        let metrics = match &config.metrics {
            Some(metrics) => Some(Listening::bind(metrics.bind, METRICS).await?),
            None => None,
        };
        Ok(Self { stats, metrics })
    }
}

impl Web {
    /// Answers what comes to addresses that are bound.
    #[must_use]
    pub fn serve(sources: Sources<Monitor>, bound: Bound, config: &Config, proof: Proof) -> Self {
        let mut web = Self { sources, token: Token::random(), stats: None, metrics: None };
        if let (Some(listening), Some((_, offer))) = (bound.stats, web.wanted_stats(config, proof)) {
            web.stats = Some(Served::start(listening, offer));
        }
        if let (Some(listening), Some((_, offer))) = (bound.metrics, web.wanted_metrics(config)) {
            web.metrics = Some(Served::start(listening, offer));
        }
        web
    }

    /// Follows a changed configuration. What cannot be served elsewhere still is where it was.
    pub async fn reload(&mut self, config: &Config, proof: Proof) -> Result<(), BindError> {
        let (stats, metrics) = (self.wanted_stats(config, proof), self.wanted_metrics(config));
        let outcome = follow(&mut self.stats, stats, STATS).await;
        outcome.and(follow(&mut self.metrics, metrics, METRICS).await)
    }

    fn wanted_stats(&self, config: &Config, proof: Proof) -> Option<(SocketAddr, Offer)> {
        let stats = config.stats.as_ref()?;
        let router = routes::stats(&self.sources, stats, &self.token);
        Some((stats.bind, Offer { router, to_guests: routes::to_guests(&self.sources), tls: proof.0 }))
    }

    fn wanted_metrics(&self, config: &Config) -> Option<(SocketAddr, Offer)> {
        let bind = config.metrics.as_ref()?.bind;
        let (router, to_guests) = (routes::metrics_only(&self.sources), routes::to_guests(&self.sources));
        Some((bind, Offer { router, to_guests, tls: None }))
    }
}

/// Serves what is wanted where it is wanted.
async fn follow(
    served: &mut Option<Served>,
    wanted: Option<(SocketAddr, Offer)>,
    setting: &'static str,
) -> Result<(), BindError> {
    match (wanted, &served) {
        (None, _) => *served = None,
        (Some((address, offer)), Some(served)) if served.address() == address => served.replace(offer),
        (Some((address, offer)), _) => {
            // Should the new address be taken, the new rules hold at the old one. Of one port only one of them can
            // be bound, though the addresses differ.
            match served.take() {
                Some(former) if former.address().port() == address.port() => former.end().await,
                Some(former) => {
                    former.replace(offer.clone());
                    *served = Some(former);
                }
                None => {}
            }
            let listening = Listening::bind(address, setting).await?;
            *served = Some(Served::start(listening, offer));
        }
    }
    Ok(())
}
