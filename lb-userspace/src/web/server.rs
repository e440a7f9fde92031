//! A listener whose clients cannot do harm by being many, slow, or long-winded.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::{debug, info, warn};

use super::BindError;

/// Clients at once; more wait for their turn in the kernel's queue.
const CLIENTS: usize = 256;

/// How long the head of a request may take to arrive, also of the next one of a connection that is kept.
const HEAD: Duration = Duration::from_secs(10);

/// How long a connection may last, from the first request to the last answer: a browser opens another, and whoever does
/// not read its answer makes room.
const CONNECTION: Duration = Duration::from_secs(20);

/// The most bytes of a request's head.
const LONGEST_HEAD: usize = 16 * 1024;

/// How long the agent waits before it accepts again after it could not.
const PAUSE: Duration = Duration::from_millis(100);

/// A bound address.
pub struct Listening {
    listener: TcpListener,
    address: SocketAddr,
}

impl Listening {
    /// Listens at an address that a setting names.
    pub async fn bind(address: SocketAddr, setting: &'static str) -> Result<Self, BindError> {
        let listener = TcpListener::bind(address).await;
        let listener = listener.map_err(|source| BindError { address, setting, source })?;
        Ok(Self { listener, address })
    }
}

/// What is answered at an address, until it is dropped.
pub struct Served {
    address: SocketAddr,
    router: watch::Sender<Router>,
    _task: JoinSet<()>,
}

impl Served {
    /// Answers at a bound address.
    pub fn start(listening: Listening, router: Router) -> Self {
        let Listening { listener, address } = listening;
        info!("serving http://{address}");
        let (router, routers) = watch::channel(router);
        Self { address, router, _task: JoinSet::from_iter([accept(listener, routers)]) }
    }

    /// Where.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers otherwise from the next connection on.
    pub fn replace(&self, router: Router) {
        drop(self.router.send_replace(router));
    }
}

/// Answers for ever.
async fn accept(listener: TcpListener, routers: watch::Receiver<Router>) {
    let places = Arc::new(Semaphore::new(CLIENTS));
    let mut clients = JoinSet::new();
    loop {
        // Never closed.
        let Ok(place) = places.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let router = routers.borrow().clone();
                clients.spawn(async move {
                    let _place = place;
                    converse(stream, router).await;
                });
            }
            Err(error) => {
                warn!("statistics: {error}");
                sleep(PAUSE).await;
            }
        }
        while clients.try_join_next().is_some() {}
    }
}

async fn converse(stream: TcpStream, router: Router) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(LONGEST_HEAD);
    let connection = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    match timeout(CONNECTION, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!("statistics: {error}"),
        Err(_) => debug!("statistics: a client stayed too long"),
    }
}
