//! A socket that sends packets with headers of our own (raw(7)).

use std::io;
use std::net::SocketAddrV4;

use socket2::{Domain, Protocol, Socket, Type};

use super::segment::Reset;

/// A raw IPv4 socket. The kernel routes what it sends.
pub(super) struct RawSocket(Socket);

impl RawSocket {
    /// Opens it; takes `CAP_NET_RAW`.
    pub fn open() -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(libc::IPPROTO_RAW)))?;
        // A neighbour that does not answer must not hold up the others.
        socket.set_nonblocking(true)?;
        Ok(Self(socket))
    }

    /// Sends a packet.
    pub fn send(&self, reset: &Reset) -> io::Result<()> {
        let receiver = SocketAddrV4::new(reset.receiver(), 0);
        self.0.send_to(&reset.bytes(), &receiver.into()).map(drop)
    }
}
