//! The frames that are sent, and those that are expected.

use std::net::{Ipv4Addr, SocketAddrV4};

use etherparse::PacketBuilder;
use lb_common::bench::Flows;
use lb_common::net::{Mac, Port};

pub use lb_common::bench::MAC;

/// Address of everything: with client, frontend, NAT address and server all the same, a flow is its
/// own fixed point, and the packet of one repetition is that of the next.
pub const HOST: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 10);
/// The frontend.
pub const SERVICE: SocketAddrV4 = SocketAddrV4::new(HOST, 6443);
/// What the server has sent, and the client acknowledges, in every flow.
pub const SERVER_SEQ: u32 = 1_000_000;
/// The same from the other side.
pub const CLIENT_SEQ: u32 = 2_000_000;
/// Of a frame that is sent.
pub const TTL: u8 = 64;

#[derive(Clone, Copy, PartialEq)]
pub enum TcpFlag {
    Syn,
    Ack,
    Reply,
}

/// Where a frame is from, where it goes, and how far it can go.
pub struct Route {
    pub macs: [Mac; 2],
    pub source: SocketAddrV4,
    pub destination: SocketAddrV4,
    pub ttl: u8,
}

/// A frame of 64 bytes from the host to itself.
pub fn own(source_port: u16, destination_port: u16, flag: TcpFlag) -> Vec<u8> {
    let at = |port| SocketAddrV4::new(HOST, port);
    let (source, destination) = (at(source_port), at(destination_port));
    Route { macs: [MAC; 2], source, destination, ttl: TTL }.frame(flag)
}

/// 2^`bits` flows to the frontend, in random order.
pub fn flows(bits: u32) -> Flows {
    Flows::new(1 << bits, (MAC, MAC), (HOST.into(), Port::new(SERVICE.port())))
}

impl Route {
    /// A frame of 64 bytes on this route.
    pub fn frame(&self, flag: TcpFlag) -> Vec<u8> {
        let (seq, ack) =
            if flag == TcpFlag::Reply { (SERVER_SEQ, CLIENT_SEQ) } else { (CLIENT_SEQ, SERVER_SEQ) };
        let [from, to] = self.macs;
        let (source, destination) = (self.source, self.destination);
        let builder = PacketBuilder::ethernet2(from.0, to.0)
            .ipv4(source.ip().octets(), destination.ip().octets(), self.ttl)
            .tcp(source.port(), destination.port(), seq, 64_000);
        let builder = if flag == TcpFlag::Syn { builder.syn() } else { builder.ack(ack) };
        let payload = if flag == TcpFlag::Syn { &[][..] } else { &[0; 10] };
        let mut frame = Vec::new();
        builder.write(&mut frame, payload).expect("a vector takes any frame");
        frame.resize(64, 0);
        frame
    }
}
