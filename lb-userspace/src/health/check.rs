//! One check of a server; over TCP: does it accept a connection?

use std::io;
use std::net::SocketAddrV4;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use socket2::SockRef;
use tokio::net::TcpSocket;

use super::state::Layer;
use super::{Check, CheckResult, Probe, Status, https};

/// Checks `server` from this host.
pub(super) async fn run(server: SocketAddrV4, check: Check) -> CheckResult {
    let start = Instant::now();
    let (status, certificate_expires) = match &check.probe {
        Probe::Tcp => (tcp(server, check.timeout).await, None),
        Probe::Https(page) => https::ask(server, page, check.timeout).await,
    };
    let at = Instant::now();
    CheckResult { status, duration: at - start, at, certificate_expires }
}

/// Tries to connect.
async fn tcp(server: SocketAddrV4, timeout: Duration) -> Status {
    match tokio::time::timeout(timeout, connect(server)).await {
        Ok(Ok(())) => Status::Connected,
        Ok(Err(error)) => Status::ConnectionProblem(message(&error)),
        Err(_) => Status::TimedOut(Layer::Connection),
    }
}

/// Connects, and leaves no trace at the server.
///
/// The handshake's last ACK is held back and the RST of a close without linger goes out in its
/// place: the server's kernel has answered, but its program never sees a connection that it would
/// log as "TLS handshake error: EOF", and neither side keeps a `TIME_WAIT`. HAProxy does the same.
async fn connect(server: SocketAddrV4) -> io::Result<()> {
    let socket = TcpSocket::new_v4()?;
    SockRef::from(&socket).set_tcp_quickack(false)?;
    socket.set_zero_linger()?;
    socket.connect(server.into()).await.map(drop)
}

/// The system's words, without the "(os error 111)" that Rust adds.
pub(crate) fn message(error: &io::Error) -> String {
    error.raw_os_error().map_or_else(|| error.to_string(), |code| Errno::from_raw(code).desc().to_owned())
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};

    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    const LONG: Duration = Duration::from_secs(10);

    fn check(timeout: Duration) -> Check {
        Check { probe: Probe::Tcp, interval: timeout, timeout, fall: 3, rise: 2, error_limit: None }
    }

    fn localhost(port: u16) -> SocketAddrV4 {
        SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)
    }

    fn address(listener: &TcpListener) -> SocketAddrV4 {
        let SocketAddr::V4(address) = listener.local_addr().unwrap() else { panic!("not IPv4") };
        address
    }

    #[tokio::test]
    async fn a_listening_server_passes_and_sees_nothing() {
        let listener = TcpListener::bind(localhost(0)).await.unwrap();
        let result = run(address(&listener), check(LONG)).await;
        assert_eq!(result.status, Status::Connected);
        assert!(result.duration < LONG);

        let client = TcpStream::connect(address(&listener)).await.unwrap();
        let (_, peer) = listener.accept().await.unwrap();
        assert_eq!(peer, client.local_addr().unwrap(), "the check's connection came up to the server");
    }

    #[tokio::test]
    async fn a_closed_port_is_a_connection_problem() {
        // Bound but not listening: nobody else can listen there meanwhile.
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(localhost(0).into()).unwrap();
        let port = socket.local_addr().unwrap().port();
        let result = run(localhost(port), check(LONG)).await;
        assert_eq!(result.status, Status::ConnectionProblem("Connection refused".into()));
    }

    #[tokio::test]
    async fn a_full_backlog_times_out() {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(localhost(0).into()).unwrap();
        let listener = socket.listen(0).unwrap();
        // A backlog of zero has room for one connection; Linux then ignores further SYNs.
        let _first = TcpStream::connect(address(&listener)).await.unwrap();
        let timeout = Duration::from_millis(50);
        let result = run(address(&listener), check(timeout)).await;
        assert_eq!(result.status, Status::TimedOut(Layer::Connection));
        assert!(result.duration >= timeout);
    }
}
