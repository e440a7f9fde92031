//! Where all of it happens: the addresses of the measured flows.

use std::net::{Ipv4Addr, SocketAddrV4};

use lb_common::bench::Flows;
use lb_common::net::Port;

pub use lb_common::bench::MAC;

use crate::frame::{self, End, Segment, TTL};

/// Address of everything: with client, frontend, NAT address and server all the same, a flow is its
/// own fixed point, and the packet of one repetition is that of the next.
pub const HOST: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 10);
/// The frontend.
pub const SERVICE: SocketAddrV4 = SocketAddrV4::new(HOST, 6443);

/// A frame from the host to itself.
pub fn own_frame(source_port: u16, destination_port: u16, segment: Segment) -> Vec<u8> {
    let at = |port| End { mac: MAC, socket: SocketAddrV4::new(HOST, port) };
    frame::frame(at(source_port), at(destination_port), TTL, segment)
}

/// 2^`bits` flows to the frontend, in random order.
pub fn flows(bits: u32) -> Flows {
    Flows::new(1 << bits, (MAC, MAC), (HOST.into(), Port::new(SERVICE.port())))
}
