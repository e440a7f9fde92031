//! One check over HTTPS: does the server answer with the status that it should?

use std::io;
use std::net::{IpAddr, SocketAddrV4};
use std::time::{Duration, SystemTime};

use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::Status;
use super::certificate;
use super::check::message;
use super::state::Layer;
use super::tls::{self, Tls};

/// So many bytes of an answer are read to find its status; `HAProxy`'s buffer has as many.
const MOST: usize = 16 * 1024;

/// So many bytes of what a server says of itself are kept: it goes into the log and into a map that
/// has room for all servers.
const MOST_WORDS: usize = 200;

/// So many fields may stand before an answer's body.
const FIELDS: usize = 100;

/// How long a server that has answered may take to end the connection, before it is cut.
const FAREWELL: Duration = Duration::from_secs(1);

/// A page, and what is expected of a server that is asked for it.
#[derive(Clone, Debug)]
pub struct Page {
    /// The path, and perhaps a query.
    pub path: String,
    /// The status of a good answer.
    pub status: u16,
    /// The name to ask for; the server's address without.
    pub server_name: Option<String>,
    /// How to get a session.
    pub tls: Tls,
}

impl Page {
    /// The whole request.
    fn request(&self, server: SocketAddrV4) -> String {
        let host = self.server_name.clone().unwrap_or_else(|| server.to_string());
        format!(
            "GET {} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: xlb/{}\r\nAccept: */*\r\nConnection: close\r\n\r\n",
            self.path,
            env!("CARGO_PKG_VERSION"),
        )
    }

    /// Whom the certificate must be for.
    fn name(&self, server: SocketAddrV4) -> ServerName<'static> {
        let address = ServerName::from(IpAddr::V4(*server.ip()));
        let named = self.server_name.as_ref().and_then(|name| ServerName::try_from(name.clone()).ok());
        named.unwrap_or(address)
    }
}

/// Asks `server` for `page` from this host. The second of the two is when the server's certificate
/// expires, if it showed one.
pub(super) async fn ask(server: SocketAddrV4, page: &Page, limit: Duration) -> (Status, Option<SystemTime>) {
    let deadline = Instant::now() + limit;
    let connection = match timeout_at(deadline, TcpStream::connect(server)).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => return (Status::ConnectionProblem(message(&error)), None),
        Err(_) => return (Status::TimedOut(Layer::Connection), None),
    };
    let (config, recorder) = match page.tls.session() {
        Ok(session) => session,
        Err(error) => return (Status::NoSession(error.to_string()), None),
    };
    let name = page.name(server);
    let handshake = TlsConnector::from(config).connect(name.clone(), connection);
    let session = timeout_at(deadline, handshake).await;
    let expires = recorder.certificate().and_then(|der| certificate::expires(der));
    let status = match session {
        Ok(Ok(session)) => match timeout_at(deadline, exchange(session, &page.request(server))).await {
            Ok(answer) => page.judge(answer),
            Err(_) => Status::TimedOut(Layer::Answer),
        },
        Ok(Err(error)) => Status::NoSession(shortened(&tls::failure(&error, &name))),
        Err(_) => Status::TimedOut(Layer::Session),
    };
    (status, expires)
}

/// The first line of an answer.
struct Answer {
    code: u16,
    reason: String,
}

impl Page {
    fn judge(&self, answer: io::Result<Answer>) -> Status {
        match answer {
            Ok(Answer { code, .. }) if code == self.status => Status::Answered(code),
            Ok(Answer { code, reason }) => Status::WrongStatus { code, reason },
            Err(error) => Status::InvalidAnswer(message(&error)),
        }
    }
}

/// Sends a request and reads what the answer begins with.
async fn exchange(mut session: TlsStream<TcpStream>, request: &str) -> io::Result<Answer> {
    session.write_all(request.as_bytes()).await?;
    session.flush().await?;
    let mut received = Vec::new();
    let answer = loop {
        let mut part = [0; 4096];
        let count = session.read(&mut part).await?;
        received.extend_from_slice(&part[..count]);
        match parse(&received) {
            Some(answer) => break answer,
            None if count == 0 => break Err(invalid("the connection ended before the answer did")),
            None if received.len() > MOST => break Err(invalid("the answer's head is too long")),
            None => {}
        }
    };
    // The verdict does not wait for it.
    tokio::spawn(timeout(FAREWELL, end(session)));
    answer
}

/// The first line, once the whole head has come.
fn parse(received: &[u8]) -> Option<io::Result<Answer>> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS];
    let mut response = httparse::Response::new(&mut fields);
    match response.parse(received) {
        Ok(httparse::Status::Complete(_)) => {
            let (code, reason) = (response.code.unwrap_or_default(), response.reason.unwrap_or_default());
            Some(Ok(Answer { code, reason: shortened(reason) }))
        }
        Ok(httparse::Status::Partial) => None,
        Err(error) => Some(Err(invalid(&format!("the answer is not HTTP: {error}")))),
    }
}

/// As much of a text as is kept; what was cut shows.
fn shortened(text: &str) -> String {
    const CUT: &str = "…";
    if text.len() <= MOST_WORDS {
        return text.to_owned();
    }
    let mut ends = (0..=MOST_WORDS - CUT.len()).rev();
    let kept = ends.find_map(|end| text.get(..end)).unwrap_or_default();
    format!("{kept}{CUT}")
}

fn invalid(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

/// Says goodbye as TLS asks for and reads what is still to come, so that the server sees a session
/// that has ended in order: a close with unread data would reset the connection.
async fn end(mut session: TlsStream<TcpStream>) -> io::Result<()> {
    session.shutdown().await?;
    let mut rest = [0; 4096];
    while session.read(&mut rest).await? > 0 {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::net::{Ipv4Addr, SocketAddr};
    use std::sync::Arc;

    use lb_lab::{Authority, Certified};
    use rustls::ServerConfig;
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use tokio::net::TcpListener;
    use tokio::task::JoinHandle;
    use tokio_rustls::TlsAcceptor;

    use super::*;

    const LONG: Duration = Duration::from_secs(20);
    const SHORT: Duration = Duration::from_millis(300);
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    const WELL: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

    /// What a server saw: the request, and whether the session ended in order.
    type Seen = io::Result<(String, bool)>;

    fn authority() -> Authority {
        Authority::new("authority").unwrap()
    }

    /// A certificate for the loopback address, which expires in so many days.
    fn certified(authority: &Authority, names: &[&str], days: u32) -> Certified {
        authority.certify(names, SystemTime::now() + days * DAY).unwrap()
    }

    fn page(tls: Tls) -> Page {
        Page { path: "/readyz?verbose".into(), status: 200, server_name: None, tls }
    }

    /// Trusts an authority, whose certificate is read from a file as in the product.
    fn trusting(authority: &Authority) -> Tls {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), authority.pem()).unwrap();
        Tls::with_authorities(file.path()).unwrap()
    }

    /// Accepts one connection.
    async fn listen() -> (TcpListener, SocketAddrV4) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let SocketAddr::V4(address) = listener.local_addr().unwrap() else { panic!("not IPv4") };
        (listener, address)
    }

    /// A server that answers one request, whatever it is.
    async fn serve(certified: &Certified, answer: &'static str) -> (SocketAddrV4, JoinHandle<Seen>) {
        let certificates = CertificateDer::pem_slice_iter(certified.certificate.as_bytes());
        let config = ServerConfig::builder_with_provider(Arc::new(rustls_rustcrypto::provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                certificates.map(Result::unwrap).collect(),
                PrivateKeyDer::from_pem_slice(certified.key.as_bytes()).unwrap(),
            )
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let (listener, address) = listen().await;
        let server = tokio::spawn(async move {
            let mut session = acceptor.accept(listener.accept().await?.0).await?;
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                if session.read_buf(&mut request).await? == 0 {
                    break;
                }
            }
            session.write_all(answer.as_bytes()).await?;
            session.flush().await?;
            // An end without TLS's own goodbye is an error here.
            let is_in_order = matches!(session.read(&mut [0]).await, Ok(0));
            Ok((String::from_utf8_lossy(&request).into_owned(), is_in_order))
        });
        (address, server)
    }

    #[tokio::test]
    async fn a_good_answer_passes_and_the_session_ends_in_order() {
        let authority = authority();
        let certified = certified(&authority, &["127.0.0.1"], 7);
        let (address, server) = serve(&certified, WELL).await;
        let (status, expires) = ask(address, &page(trusting(&authority)), LONG).await;
        assert_eq!(status, Status::Answered(200));
        let left = expires.unwrap().duration_since(SystemTime::now()).unwrap();
        assert!((6 * DAY..=7 * DAY).contains(&left), "{left:?}");
        let (request, is_in_order) = server.await.unwrap().unwrap();
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(
            request,
            format!(
                "GET /readyz?verbose HTTP/1.1\r\nHost: {address}\r\nUser-Agent: xlb/{version}\r\n\
                 Accept: */*\r\nConnection: close\r\n\r\n"
            )
        );
        assert!(is_in_order);
    }

    #[tokio::test]
    async fn another_status_does_not_pass() {
        let authority = authority();
        let certified = certified(&authority, &["127.0.0.1"], 7);
        let answers = [
            ("HTTP/1.1 500 Internal Server Error\r\n\r\nno", 500, "Internal Server Error"),
            ("HTTP/1.1 204\r\n\r\n", 204, ""),
        ];
        for (answer, code, reason) in answers {
            let (address, server) = serve(&certified, answer).await;
            let (status, expires) = ask(address, &page(trusting(&authority)), LONG).await;
            assert_eq!(status, Status::WrongStatus { code, reason: reason.into() });
            assert!(expires.is_some());
            assert!(server.await.unwrap().unwrap().1);
        }
        let long = format!("HTTP/1.1 500 {}\r\n\r\n", "w".repeat(10_000));
        let (address, _server) = serve(&certified, long.leak()).await;
        let (status, _) = ask(address, &page(trusting(&authority)), LONG).await;
        assert_eq!(status, Status::WrongStatus { code: 500, reason: format!("{}…", "w".repeat(197)) });
        let (address, _server) = serve(&certified, "HTTP/1.1 204 No Content\r\n\r\n").await;
        let wanted = Page { status: 204, ..page(trusting(&authority)) };
        assert_eq!(ask(address, &wanted, LONG).await.0, Status::Answered(204));
    }

    #[tokio::test]
    async fn what_is_no_answer_does_not_pass() {
        let authority = authority();
        let certified = certified(&authority, &["127.0.0.1"], 7);
        let (address, _server) = serve(&certified, "SSH-2.0-OpenSSH\r\n\r\n").await;
        let (status, _) = ask(address, &page(trusting(&authority)), LONG).await;
        let reason = "the answer is not HTTP: invalid HTTP version";
        assert_eq!(status, Status::InvalidAnswer(reason.into()));

        let (listener, address) = listen().await;
        let server = tokio::spawn(async move {
            let (mut connection, _) = listener.accept().await?;
            connection.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await?;
            connection.read(&mut [0; 1024]).await
        });
        let (status, expires) = ask(address, &page(trusting(&authority)), LONG).await;
        assert_eq!(
            (status, expires),
            (Status::NoSession("SSL handshake failure: the server does not speak TLS".into()), None)
        );
        server.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_bad_certificate_is_named_and_still_has_its_date() {
        let (ours, other) = (authority(), Authority::new("other").unwrap());
        let expired = ours.certify(&["127.0.0.1"], SystemTime::now() - 3 * DAY).unwrap();
        let cases = [
            (expired, "certificate has expired"),
            (certified(&ours, &["127.0.0.2", "localhost"], 7), "certificate is not for 127.0.0.1"),
            (
                certified(&other, &["127.0.0.1"], 7),
                "certificate of an unknown issuer: not from a trusted authority",
            ),
            // One that has the same name and another key.
            (
                certified(&authority(), &["127.0.0.1"], 7),
                "certificate of an unknown issuer: a trusted authority has its name, but not its key",
            ),
        ];
        for (certified, reason) in cases {
            let (address, _server) = serve(&certified, WELL).await;
            let (status, expires) = ask(address, &page(trusting(&ours)), LONG).await;
            assert_eq!(status, Status::NoSession(reason.into()));
            assert!(expires.is_some());

            let (address, _server) = serve(&certified, WELL).await;
            let (status, also_expires) = ask(address, &page(Tls::with_anybody()), LONG).await;
            assert_eq!((status, also_expires), (Status::Answered(200), expires), "{reason}");
        }
    }

    #[tokio::test]
    async fn a_name_is_asked_for_and_must_be_the_certificates() {
        let authority = authority();
        let certified = certified(&authority, &["kubernetes.default.svc"], 7);
        let (address, server) = serve(&certified, WELL).await;
        let named = |name: &str| Page { server_name: Some(name.into()), ..page(trusting(&authority)) };
        let (status, _) = ask(address, &named("kubernetes.default.svc"), LONG).await;
        assert_eq!(status, Status::Answered(200));
        let (request, _) = server.await.unwrap().unwrap();
        assert!(request.contains("\r\nHost: kubernetes.default.svc\r\n"), "{request}");

        let (address, _server) = serve(&certified, WELL).await;
        let (status, _) = ask(address, &named("kubernetes"), LONG).await;
        assert_eq!(status, Status::NoSession("certificate is not for kubernetes".into()));
    }

    #[tokio::test]
    async fn each_layer_has_its_timeout() {
        let authority = authority();
        let certified = certified(&authority, &["127.0.0.1"], 7);
        // It takes the connection and says nothing.
        let (_listener, address) = listen().await;
        let (status, _) = ask(address, &page(trusting(&authority)), SHORT).await;
        assert_eq!(status, Status::TimedOut(Layer::Session));

        // It says nothing more after the handshake, which may take its time.
        let (address, _server) = serve(&certified, "").await;
        let (status, _) = ask(address, &page(trusting(&authority)), 10 * SHORT).await;
        assert_eq!(status, Status::TimedOut(Layer::Answer));
    }

    #[test]
    fn what_a_server_says_is_cut_between_characters() {
        let exact = "w".repeat(MOST_WORDS);
        assert_eq!(shortened(&exact), exact);
        let cut = shortened(&"é".repeat(MOST_WORDS));
        assert_eq!(cut, format!("{}…", "é".repeat(98)));
    }

    #[test]
    fn authorities_must_be_there() {
        let missing = Tls::with_authorities("/does/not/exist.pem".as_ref()).expect_err("no file");
        assert_eq!(
            missing.to_string(),
            "ca_file /does/not/exist.pem: cannot be read: No such file or directory; check its name and its permissions"
        );
        let empty = tempfile::NamedTempFile::new().unwrap();
        fs::write(empty.path(), "no certificate").unwrap();
        let none = Tls::with_authorities(empty.path()).expect_err("no certificate").to_string();
        assert!(none.ends_with("has no certificate of an authority; name a file in PEM format"), "{none}");
    }
}
