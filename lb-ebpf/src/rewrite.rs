//! Turns a packet round: addresses, ports, MACs, TTL, MSS, and the checksums over them.

use lb_common::checksum::Delta;
use lb_common::net::{Addr, Mac, MacWord, Port};
use lb_common::settings::Settings;
use lb_common::tcp::Flags;

use crate::packet::{Frame, Packet, TcpChange};
use crate::parse::{self, Headers};

/// What a packet is to become.
#[derive(Clone, Copy)]
pub struct Rewrite {
    /// Where the frame goes.
    pub next_hop: MacWord,
    /// The new source.
    pub source: Addr,
    /// The new destination.
    pub destination: Addr,
    /// The new source port.
    pub source_port: Port,
    /// The new destination port.
    pub destination_port: Port,
}

/// Rewrites the packet in place, always in this order: Ethernet, IP, TCP.
#[inline(always)]
pub fn apply(frame: &impl Frame, packet: &Packet, headers: Headers, rewrite: &Rewrite, settings: &Settings) {
    let Headers { eth, ip, tcp } = headers;
    eth.dst_addr = Mac::from(rewrite.next_hop).0;
    eth.src_addr = settings.mac.0;

    let addresses = Delta::new()
        .replace32(parse::source(ip).wire(), rewrite.source.wire())
        .replace32(parse::destination(ip).wire(), rewrite.destination.wire());
    ip.src_addr = rewrite.source.wire().to_ne_bytes();
    ip.dst_addr = rewrite.destination.wire().to_ne_bytes();
    ip.ttl -= 1;
    // One hop less. Only differences count, so the protocol beside it may be left out.
    let ip_change = addresses.replace16(u16::from_ne_bytes([1, 0]), 0);
    ip.check = ip_change.apply(u16::from_ne_bytes(ip.check)).to_ne_bytes();

    let mut segment = Delta::new()
        .replace16(u16::from_ne_bytes(tcp.source), rewrite.source_port.wire())
        .replace16(u16::from_ne_bytes(tcp.dest), rewrite.destination_port.wire());
    tcp.source = rewrite.source_port.wire().to_ne_bytes();
    tcp.dest = rewrite.destination_port.wire().to_ne_bytes();
    if Flags(tcp.flags).has(Flags::SYN) {
        segment = clamp_mss(packet, tcp.header_len(), settings.mss, segment);
    }
    frame.update_check(tcp, TcpChange { pseudo: addresses, segment });
}

/// Lowers the maximum segment size that a SYN announces to what our interface carries.
///
/// HAProxy ended TCP here, with an MSS for each side; a NAT between unequal MTUs would be a black
/// hole for full-sized segments.
#[inline(never)]
pub fn clamp_mss(packet: &Packet, tcp_header: usize, limit: u16, change: Delta) -> Delta {
    match parse::option(packet, tcp_header, parse::MAXIMUM_SEGMENT_SIZE) {
        Some(offset) => lower(packet, offset, limit, change),
        None => change,
    }
}

/// Lowers the 16-bit number at `offset` to `limit`.
#[inline(always)]
fn lower(packet: &Packet, offset: usize, limit: u16, change: Delta) -> Delta {
    let Some(field) = packet.header::<[u8; 2]>(offset) else { return change };
    if u16::from_be_bytes(*field) <= limit {
        return change;
    }
    let old = u16::from_ne_bytes(*field);
    *field = limit.to_be_bytes();
    let new = limit.to_be();
    if offset.is_multiple_of(2) { change.replace16(old, new) } else { change.replace16_unaligned(old, new) }
}
