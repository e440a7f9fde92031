//! One check of a TCP server: does it accept a connection?

use std::io;
use std::net::SocketAddrV4;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use socket2::SockRef;
use tokio::net::TcpSocket;

use super::{CheckResult, Status};

/// Tries to connect to `server` from this host.
pub(super) async fn tcp(server: SocketAddrV4, timeout: Duration) -> CheckResult {
    let start = tokio::time::Instant::now();
    let status = match tokio::time::timeout(timeout, connect(server)).await {
        Ok(Ok(())) => Status::Passed,
        Ok(Err(error)) => Status::ConnectionProblem(message(&error)),
        Err(_) => Status::TimedOut,
    };
    CheckResult { status, duration: start.elapsed(), at: Instant::now() }
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
fn message(error: &io::Error) -> String {
    error.raw_os_error().map_or_else(|| error.to_string(), |code| Errno::from_raw(code).desc().to_owned())
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};

    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    const LONG: Duration = Duration::from_secs(10);

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
        let result = tcp(address(&listener), LONG).await;
        assert_eq!(result.status, Status::Passed);
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
        let result = tcp(localhost(port), LONG).await;
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
        let result = tcp(address(&listener), timeout).await;
        assert_eq!(result.status, Status::TimedOut);
        assert!(result.duration >= timeout);
    }
}
