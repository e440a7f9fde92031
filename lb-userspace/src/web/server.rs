//! A listener whose clients cannot do harm by being many, slow, or long-winded.

use std::collections::VecDeque;
use std::error::Error;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tracing::{debug, info, warn};

use super::BindError;
use super::handshakes::{Handshakes, SPAN};
use super::places::Places;

/// Clients for whom there is no place, and who are told so, or that the agent is well. When more come, the one that has
/// stayed longest has to go.
const GUESTS: usize = 64;

/// How much time a client may take.
#[derive(Clone, Copy)]
struct Patience {
    /// For a handshake of TLS, and for the head of a request to arrive, also of the next one of a connection that is kept.
    head: Duration,
    /// For all of a connection: a browser opens another, and whoever does not read its answer makes room.
    connection: Duration,
}

/// With a client who has a place.
const WITH_CLIENTS: Patience =
    Patience { head: Duration::from_secs(10), connection: Duration::from_secs(20) };

/// With a guest.
const WITH_GUESTS: Patience = Patience { head: Duration::from_secs(5), connection: Duration::from_secs(5) };

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

/// What is answered at an address.
#[derive(Clone)]
pub struct Offer {
    /// To clients who have a place.
    pub router: Router,
    /// To guests.
    pub to_guests: Router,
    /// How sessions of TLS are accepted; without TLS where there is none.
    pub tls: Option<TlsAcceptor>,
}

/// What is answered at an address, until it is dropped.
pub struct Served {
    address: SocketAddr,
    offer: watch::Sender<Offer>,
    task: JoinSet<()>,
}

impl Served {
    /// Answers at a bound address.
    pub fn start(listening: Listening, offer: Offer) -> Self {
        let Listening { listener, address } = listening;
        say(address, &offer);
        let (offer, offers) = watch::channel(offer);
        let handshakes = Handshakes::new(SPAN, Instant::now());
        Self { address, offer, task: JoinSet::from_iter([accept(listener, offers, handshakes)]) }
    }

    /// Where.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers no more, and leaves the address to others.
    pub async fn end(mut self) {
        self.task.shutdown().await;
    }

    /// Answers otherwise from the next connection on.
    pub fn replace(&self, offer: Offer) {
        if offer.tls.is_some() != self.offer.borrow().tls.is_some() {
            say(self.address, &offer);
        }
        drop(self.offer.send_replace(offer));
    }
}

/// Logs what browsers are to be told.
fn say(address: SocketAddr, offer: &Offer) {
    info!("serving {}://{address}", if offer.tls.is_some() { "https" } else { "http" });
}

/// Answers for ever. Who begins too many sessions of TLS is not answered at all.
async fn accept(listener: TcpListener, offers: watch::Receiver<Offer>, mut handshakes: Handshakes) {
    let places = Places::default();
    let mut guests = Guests::default();
    let mut clients = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((stream, client)) => {
                let Offer { router, to_guests, tls } = offers.borrow().clone();
                if tls.is_some() && !handshakes.admit(client.ip(), Instant::now()) {
                    debug!("statistics: {} begins too many sessions of TLS", client.ip());
                } else if let Some(place) = places.take(client.ip()) {
                    clients.spawn(async move {
                        let _place = place;
                        converse(stream, tls, router, WITH_CLIENTS).await;
                    });
                } else {
                    guests.receive(clients.spawn(converse(stream, tls, to_guests, WITH_GUESTS)));
                }
            }
            Err(error) => {
                warn!("statistics: {error}");
                sleep(PAUSE).await;
            }
        }
        while clients.try_join_next().is_some() {}
    }
}

/// Those who have no place, from who came first on.
#[derive(Default)]
struct Guests(VecDeque<AbortHandle>);

impl Guests {
    /// Makes room for another.
    fn receive(&mut self, guest: AbortHandle) {
        if self.0.len() == GUESTS
            && let Some(first) = self.0.pop_front()
        {
            first.abort();
        }
        self.0.push_back(guest);
    }
}

/// Answers a client until it has no more to ask, or its time is over.
async fn converse(stream: TcpStream, tls: Option<TlsAcceptor>, router: Router, patience: Patience) {
    let Patience { head, connection } = patience;
    let conversation = async {
        match tls {
            Some(tls) => answer(timeout(head, tls.accept(stream)).await??, router, head).await,
            None => answer(stream, router, head).await,
        }
    };
    match timeout(connection, conversation).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!("statistics: {error}"),
        Err(_) => debug!("statistics: a client stayed too long"),
    }
}

async fn answer(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    router: Router,
    head: Duration,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(head).max_buf_size(LONGEST_HEAD);
    Ok(http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router)).await?)
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::net::Ipv4Addr;

    use lb_lab::Authority;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpSocket;

    use super::*;
    use crate::web::{handshakes, tls};

    /// Far longer than anything here takes: its end is a failure.
    const LONG: Duration = Duration::from_secs(60);

    fn saying(text: &'static str) -> Router {
        Router::new().fallback(move || async move { text })
    }

    /// Serves at a port of this host that is free.
    async fn serve() -> Served {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let offer = Offer { router: saying("the page"), to_guests: saying("no place"), tls: None };
        Served::start(Listening { listener, address }, offer)
    }

    async fn ask(address: SocketAddr) -> String {
        ask_through(TcpStream::connect(address).await.expect("it listens")).await
    }

    /// The last line of an answer.
    async fn ask_through(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> String {
        stream
            .write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            .await
            .expect("it is read");
        let mut answer = String::new();
        timeout(LONG, stream.read_to_string(&mut answer)).await.expect("it is answered").expect("text");
        answer.lines().last().unwrap_or_default().to_owned()
    }

    #[tokio::test]
    async fn who_takes_all_its_places_is_a_guest_until_one_is_free() {
        let served = serve().await;
        let address = served.address();
        let mut silent = Vec::new();
        for _ in 0..GUESTS {
            silent.push(TcpStream::connect(address).await.expect("it listens"));
        }
        assert_eq!(ask(address).await, "no place");
        drop(silent);
        let is_served = async { while ask(address).await != "the page" {} };
        timeout(LONG, is_served).await.expect("a place is free again");
        served.end().await;
    }

    #[tokio::test]
    async fn the_first_guest_goes_when_there_are_too_many() {
        let mut guests = Guests::default();
        let mut staying: Vec<_> = (0..=GUESTS).map(|_| tokio::spawn(pending::<()>())).collect();
        for guest in &staying {
            guests.receive(guest.abort_handle());
        }
        let first = timeout(LONG, staying.remove(0)).await.expect("it has to go");
        assert!(first.expect_err("it would stay for ever").is_cancelled());
        assert!(staying.iter().all(|guest| !guest.is_finished()));
    }

    #[tokio::test]
    async fn who_begins_too_many_sessions_gets_no_more_and_others_do() {
        let authority = Authority::new("authority").expect("an authority");
        let certified = tls::tests::certified(&authority);
        let (_directory, identity) = tls::tests::files(&certified.certificate, &certified.key);
        let tls = Some(tls::acceptor(&identity).expect("a certificate and its key"));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let offer = Offer { router: saying("the page"), to_guests: saying("no place"), tls };
        let (_offer, offers) = watch::channel(offer);
        let handshakes = Handshakes::new(LONG * 2, Instant::now());
        let _serving = JoinSet::from_iter([accept(listener, offers, handshakes)]);

        let connector = tls::tests::connector(&authority);
        let begin = async |last: u8| {
            let socket = TcpSocket::new_v4().expect("this host has IPv4");
            socket
                .bind((Ipv4Addr::new(127, 0, 0, last), 0).into())
                .expect("all of 127.0.0.0/8 is this host's");
            let stream = socket.connect(address).await.expect("it listens");
            let session = connector.connect(address.ip().into(), stream);
            timeout(LONG, session).await.expect("it has an end")
        };
        for _ in 0..handshakes::tests::OF_ONE {
            begin(1).await.expect("it is one of few");
        }
        begin(1).await.map(drop).expect_err("it is one of many");
        assert_eq!(ask_through(begin(2).await.expect("another client's")).await, "the page");
    }

    #[tokio::test]
    async fn a_client_that_says_nothing_is_not_waited_for() {
        let authority = Authority::new("authority").expect("an authority");
        let certified = tls::tests::certified(&authority);
        let (_directory, identity) = tls::tests::files(&certified.certificate, &certified.key);
        let acceptor = tls::acceptor(&identity).expect("a certificate and its key");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        // The head's time is over first, or that of the whole connection.
        let short = Duration::from_millis(1);
        for patience in
            [Patience { head: short, connection: LONG * 2 }, Patience { head: LONG * 2, connection: short }]
        {
            for tls in [None, Some(acceptor.clone())] {
                let _silent = TcpStream::connect(address).await.expect("it listens");
                let (stream, _) = listener.accept().await.expect("it comes");
                let conversation = converse(stream, tls, saying("the page"), patience);
                timeout(LONG, conversation).await.expect("it has an end");
            }
        }
    }
}
