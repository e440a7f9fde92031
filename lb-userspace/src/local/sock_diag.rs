//! This host's TCP sockets, as `NETLINK_SOCK_DIAG` tells of them (`sock_diag(7)`).
//!
//! It knows those of the network namespace that it was opened in. Calls answer at once and wait for
//! nobody but the kernel.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::Duration;

use lb_common::tcp::State;
use netlink_packet_sock_diag::constants::{
    AF_INET, AF_INET6, IPPROTO_TCP, TCP_CLOSING, TCP_LAST_ACK, TCP_SYN_SENT,
};
use netlink_packet_sock_diag::inet::nlas::Nla;
use netlink_packet_sock_diag::inet::{
    ExtensionFlags, InetRequest, InetResponse, InetResponseHeader, SocketId, StateFlags,
};
use netlink_packet_sock_diag::{SockDiagDestroy, SockDiagMessage};
use rtnetlink::packet_core::{NLM_F_ACK, NLM_F_DUMP};
use rtnetlink::sys::protocols::NETLINK_SOCK_DIAG;

use crate::netlink::Line;

/// A line to the kernel.
pub(crate) struct SockDiag {
    line: Line,
}

/// A socket with a peer.
pub(crate) struct HostSocket {
    header: InetResponseHeader,
    /// Whether it is of IPv6 alone, though it has no address.
    is_ipv6_only: bool,
    /// What the kernel has counted.
    pub usage: Usage,
}

/// What has gone over a connection; towards its peer first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// TCP segments.
    pub packets: [u64; 2],
    /// Payload bytes.
    pub bytes: [u64; 2],
    /// How long ago the last segment was sent or received.
    pub idle: Duration,
}

impl SockDiag {
    /// Opens one in the calling thread's network namespace.
    pub fn open() -> io::Result<Self> {
        Ok(Self { line: Line::open(NETLINK_SOCK_DIAG)? })
    }

    /// The sockets that are connected to this address, or are on their way there.
    pub fn connected_to(&self, peer: SocketAddrV4) -> io::Result<Vec<HostSocket>> {
        let mut sockets = Vec::new();
        // An IPv6 socket may be connected to an IPv4 address.
        for (family, id) in [(AF_INET, SocketId::new_v4()), (AF_INET6, SocketId::new_v6())] {
            let socket_id = SocketId { destination_port: peer.port(), ..id };
            self.line.send(SockDiagMessage::InetRequest(request(family, socket_id)), NLM_F_DUMP)?;
            self.line.receive(|message| {
                if let SockDiagMessage::InetResponse(response) = message {
                    sockets.push(HostSocket::new(*response));
                }
            })?;
        }
        sockets.retain(|socket| socket.peer() == SocketAddr::V4(peer));
        Ok(sockets)
    }

    /// The sockets that listen on IPv4 addresses, also those that listen on all of both families.
    pub fn listeners(&self) -> io::Result<Vec<HostSocket>> {
        let mut sockets = Vec::new();
        for (family, id) in [(AF_INET, SocketId::new_v4()), (AF_INET6, SocketId::new_v6())] {
            let request = InetRequest { states: StateFlags::LISTEN, ..request(family, id) };
            self.line.send(SockDiagMessage::InetRequest(request), NLM_F_DUMP)?;
            self.line.receive(|message| {
                if let SockDiagMessage::InetResponse(response) = message {
                    sockets.push(HostSocket::new(*response));
                }
            })?;
        }
        sockets.retain(|socket| socket.listens_on().is_some());
        Ok(sockets)
    }

    /// Ends a connection: its program gets `ECONNABORTED`, its peer a RST.
    pub fn destroy(&self, socket: &HostSocket) -> io::Result<()> {
        let InetResponseHeader { family, socket_id, .. } = &socket.header;
        let message = SockDiagMessage::InetRequest(request(*family, socket_id.clone()));
        self.line.send(SockDiagDestroy::new(message), NLM_F_ACK)?;
        self.line.receive(|_: SockDiagDestroy| ())
    }
}

/// What `struct tcp_info` of `linux/tcp.h` tells; the kernels that xlb runs on have all of it.
fn usage(info: &[u8]) -> Usage {
    let word = |offset| {
        let bytes = info.get(offset..).and_then(|rest| rest.first_chunk());
        bytes.map_or(0, |bytes| u32::from_ne_bytes(*bytes))
    };
    let long = |offset| {
        let bytes = info.get(offset..).and_then(|rest| rest.first_chunk());
        bytes.map_or(0, |bytes| u64::from_ne_bytes(*bytes))
    };
    let [last_data_sent, last_data_received, last_ack_received] = [44, 52, 56].map(word);
    let [segments_out, segments_in] = [136, 140].map(word).map(u64::from);
    let [received, sent, sent_again] = [128, 200, 208].map(long);
    let idle = last_data_sent.min(last_data_received).min(last_ack_received);
    Usage {
        packets: [segments_out, segments_in],
        bytes: [sent.saturating_sub(sent_again), received],
        idle: Duration::from_millis(idle.into()),
    }
}

/// A request about sockets that have a peer and a program.
fn request(family: u8, socket_id: SocketId) -> InetRequest {
    let others = StateFlags::LISTEN | StateFlags::TIME_WAIT | StateFlags::SYN_RECV | StateFlags::CLOSE;
    InetRequest {
        family,
        protocol: IPPROTO_TCP,
        extensions: ExtensionFlags::INFO,
        states: StateFlags::all() - others,
        socket_id,
    }
}

impl HostSocket {
    fn new(InetResponse { header, nlas }: InetResponse) -> Self {
        let usage = nlas.iter().find_map(|nla| match nla {
            Nla::TcpInfo(info) => Some(usage(info)),
            _ => None,
        });
        let is_ipv6_only = nlas.iter().any(|nla| matches!(nla, Nla::SkV6Only(true)));
        Self { header, is_ipv6_only, usage: usage.unwrap_or_default() }
    }

    /// The address and port of its own, if they are IPv4 ones.
    pub fn local(&self) -> Option<SocketAddrV4> {
        match self.header.socket_id.source_address.to_canonical() {
            IpAddr::V4(address) => Some(SocketAddrV4::new(address, self.port())),
            IpAddr::V6(_) => None,
        }
    }

    /// Where it listens for IPv4 connections; `0.0.0.0` for all addresses.
    pub fn listens_on(&self) -> Option<SocketAddrV4> {
        match self.header.socket_id.source_address.to_canonical() {
            IpAddr::V6(address) if address.is_unspecified() && !self.is_ipv6_only => {
                Some(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, self.port()))
            }
            _ => self.local(),
        }
    }

    /// Its number in the file systems of sockets, by which `/proc` shows whose it is.
    pub fn inode(&self) -> u32 {
        self.header.inode
    }

    /// Its state, in the few that the packet path knows: one FIN leaves a connection established.
    pub fn state(&self) -> State {
        match self.header.state {
            TCP_SYN_SENT => State::SynSent,
            TCP_LAST_ACK | TCP_CLOSING => State::TimeWait,
            _ => State::Established,
        }
    }

    /// The number that a BPF program knows the socket by.
    pub fn cookie(&self) -> u64 {
        let [a, b, c, d, e, f, g, h] = self.header.socket_id.cookie;
        let [low, high] = [[a, b, c, d], [e, f, g, h]].map(u32::from_ne_bytes);
        u64::from(high) << 32 | u64::from(low)
    }

    /// The port of its own.
    fn port(&self) -> u16 {
        self.header.socket_id.source_port
    }

    fn peer(&self) -> SocketAddr {
        let SocketId { destination_address, destination_port, .. } = self.header.socket_id;
        SocketAddr::new(IpAddr::to_canonical(&destination_address), destination_port)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Read, Write};
    use std::net::{Ipv6Addr, TcpListener, TcpStream};

    use socket2::{Domain, Socket, Type};

    use super::*;

    fn listener() -> (TcpListener, SocketAddrV4) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has ports");
        let SocketAddr::V4(address) = listener.local_addr().expect("it is bound") else { unreachable!() };
        (listener, address)
    }

    #[test]
    fn sockets_are_found_by_their_peer_in_both_families() {
        let (_listener, address) = listener();
        let sockets = || SockDiag::open().unwrap().connected_to(address).unwrap();
        assert_eq!(sockets().len(), 0);
        let mapped = SocketAddr::new(address.ip().to_ipv6_mapped().into(), address.port());
        let _streams = [TcpStream::connect(address).unwrap(), TcpStream::connect(mapped).unwrap()];
        assert_eq!(sockets().len(), 2);
        let mut cookies: Vec<_> = sockets().iter().map(HostSocket::cookie).collect();
        cookies.dedup();
        assert_eq!(cookies.len(), 2, "{cookies:?}");
    }

    #[test]
    fn listeners_are_found_with_their_inodes() {
        let (listener, address) = listener();
        let listeners = SockDiag::open().unwrap().listeners().unwrap();
        let found = listeners.iter().find(|socket| socket.listens_on() == Some(address)).expect("it listens");
        let link =
            std::fs::read_link(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&listener)));
        assert_eq!(link.unwrap().to_str(), Some(format!("socket:[{}]", found.inode()).as_str()));
    }

    #[test]
    fn whoever_listens_on_all_ipv6_addresses_may_not_listen_on_ipv4() {
        for (is_ipv6_only, listens) in [(false, true), (true, false)] {
            let socket = Socket::new(Domain::IPV6, Type::STREAM, None).unwrap();
            socket.set_only_v6(is_ipv6_only).unwrap();
            socket.bind(&SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)).into()).unwrap();
            socket.listen(1).unwrap();
            let port = socket.local_addr().unwrap().as_socket().unwrap().port();
            let all = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port);
            let listeners = SockDiag::open().unwrap().listeners().unwrap();
            let found = listeners.iter().any(|socket| socket.listens_on() == Some(all));
            assert_eq!(found, listens, "only IPv6: {is_ipv6_only}");
        }
    }

    #[test]
    fn the_bytes_of_a_connection_are_counted() {
        let (listener, address) = listener();
        let mut stream = TcpStream::connect(address).unwrap();
        let (mut accepted, _) = listener.accept().unwrap();
        stream.write_all(b"hello").unwrap();
        accepted.read_exact(&mut [0; 5]).unwrap();
        accepted.write_all(b"yes").unwrap();
        stream.read_exact(&mut [0; 3]).unwrap();
        let sockets = SockDiag::open().unwrap().connected_to(address).unwrap();
        let [socket] = &sockets[..] else { panic!("{} sockets", sockets.len()) };
        assert_eq!(socket.usage.bytes, [5, 3]);
        assert_eq!(socket.local().map(SocketAddr::V4), stream.local_addr().ok());
        assert_eq!(socket.state(), State::Established);
    }

    #[test]
    fn a_destroyed_connection_ends_for_its_reader() {
        // Root may do this, others are told that they may not; a kernel may be built without.
        let (_listener, address) = listener();
        let mut stream = TcpStream::connect(address).unwrap();
        let diag = SockDiag::open().unwrap();
        let sockets = diag.connected_to(address).unwrap();
        match diag.destroy(&sockets[0]) {
            Ok(()) => assert_eq!(stream.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionAborted),
            Err(error) => assert!(
                matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::Unsupported),
                "{error}"
            ),
        }
    }
}
