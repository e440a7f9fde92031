//! ICMP errors about packets that we sent, translated for the end that can learn from them.
//!
//! The receiver of our packet, or a router on the way, complains to the packet's source, which is
//! us. The error is passed on to whom the packet came from, and the packet that it quotes becomes
//! the one that was sent there. So path MTU discovery works through the balancer.
//!
//! An error changes nothing of a connection, neither its state nor its time: what comes of it is for
//! the ends to decide. All of this is rare, and kept out of the line of TCP.

use lb_common::checksum::Delta;
use lb_common::index::Tuple;
use lb_common::net::Mac;
use lb_common::reason::Reason;
use lb_common::settings::Settings;
use lb_common::slot::{Slot, Word};
use lb_common::tcp::{self, Direction, Seq, State};
use network_types::eth::EthHdr;
use network_types::ip::Ipv4Hdr;

use crate::classify::{self, FRAGMENT, FRAGMENT_OFFSET, Ours, PLAIN, TCP};
use crate::packet::{Frame, IcmpError, Packet};
use crate::parse::{self, ICMP_OFFSET, IP_OFFSET};
use crate::rewrite::Rewrite;
use crate::slots::SlotRef;
use crate::{Context, conntrack, index};

/// The kinds of errors that are about a packet and not about its sender (RFC 792). Source quench is
/// obsolete (RFC 6633), and a redirect is for the host that chose the way: us.
const DESTINATION_UNREACHABLE: u8 = 3;
const TIME_EXCEEDED: u8 = 11;
const PARAMETER_PROBLEM: u8 = 12;

/// The code of an unreachable destination that only wants smaller packets.
const FRAGMENTATION_NEEDED: u8 = 4;

/// Where the quoted segment's checksum is, if the quote goes that far.
const QUOTED_CHECK: usize = ICMP_OFFSET + IcmpError::LEN + 8;

/// The headers of an ICMP error about a TCP segment.
struct Headers<'a> {
    eth: &'a mut EthHdr,
    ip: &'a mut Ipv4Hdr,
    icmp: &'a mut IcmpError,
    /// The quoted segment's checksum, where it is quoted.
    check: Option<&'a mut [u8; 2]>,
}

/// Translates an ICMP message, if it is an error about a packet of ours, and tells what it was.
#[inline(never)]
#[must_use]
pub fn forward(frame: &impl Frame) -> Reason {
    let Some(context) = Context::now() else { return Reason::OtherIcmp };
    match translate(&frame.pull(QUOTED_CHECK + 2), &context) {
        Ok(Direction::ToClient) => Reason::IcmpToClient,
        Ok(Direction::ToServer) => Reason::IcmpToServer,
        Err(reason) => reason,
    }
}

/// Translates it; tells whom it now goes to.
#[inline(always)]
fn translate(packet: &Packet, context: &Context) -> Result<Direction, Reason> {
    let headers = parse(packet)?;
    let (slot, word, direction) = find(context, headers.icmp)?;
    judge(headers.icmp, slot.fields(), word, direction)?;
    if headers.ip.ttl <= 1 {
        return Err(Reason::TtlExpired);
    }
    let rewrite = match direction {
        Direction::ToServer => conntrack::to_server(context, slot)?,
        Direction::ToClient => {
            conntrack::to_client(context.setup.frontend(slot.fields().tuple.frontend()), slot)
        }
    };
    apply(headers, &rewrite, &context.setup.settings);
    Ok(direction)
}

/// Finds the headers of an error about a TCP segment.
///
/// What else there is of ICMP is the host's. So are errors with IP options or in fragments, and
/// those about packets with options or about later fragments: none of them can be told to be ours,
/// and the host has no connection that they could harm.
#[inline(always)]
fn parse(packet: &Packet) -> Result<Headers<'_>, Reason> {
    let eth = packet.header::<EthHdr>(0).ok_or(Reason::Truncated)?;
    let ip = packet.header::<Ipv4Hdr>(IP_OFFSET).ok_or(Reason::Truncated)?;
    if ip.vihl != PLAIN || u16::from_be_bytes(ip.frags) & FRAGMENT != 0 {
        return Err(Reason::OtherIcmp);
    }
    let [kind] = *packet.header::<[u8; 1]>(ICMP_OFFSET).ok_or(Reason::Truncated)?;
    if !matches!(kind, DESTINATION_UNREACHABLE | TIME_EXCEEDED | PARAMETER_PROBLEM) {
        return Err(Reason::OtherIcmp);
    }
    let icmp = packet.header::<IcmpError>(ICMP_OFFSET).ok_or(Reason::Truncated)?;
    let end = IP_OFFSET + u16::from_be_bytes(ip.tot_len) as usize;
    if end < ICMP_OFFSET + IcmpError::LEN || end > packet.frame_len() {
        return Err(Reason::Truncated);
    }
    let is_first = u16::from_be_bytes(icmp.ip.frags) & FRAGMENT_OFFSET == 0;
    // Errors go to the source of what they are about.
    if icmp.ip.vihl != PLAIN || icmp.ip.proto != TCP || !is_first || icmp.ip.src_addr != ip.dst_addr {
        return Err(Reason::OtherIcmp);
    }
    let check = if end >= QUOTED_CHECK + 2 { packet.header::<[u8; 2]>(QUOTED_CHECK) } else { None };
    Ok(Headers { eth, ip, icmp, check })
}

/// Finds the connection that the quoted packet belongs to, as for an answer to that packet, and
/// where such an answer would go: there is the packet from.
#[inline(always)]
fn find(context: &Context, icmp: &IcmpError) -> Result<(SlotRef, Word, Direction), Reason> {
    let receiver = classify::destination(&icmp.ip, icmp.dest);
    let sender = classify::source(&icmp.ip, icmp.source);
    match classify::ours(context.setup, receiver, sender) {
        Ok(Ours::Frontend(frontend)) => {
            let tuple = Tuple::new(receiver.0, receiver.1, frontend.number);
            let hash = tuple.hash(&context.setup.settings.hash_key);
            let found = index::find(context, tuple, hash, &frontend.timeouts);
            if !found.is_some() {
                return Err(Reason::NoConnection);
            }
            Ok((found.slot, found.word, Direction::ToServer))
        }
        Ok(Ours::Server(server)) => match conntrack::at_nat(context, server, sender) {
            Ok((slot, word)) => Ok((slot, word, Direction::ToClient)),
            Err(Reason::OtherAddress) => Err(Reason::OtherIcmp),
            Err(reason) => Err(reason),
        },
        Err(_) => Err(Reason::OtherIcmp),
    }
}

/// Tells why nobody should get an error that goes in `direction`.
#[inline(always)]
fn judge(icmp: &IcmpError, fields: &Slot, word: Word, direction: Direction) -> Result<(), Reason> {
    let [client, server] = &fields.sides;
    let seq = Seq(u32::from_be_bytes(icmp.seq));
    let is_plausible = match direction {
        // The quoted packet went the other way.
        Direction::ToServer => tcp::is_under_way(word.state(), Direction::ToClient, server, client, seq),
        Direction::ToClient => tcp::is_under_way(word.state(), Direction::ToServer, client, server, seq),
    };
    if !is_plausible {
        return Err(Reason::ImplausibleIcmp);
    }
    if word.state() == State::SynSent && !wants_smaller_packets(icmp) {
        // The client must not hear of it while there are other servers, because any such error ends
        // its attempt to connect; its next SYN goes to another one.
        return Err(Reason::UnreachableSyn);
    }
    Ok(())
}

const fn wants_smaller_packets(icmp: &IcmpError) -> bool {
    icmp.kind == DESTINATION_UNREACHABLE && icmp.code == FRAGMENTATION_NEEDED
}

/// Rewrites the error in place: Ethernet, IP, and in the quoted packet IP and TCP. `rewrite` is what
/// a packet of the connection becomes that goes the error's way.
#[inline(always)]
fn apply(headers: Headers, rewrite: &Rewrite, settings: &Settings) {
    let Headers { eth, ip, icmp, check } = headers;
    eth.dst_addr = Mac::from(rewrite.next_hop).0;
    eth.src_addr = settings.mac.0;

    // A router keeps its address. The other end of the connection is us, as in all that it sends.
    let by_other_end = ip.src_addr == icmp.ip.dst_addr;
    let source = if by_other_end { rewrite.source } else { parse::source(ip) };
    let ip_change = Delta::new()
        .replace32(parse::source(ip).wire(), source.wire())
        .replace32(parse::destination(ip).wire(), rewrite.destination.wire())
        // One hop less. Only differences count, so the protocol beside it may be left out.
        .replace16(u16::from_ne_bytes([1, 0]), 0);
    ip.src_addr = source.wire().to_ne_bytes();
    ip.dst_addr = rewrite.destination.wire().to_ne_bytes();
    ip.ttl -= 1;
    ip.check = ip_change.apply(u16::from_ne_bytes(ip.check)).to_ne_bytes();

    // The quoted packet goes the other way.
    let quoted = &mut icmp.ip;
    let addresses = Delta::new()
        .replace32(parse::source(quoted).wire(), rewrite.destination.wire())
        .replace32(parse::destination(quoted).wire(), rewrite.source.wire());
    quoted.src_addr = rewrite.destination.wire().to_ne_bytes();
    quoted.dst_addr = rewrite.source.wire().to_ne_bytes();
    let segment = addresses
        .replace16(u16::from_ne_bytes(icmp.source), rewrite.destination_port.wire())
        .replace16(u16::from_ne_bytes(icmp.dest), rewrite.source_port.wire());
    icmp.source = rewrite.destination_port.wire().to_ne_bytes();
    icmp.dest = rewrite.source_port.wire().to_ne_bytes();

    // The message's checksum covers all of that, the quoted checksums too.
    let mut message = segment;
    let old = u16::from_ne_bytes(quoted.check);
    let new = addresses.apply(old);
    quoted.check = new.to_ne_bytes();
    message = message.replace16(old, new);
    if let Some(check) = check {
        let old = u16::from_ne_bytes(*check);
        let new = segment.apply(old);
        *check = new.to_ne_bytes();
        message = message.replace16(old, new);
    }
    icmp.check = message.apply(u16::from_ne_bytes(icmp.check)).to_ne_bytes();
}
