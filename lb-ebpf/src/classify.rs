//! Tells in a few nanoseconds whether a packet is ours.
//!
//! Everything else of the host's goes its way untouched.

use lb_common::frontend::{Frontend, MAX_FRONTENDS, PortEntry};
use lb_common::net::{Addr, Port};
use lb_common::reason::Reason;
use lb_common::server::Server;
use lb_common::setup::Setup;
use network_types::eth::EthHdr;
use network_types::ip::Ipv4Hdr;

use crate::packet::{Packet, TcpHdr};
use crate::parse::{self, Headers, IP_OFFSET, TCP_OFFSET};

/// Which of our flows a packet belongs to.
///
/// Both variants hold one pointer and nothing else: LLVM leaves a field that one variant lacks
/// undefined and may still copy it, which the verifier (seen on 6.18) calls `R4 !read_ok`.
#[derive(Clone, Copy)]
pub enum Ours {
    /// From a client, to a frontend.
    Frontend(&'static Frontend),
    /// From a server, to the NAT range. Whether also to a NAT address, [`crate::conntrack::slot_of`] finds.
    Server(&'static Server),
}

/// The type of a frame with IPv4 in it, as it stands there.
pub const IPV4: u16 = 0x0800_u16.to_be();
/// TCP, as an IPv4 header names it.
pub const TCP: u8 = 6;
const ICMP: u8 = 1;

/// Version 4, five words of header.
pub const PLAIN: u8 = 0x45;

/// The offset of a fragment's data: not zero in any but the first.
pub const FRAGMENT_OFFSET: u16 = 0x1fff;
/// What tells a fragment from a whole packet: more fragments, or an offset.
pub const FRAGMENT: u16 = 0x2000 | FRAGMENT_OFFSET;

/// Finds out whose the packet is. Only TCP over IPv4, whole and without options, is ours.
///
/// ICMP is [`Reason::OtherIcmp`] until [`crate::icmp`] has seen what it is about.
#[inline(always)]
pub fn classify<'a>(packet: &'a Packet, setup: &'static Setup) -> Result<(Headers<'a>, Ours), Reason> {
    let eth = packet.header::<EthHdr>(0).ok_or(Reason::Truncated)?;
    if eth.dst_addr != setup.settings.mac.0 {
        return Err(Reason::OtherHost);
    }
    if eth.ether_type != IPV4 {
        return Err(Reason::NotIpv4);
    }
    let ip = packet.header::<Ipv4Hdr>(IP_OFFSET).ok_or(Reason::Truncated)?;
    if ip.proto != TCP {
        return Err(if ip.proto == ICMP { Reason::OtherIcmp } else { Reason::NotTcp });
    }
    let fragment = u16::from_be_bytes(ip.frags) & FRAGMENT;
    if ip.vihl != PLAIN || fragment != 0 {
        return Err(unusual(packet, setup, ip, fragment));
    }
    let tcp = packet.header::<TcpHdr>(TCP_OFFSET).ok_or(Reason::Truncated)?;
    let ours = ours(setup, source(ip, tcp.source), destination(ip, tcp.dest))?;
    Ok((Headers { eth, ip, tcp }, ours))
}

/// Why a fragment or a packet with IP options goes no further.
///
/// What would have been ours is dropped: the host would answer it with a RST and so end the
/// client's connection.
#[inline(never)]
fn unusual(packet: &Packet, setup: &'static Setup, ip: &Ipv4Hdr, fragment: u16) -> Reason {
    if ip.vihl >> 4 != 4 {
        return Reason::NotIpv4;
    }
    if fragment & FRAGMENT_OFFSET != 0 {
        return Reason::LaterFragment;
    }
    let header = (ip.vihl & 0xf) as usize * 4;
    let Some([a, b, c, d]) = packet.header::<[u8; 4]>(IP_OFFSET + header).copied() else {
        return Reason::Truncated;
    };
    match ours(setup, source(ip, [a, b]), destination(ip, [c, d])) {
        Err(reason) => reason,
        Ok(Ours::Server(_)) if nat_of(setup, parse::destination(ip)) == NO_NAT => Reason::OtherAddress,
        Ok(_) if fragment != 0 => Reason::FirstFragment,
        Ok(_) => Reason::IpOptions,
    }
}

/// Who sent a packet, by its IP header and the port in its next one.
#[inline(always)]
#[must_use]
pub const fn source(ip: &Ipv4Hdr, port: [u8; 2]) -> (Addr, Port) {
    (parse::source(ip), parse::port(port))
}

/// Who is to get a packet.
#[inline(always)]
#[must_use]
pub const fn destination(ip: &Ipv4Hdr, port: [u8; 2]) -> (Addr, Port) {
    (parse::destination(ip), parse::port(port))
}

/// Finds the flow that addresses and ports belong to.
#[inline(always)]
pub fn ours(setup: &'static Setup, source: (Addr, Port), (addr, port): (Addr, Port)) -> Result<Ours, Reason> {
    match setup.port(port) {
        PortEntry::NONE => Err(Reason::OtherPort),
        PortEntry::NAT => server(setup, source).map(Ours::Server).ok_or(Reason::NotAServer),
        _ => frontend(setup, addr, port).map(Ours::Frontend).ok_or(Reason::OtherAddress),
    }
}

/// Finds the frontend at an address and port, among those that share the port.
#[inline(always)]
#[must_use]
pub fn frontend(setup: &'static Setup, addr: Addr, port: Port) -> Option<&'static Frontend> {
    let entry = setup.port(port);
    // Its byte is no number of a frontend.
    if entry == PortEntry::NAT {
        return None;
    }
    let mut link = entry.first();
    for _ in 0..MAX_FRONTENDS {
        let frontend = setup.frontend(link.number()?);
        if frontend.addr == addr {
            return Some(frontend);
        }
        link = frontend.next;
    }
    None
}

/// Finds the server that a packet to the NAT range comes from.
#[inline(always)]
fn server(setup: &'static Setup, (addr, port): (Addr, Port)) -> Option<&'static Server> {
    setup.endpoints.find(addr, port).map(|number| setup.server(number))
}

/// The number of no NAT address.
///
/// Not an `Option`, because [`search`] is a function of its own, whose result has to fit a register.
pub const NO_NAT: u16 = u16::MAX;

/// The number of a NAT address; [`NO_NAT`] for another one.
#[inline(always)]
#[must_use]
pub fn nat_of(setup: &'static Setup, addr: Addr) -> u16 {
    // Most data planes have only this one.
    if setup.settings.nat_addrs.get(0) == addr { 0 } else { search(setup, addr) }
}

/// Finds the number of a NAT address that is not the first.
#[inline(never)]
fn search(setup: &'static Setup, addr: Addr) -> u16 {
    setup.settings.nat_addrs.find(addr, 1).unwrap_or(NO_NAT)
}
