//! What a packet says, in the terms of the connection state machine.

use lb_common::net::{Addr, Port};
use lb_common::reason::Reason;
use lb_common::reuse::Stamp;
use lb_common::tcp::{Flags, Segment, Seq};
use network_types::eth::EthHdr;
use network_types::ip::Ipv4Hdr;

use crate::packet::{Packet, TcpHdr};

/// Where the IPv4 header begins.
pub const IP_OFFSET: usize = EthHdr::LEN;

/// Where the TCP header begins behind an IPv4 header without options.
pub const TCP_OFFSET: usize = IP_OFFSET + Ipv4Hdr::LEN;

/// Where an ICMP message begins behind an IPv4 header without options.
pub const ICMP_OFFSET: usize = IP_OFFSET + Ipv4Hdr::LEN;

/// The three headers of a packet without IP options.
pub struct Headers<'a> {
    /// Ethernet.
    pub eth: &'a mut EthHdr,
    /// IPv4.
    pub ip: &'a mut Ipv4Hdr,
    /// TCP, without its options.
    pub tcp: &'a mut TcpHdr,
}

/// The headers of a packet that is known to be TCP over IPv4 without options.
#[inline(always)]
#[must_use]
pub fn headers(packet: &Packet) -> Option<Headers<'_>> {
    Some(Headers {
        eth: packet.header::<EthHdr>(0)?,
        ip: packet.header::<Ipv4Hdr>(IP_OFFSET)?,
        tcp: packet.header::<TcpHdr>(TCP_OFFSET)?,
    })
}

/// A port as it stands in a header.
#[inline(always)]
#[must_use]
pub const fn port(wire: [u8; 2]) -> Port {
    Port::from_wire(u16::from_ne_bytes(wire))
}

/// Describes the segment of a packet for us, or tells why nobody should get it.
#[inline(always)]
pub fn segment(packet: &Packet, headers: &Headers) -> Result<Segment, Reason> {
    let total = u16::from_be_bytes(headers.ip.tot_len) as usize;
    let tcp_header = headers.tcp.header_len();
    let header = Ipv4Hdr::LEN + tcp_header;
    if tcp_header < TcpHdr::LEN || total < header || IP_OFFSET + total > packet.frame_len() {
        return Err(Reason::Malformed);
    }
    let flags = Flags(headers.tcp.flags);
    if !flags.are_valid() {
        return Err(Reason::BadFlags);
    }
    if headers.ip.ttl <= 1 {
        return Err(Reason::TtlExpired);
    }
    Ok(Segment {
        seq: Seq(u32::from_be_bytes(headers.tcp.seq)),
        ack: Seq(u32::from_be_bytes(headers.tcp.ack_seq)),
        payload: (total - header) as u32,
        flags,
    })
}

/// The kinds of TCP options that have no length (RFC 9293 §3.2).
const END_OF_OPTIONS: u8 = 0;
const NO_OPERATION: u8 = 1;

/// Kind and length of the option by which a SYN says how long segments may be (RFC 9293 §3.7.1).
pub const MAXIMUM_SEGMENT_SIZE: (u8, u8) = (2, 4);
/// Those of timestamps (RFC 7323 §3.2).
const TIMESTAMPS: (u8, u8) = (8, 10);

/// Finds what a TCP option says, behind its kind and length, in a header of so many bytes.
#[inline(always)]
#[must_use]
pub fn option(packet: &Packet, tcp_header: usize, wanted: (u8, u8)) -> Option<usize> {
    let mut at = TcpHdr::LEN;
    // Forty bytes of options at most.
    for _ in 0..40 {
        // The mask says to the verifier what the comparison has said already.
        let offset = TCP_OFFSET + (at & 0x3f);
        if at + wanted.1 as usize > tcp_header {
            return None;
        }
        let [kind, length] = packet.header::<[u8; 2]>(offset).copied()?;
        if (kind, length) == wanted {
            return Some(offset + 2);
        }
        at += match (kind, length) {
            (END_OF_OPTIONS, _) | (_, 0) => return None,
            (NO_OPERATION, _) => 1,
            _ => length as usize,
        };
    }
    None
}

/// The sender's timestamp of a packet with so many bytes of TCP header.
#[inline(never)]
#[must_use]
pub fn stamp(packet: &Packet, tcp_header: usize) -> Stamp {
    let Some(offset) = option(packet, tcp_header, TIMESTAMPS) else { return Stamp::NONE };
    let Some(value) = packet.header::<[u8; 4]>(offset) else { return Stamp::NONE };
    Stamp(u32::from_be_bytes(*value))
}

/// The sender's address.
#[inline(always)]
#[must_use]
pub const fn source(ip: &Ipv4Hdr) -> Addr {
    Addr::from_wire(u32::from_ne_bytes(ip.src_addr))
}

/// The receiver's address.
#[inline(always)]
#[must_use]
pub const fn destination(ip: &Ipv4Hdr) -> Addr {
    Addr::from_wire(u32::from_ne_bytes(ip.dst_addr))
}
