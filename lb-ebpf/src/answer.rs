//! Packets that the balancer itself makes, in place of the one that came.

use lb_common::checksum::Delta;
use lb_common::net::{Mac, MacWord};
use lb_common::settings::Settings;
use lb_common::syn::{MAX_OPTIONS, Syn};
use lb_common::tcp::{Flags, Seq};

use crate::Verdict;
use crate::classify::{self, PLAIN, TCP};
use crate::packet::{Frame, Packet, TcpChange, TcpHdr};
use crate::parse::{self, TCP_OFFSET};
use crate::rewrite::{self, Rewrite};

/// The hops of a packet that begins its way here.
const TTL: u8 = 64;

/// Don't fragment.
const DF: u16 = 0x4000;

/// A packet that is written from scratch.
struct Headers {
    addressing: Rewrite,
    our_mac: Mac,
    tos: u8,
    ttl: u8,
    flags: u8,
    window: u16,
    seq: Seq,
    ack: Seq,
}

/// Turns a packet round into the RST that its sender would get from a host that does not know its
/// connection (RFC 9293 §3.5.2). One that is a RST itself is dropped.
#[inline(never)]
pub fn reset(frame: &impl Frame) -> Verdict {
    if answer(frame).is_some() { Verdict::Transmit } else { Verdict::Drop }
}

#[inline(always)]
fn answer(frame: &impl Frame) -> Option<()> {
    let headers = refusal(&frame.packet())?;
    // A driver that cannot cut the frame sends what is left of it behind the packet, where the
    // receiver takes it for the padding of a short frame.
    let packet = frame.resize(TCP_OFFSET + TcpHdr::LEN).unwrap_or_else(|| frame.packet());
    write(frame, &packet, &headers, None)
}

/// The headers of the RST that a packet is answered with.
#[inline(always)]
fn refusal(packet: &Packet) -> Option<Headers> {
    let headers = parse::headers(packet)?;
    let parse::Headers { eth, ip, tcp } = &headers;
    let flags = Flags(tcp.flags);
    let sender = MacWord::from(Mac(eth.src_addr));
    if flags.has(Flags::RST) || !sender.is_unicast() {
        return None;
    }
    let segment = parse::segment(packet, &headers).ok()?;
    let (seq, ack, flags) = if flags.has(Flags::ACK) {
        (segment.ack, Seq(0), Flags::RST)
    } else {
        (Seq(0), segment.end(), Flags::RST | Flags::ACK)
    };
    let addressing = Rewrite {
        next_hop: sender,
        source: parse::destination(ip),
        destination: parse::source(ip),
        source_port: parse::port(tcp.dest),
        destination_port: parse::port(tcp.source),
    };
    Some(Headers { addressing, our_mac: Mac(eth.dst_addr), tos: 0, ttl: TTL, flags, window: 0, seq, ack })
}

/// The length of the frame of a SYN.
#[inline(always)]
#[must_use]
pub const fn syn_len(syn: &Syn) -> usize {
    TCP_OFFSET + TcpHdr::LEN + (syn.options_len as usize & 0x3c)
}

/// Makes a frame of that length the client's SYN once more, to another server.
#[inline(always)]
#[must_use]
pub fn syn(frame: &impl Frame, settings: &Settings, addressing: Rewrite, isn: Seq, syn: &Syn) -> Option<()> {
    let headers = Headers {
        addressing,
        our_mac: settings.mac,
        tos: syn.tos,
        ttl: syn.ttl.wrapping_sub(1),
        flags: syn.flags,
        window: syn.window,
        seq: isn,
        ack: Seq(0),
    };
    write(frame, &frame.packet(), &headers, Some((syn, settings.mss)))
}

/// Writes a whole packet, with the options of a SYN and no larger a maximum segment size than given.
#[inline(always)]
fn write(frame: &impl Frame, packet: &Packet, headers: &Headers, syn: Option<(&Syn, u16)>) -> Option<()> {
    let options = syn.map_or(0, |(syn, _)| syn.options_len as usize & 0x3c);
    let length = (TcpHdr::LEN + options) as u16;
    let parse::Headers { eth, ip, tcp } = parse::headers(packet)?;
    let Rewrite { next_hop, source, destination, source_port, destination_port } = headers.addressing;
    eth.dst_addr = Mac::from(next_hop).0;
    eth.src_addr = headers.our_mac.0;
    eth.ether_type = classify::IPV4;

    let addresses = Delta::new().insert32(source.wire()).insert32(destination.wire());
    ip.vihl = PLAIN;
    ip.tos = headers.tos;
    ip.tot_len = (length + 20).to_be_bytes();
    ip.id = [0; 2];
    ip.frags = DF.to_be_bytes();
    ip.ttl = headers.ttl;
    ip.proto = TCP;
    ip.src_addr = source.wire().to_ne_bytes();
    ip.dst_addr = destination.wire().to_ne_bytes();
    let ip_sum = addresses
        .insert16(u16::from_ne_bytes([PLAIN, headers.tos]))
        .insert16((length + 20).to_be())
        .insert16(DF.to_be())
        .insert16(u16::from_ne_bytes([headers.ttl, TCP]));
    ip.check = ip_sum.checksum().to_ne_bytes();

    let data_offset = ((TcpHdr::LEN + options) as u8) << 2;
    tcp.source = source_port.wire().to_ne_bytes();
    tcp.dest = destination_port.wire().to_ne_bytes();
    tcp.seq = headers.seq.0.to_be_bytes();
    tcp.ack_seq = headers.ack.0.to_be_bytes();
    tcp.data_offset = data_offset;
    tcp.flags = headers.flags;
    tcp.window = headers.window.to_ne_bytes();
    tcp.urgent = [0; 2];
    tcp.check = TcpChange::SCRATCH;
    let pseudo = addresses.insert16(u16::from_ne_bytes([0, TCP])).insert16(length.to_be());
    let mut segment = Delta::new()
        .insert16(source_port.wire())
        .insert16(destination_port.wire())
        .insert32(headers.seq.0.to_be())
        .insert32(headers.ack.0.to_be())
        .insert16(u16::from_ne_bytes([data_offset, headers.flags]))
        .insert16(headers.window);
    if let Some((syn, mss)) = syn {
        segment = write_options(packet, syn, options, segment)?;
        segment = rewrite::clamp_mss(packet, TcpHdr::LEN + options, mss, segment);
    }
    frame.update_check(tcp, TcpChange { pseudo, segment });
    Some(())
}

/// Writes the options behind the TCP header.
#[inline(always)]
fn write_options(packet: &Packet, syn: &Syn, length: usize, mut sum: Delta) -> Option<Delta> {
    for i in 0..MAX_OPTIONS / 4 {
        if i * 4 >= length {
            break;
        }
        *packet.header::<[u8; 4]>(TCP_OFFSET + TcpHdr::LEN + i * 4)? = syn.options[i].to_ne_bytes();
        sum = sum.insert32(syn.options[i]);
    }
    Some(sum)
}
