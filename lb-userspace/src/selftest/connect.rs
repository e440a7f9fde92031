//! Connections from this host: to each server, and to each frontend as its own clients make them.

use std::io;
use std::net::{SocketAddr, SocketAddrV4};
use std::time::{Duration, Instant};

use lb_common::local::LocalSocket;
use lb_common::net::socket_addr;
use socket2::{Domain, Protocol, Socket, Type};

use super::{Area, Check, Outcome, Scene, dataplane};
use crate::local;
use crate::stats::{Frontend, Server};

/// How long a connection may take.
const PATIENCE: Duration = Duration::from_secs(3);

pub(super) fn checks(scene: &Scene) -> Vec<Check> {
    let mut checks: Vec<Check> = scene.snapshot.servers.iter().map(direct).collect();
    let is_attached = local::is_attached(scene.pins);
    for frontend in &scene.snapshot.frontends {
        let address = SocketAddr::V4(frontend.bind);
        checks.push(local_client(scene, frontend, "IPv4 socket", address, is_attached));
        checks.push(local_client(scene, frontend, "IPv6 socket", mapped(frontend.bind), is_attached));
    }
    checks
}

/// A connection that has been made.
struct Connected {
    socket: Socket,
    took: Duration,
}

/// Connects, and resets the connection at its end, so that no TIME_WAIT stays of it.
fn connect(address: SocketAddr) -> io::Result<Connected> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_linger(Some(Duration::ZERO))?;
    let start = Instant::now();
    socket.connect_timeout(&address.into(), PATIENCE)?;
    Ok(Connected { socket, took: start.elapsed() })
}

/// The same address, for an IPv6 socket.
fn mapped(address: SocketAddrV4) -> SocketAddr {
    SocketAddr::new(address.ip().to_ipv6_mapped().into(), address.port())
}

fn direct(server: &Server) -> Check {
    let (outcome, detail) = match connect(SocketAddr::V4(server.address)) {
        Ok(connected) => (Outcome::Ok, format!("connected in {}", millis(connected.took))),
        Err(error) => {
            (Outcome::Failed, format!("{error}; does the server listen, and does a route lead to it?"))
        }
    };
    Check::new(Area::Direct, dataplane::name(server), outcome, detail)
}

/// What a client on this host meets at a frontend.
struct Meeting {
    /// Whom the socket takes for its peer.
    peer: Option<SocketAddr>,
    took: Duration,
    /// What the program has remembered.
    turned: Option<LocalSocket>,
}

fn local_client(
    scene: &Scene,
    frontend: &Frontend,
    kind: &str,
    address: SocketAddr,
    is_attached: bool,
) -> Check {
    let meeting = connect(address).map(|Connected { socket, took }| {
        let peer = socket.peer_addr().ok().and_then(|peer| peer.as_socket());
        let turned =
            socket.cookie().ok().and_then(|cookie| scene.maps.local_sockets.get(cookie).ok().flatten());
        Meeting { peer, took, turned }
    });
    let server = |address| {
        let found = scene.snapshot.servers.iter().find(|server| server.address == address);
        found.map(|server| server.name.as_str())
    };
    let (outcome, detail) = judge(meeting, address, is_attached, server);
    Check::new(Area::Local, format!("{} {}, {kind}", frontend.name, frontend.bind), outcome, detail)
}

/// What a meeting means.
fn judge<'n>(
    meeting: io::Result<Meeting>,
    address: SocketAddr,
    is_attached: bool,
    server: impl Fn(SocketAddrV4) -> Option<&'n str>,
) -> (Outcome, String) {
    let Meeting { peer, took, turned } = match meeting {
        Ok(meeting) => meeting,
        Err(error) if is_attached => return (Outcome::Failed, format!("{error}; is any of its servers UP?")),
        Err(error) => {
            return (Outcome::Note, format!("not balanced here, and nothing else answers: {error}"));
        }
    };
    let Some(turned) = turned else {
        return if is_attached {
            (
                Outcome::Failed,
                "another program on this host answers: no server is usable, or this process is not in the \
                 configured cgroup"
                    .to_owned(),
            )
        } else {
            (Outcome::Note, "not balanced here; another program on this host answers".to_owned())
        };
    };
    let by = server(socket_addr(turned.server_addr, turned.server_port)).unwrap_or("a server without a name");
    if peer == Some(address) {
        (Outcome::Ok, format!("connected to {by} in {}, getpeername tells the frontend", millis(took)))
    } else {
        let peer = peer.map_or_else(|| "nothing".to_owned(), |peer| peer.to_string());
        (Outcome::Failed, format!("connected to {by}, but getpeername tells {peer}; restart the agent"))
    }
}

fn millis(duration: Duration) -> String {
    format!("{:.2} ms", duration.as_secs_f64() * 1000.0)
}

#[cfg(test)]
mod tests {
    use lb_common::net::Port;

    use super::*;

    const FRONTEND: &str = "198.18.0.10:6443";
    const SERVER: &str = "198.18.0.11:6443";

    fn meeting(peer: &str, turned: bool) -> Meeting {
        let turned = turned.then(|| LocalSocket {
            asked_addr: std::net::Ipv4Addr::new(198, 18, 0, 10).into(),
            server_addr: std::net::Ipv4Addr::new(198, 18, 0, 11).into(),
            asked_port: Port::new(6443),
            server_port: Port::new(6443),
            padding: 0,
            opened_at: 0,
        });
        Meeting { peer: peer.parse().ok(), took: Duration::from_micros(400), turned }
    }

    fn judged(meeting: io::Result<Meeting>, is_attached: bool) -> (Outcome, String) {
        let address = FRONTEND.parse().unwrap();
        judge(meeting, address, is_attached, |server| (server.to_string() == SERVER).then_some("bettley"))
    }

    #[test]
    fn a_balanced_connection_names_its_server() {
        let (outcome, detail) = judged(Ok(meeting(FRONTEND, true)), true);
        assert_eq!(outcome, Outcome::Ok);
        assert!(detail.contains("bettley in 0.40 ms"), "{detail}");
    }

    #[test]
    fn whatever_is_not_balanced_fails_where_it_should_be() {
        let refused = || Err(io::ErrorKind::ConnectionRefused.into());
        assert_eq!(judged(Ok(meeting(SERVER, true)), true).0, Outcome::Failed);
        assert_eq!(judged(Ok(meeting(FRONTEND, false)), true).0, Outcome::Failed);
        assert_eq!(judged(refused(), true).0, Outcome::Failed);
        assert_eq!(judged(Ok(meeting(FRONTEND, false)), false).0, Outcome::Note);
        assert_eq!(judged(refused(), false).0, Outcome::Note);
    }
}
