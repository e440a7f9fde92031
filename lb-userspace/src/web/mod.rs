//! What is served over HTTP: HAProxy's statistics, metrics, and an answer for watchdogs.
//!
//! [`routes`] says what is where, [`guard`] who may see it, [`server`] keeps slow and greedy clients from doing
//! harm. All of it is read from the [`Monitor`], so nothing here touches the data plane.

mod chart;
mod guard;
mod page;
mod routes;
mod server;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;

use self::guard::Guard;
use self::server::{Listening, Served};
use crate::config::Config;
use crate::monitor::Monitor;

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} ({setting}): {source}; is another program there, such as HAProxy?")]
pub struct BindError {
    address: SocketAddr,
    setting: &'static str,
    source: io::Error,
}

/// Bound addresses at which nobody is answered yet.
pub struct Bound {
    stats: Option<Listening>,
    metrics: Option<Listening>,
}

/// Serves until it is dropped.
pub struct Web {
    monitor: Arc<Monitor>,
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
    pub fn serve(monitor: Arc<Monitor>, bound: Bound, config: &Config) -> Self {
        let mut web = Self { monitor, stats: None, metrics: None };
        if let (Some(listening), Some((_, router))) = (bound.stats, web.wanted_stats(config)) {
            web.stats = Some(Served::start(listening, router));
        }
        if let (Some(listening), Some((_, router))) = (bound.metrics, web.wanted_metrics(config)) {
            web.metrics = Some(Served::start(listening, router));
        }
        web
    }

    /// Follows a changed configuration. What cannot be served elsewhere still is where it was.
    pub async fn reload(&mut self, config: &Config) -> Result<(), BindError> {
        let (stats, metrics) = (self.wanted_stats(config), self.wanted_metrics(config));
        let outcome = follow(&mut self.stats, stats, STATS).await;
        outcome.and(follow(&mut self.metrics, metrics, METRICS).await)
    }

    fn wanted_stats(&self, config: &Config) -> Option<(SocketAddr, Router)> {
        let stats = config.stats.as_ref()?;
        let guard = stats.auth.clone().map(Guard::new);
        Some((stats.bind, routes::stats(self.monitor.clone(), stats, guard)))
    }

    fn wanted_metrics(&self, config: &Config) -> Option<(SocketAddr, Router)> {
        Some((config.metrics.as_ref()?.bind, routes::metrics_only(self.monitor.clone())))
    }
}

/// Serves what is wanted where it is wanted.
async fn follow(
    served: &mut Option<Served>,
    wanted: Option<(SocketAddr, Router)>,
    setting: &'static str,
) -> Result<(), BindError> {
    match (wanted, &served) {
        (None, _) => *served = None,
        (Some((address, router)), Some(served)) if served.address() == address => served.replace(router),
        (Some((address, router)), _) => {
            let listening = Listening::bind(address, setting).await?;
            *served = Some(Served::start(listening, router));
        }
    }
    Ok(())
}
