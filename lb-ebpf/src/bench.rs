//! What benches of the packet path run: the least that a program can do, a plain prototype to compare with, and
//! the product's core behind entries that make each packet of a run what it should be. (The kernel's
//! test run does not restore a rewritten packet, and gives the same one every time.)
//!
//! The prototype is what a NAT does at the least when it takes the kernel's own hash maps: it looks the
//! packet up and rewrites it. It keeps no state, no counters and no time, so it forwards for ever what it
//! was once told. The entries that drive it are those of the product.
#![cfg_attr(target_arch = "bpf", no_std, no_main, feature(asm_experimental_arch))]
#![expect(missing_docs, reason = "aya's macros make functions beside the documented ones")]
#![expect(clippy::needless_pass_by_value, reason = "aya's macros hand over the context so")]

#[cfg(not(target_arch = "bpf"))]
fn main() {
    // Only so that the crate can be checked on the host.
}

use aya_ebpf::bindings::TC_ACT_SHOT;
use aya_ebpf::bindings::xdp_action;
use aya_ebpf::macros::{classifier, map, xdp};
use aya_ebpf::maps::{Array, HashMap};
use aya_ebpf::programs::{TcContext, XdpContext};
use lb_common::bench::{Flows, FourTuple, MAC, Onward};
use lb_common::index::HashKey;
use lb_common::nat::NatAddrs;
use lb_common::net::{Addr, Port};
use lb_common::settings::{DEFAULT_NAT_PORTS, Settings};
use lb_common::time::{Tick, Ticks};
use lb_ebpf::Verdict;
use lb_ebpf::classify::{IPV4, PLAIN, TCP};
use lb_ebpf::packet::{Frame, TcpHdr};
use lb_ebpf::parse::{self, Headers, IP_OFFSET, TCP_OFFSET};
use lb_ebpf::rewrite::{self, Rewrite};
use network_types::eth::EthHdr;
use network_types::ip::Ipv4Hdr;

/// Which flows the packets belong to.
#[map]
static FLOWS: Array<Flows> = Array::with_max_entries(1, 0);

/// What the prototype knows of packets to frontends; the bench sets how many.
#[map]
static FORWARD: HashMap<FourTuple, Onward> = HashMap::with_max_entries(1, 0);

/// What it knows of packets from servers; as many.
#[map]
static REVERSE: HashMap<FourTuple, Onward> = HashMap::with_max_entries(1, 0);

/// The ports of its frontends.
#[map]
static PORTS: HashMap<Port, u16> = HashMap::with_max_entries(1, 0);

const TTL: u8 = 64;

/// What the prototype shares of the product's settings: where its frames come from.
const SETTINGS: Settings = Settings {
    mac: MAC,
    mss: u16::MAX,
    nat_first: 0,
    nat_ports: 0,
    buckets: 0,
    hash_key: HashKey { mask: 0, multipliers: [0; 2] },
    layout_version: 0,
    max_servers: 0,
    trace_until: Tick(0),
    redispatch_after: Ticks(0),
    tells_ends: 0,
    nat_addrs: NatAddrs::one(Addr::from_wire(0)),
};

/// The least that a forwarding program does: swap the MAC addresses and transmit.
#[xdp]
pub fn floor(ctx: XdpContext) -> u32 {
    let packet = ctx.packet();
    let Some(eth) = packet.header::<EthHdr>(0) else { return xdp_action::XDP_ABORTED };
    core::mem::swap(&mut eth.dst_addr, &mut eth.src_addr);
    xdp_action::XDP_TX
}

/// A packet as it is.
#[xdp]
pub fn plain(ctx: XdpContext) -> u32 {
    lb_ebpf::process(&ctx).xdp()
}

/// The same, by the prototype, which first asks whether the port is a frontend's.
#[xdp]
pub fn prototype_plain(ctx: XdpContext) -> u32 {
    prototype_at_frontend(&ctx).xdp()
}

/// A packet of a flow that is its own fixed point: only the TTL has to be restored.
#[xdp]
pub fn same_flow(ctx: XdpContext) -> u32 {
    let Some(()) = set_ttl(&ctx) else { return xdp_action::XDP_ABORTED };
    lb_ebpf::process(&ctx).xdp()
}

/// The same, by the prototype.
#[xdp]
pub fn prototype_same_flow(ctx: XdpContext) -> u32 {
    let Some(()) = set_ttl(&ctx) else { return xdp_action::XDP_ABORTED };
    prototype(&ctx).xdp()
}

/// The same in TC.
#[classifier]
pub fn same_flow_tc(ctx: TcContext) -> i32 {
    let Some(()) = set_ttl(&ctx) else { return TC_ACT_SHOT };
    lb_ebpf::process(&ctx).tc(&ctx)
}

/// The same in TC, by the prototype.
#[classifier]
pub fn prototype_same_flow_tc(ctx: TcContext) -> i32 {
    let Some(()) = set_ttl(&ctx) else { return TC_ACT_SHOT };
    prototype(&ctx).tc(&ctx)
}

/// A packet of another flow each time: MAC and IP addresses, ports and TTL are set.
#[xdp]
pub fn next_flow(ctx: XdpContext) -> u32 {
    let Some(_) = set_flow(&ctx) else { return xdp_action::XDP_ABORTED };
    lb_ebpf::process(&ctx).xdp()
}

/// The same, by the prototype.
#[xdp]
pub fn prototype_next_flow(ctx: XdpContext) -> u32 {
    let Some(flows) = set_flow(&ctx) else { return xdp_action::XDP_ABORTED };
    let verdict = prototype(&ctx);
    if verdict == Verdict::Transmit {
        // The bench does not see the verdict of each packet.
        flows.known += 1;
    }
    verdict.xdp()
}

/// Makes a packet of the one flow what it was before it was forwarded.
#[inline(always)]
fn set_ttl(frame: &impl Frame) -> Option<()> {
    frame.packet().header::<Ipv4Hdr>(IP_OFFSET)?.ttl = TTL;
    Some(())
}

/// Makes a packet one of the next flow.
#[inline(always)]
fn set_flow(frame: &impl Frame) -> Option<&'static mut Flows> {
    let packet = frame.packet();
    let flows = FLOWS.get_ptr_mut(0)?;
    let eth = packet.header::<EthHdr>(0)?;
    let ip = packet.header::<Ipv4Hdr>(IP_OFFSET)?;
    let tcp = packet.header::<TcpHdr>(TCP_OFFSET)?;
    // SAFETY: a whole element of the map; a test run has it alone.
    let flows = unsafe { &mut *flows };
    let (addr, port) = flows.next();
    eth.src_addr = flows.client_mac.0;
    eth.dst_addr = flows.our_mac.0;
    ip.ttl = TTL;
    ip.src_addr = addr.wire().to_ne_bytes();
    ip.dst_addr = flows.addr.wire().to_ne_bytes();
    tcp.source = port.wire().to_ne_bytes();
    tcp.dest = flows.port.wire().to_ne_bytes();
    Some(flows)
}

/// Forwards what one of two maps knows, and passes the rest.
#[inline(always)]
fn prototype(frame: &impl Frame) -> Verdict {
    forward(frame, |_| true)
}

/// The same behind a lookup of the destination port: most packets to a host are for none of its frontends.
#[inline(always)]
fn prototype_at_frontend(frame: &impl Frame) -> Verdict {
    // SAFETY: nothing writes to the map while the program runs.
    forward(frame, |port| unsafe { PORTS.get(port) }.is_some())
}

#[inline(always)]
fn forward(frame: &impl Frame, is_ours: impl FnOnce(Port) -> bool) -> Verdict {
    let packet = &frame.packet();
    let Some(headers) = parse::headers(packet) else { return Verdict::Pass };
    let Headers { eth, ip, tcp } = &headers;
    let is_tcp = eth.ether_type == IPV4 && ip.vihl == PLAIN && ip.proto == TCP;
    if !is_tcp || !is_ours(parse::port(tcp.dest)) {
        return Verdict::Pass;
    }
    let key = Key(FourTuple {
        source: parse::source(ip),
        destination: parse::destination(ip),
        source_port: parse::port(tcp.source),
        destination_port: parse::port(tcp.dest),
    });
    let Some(Onward { next_hop, ends, .. }) = find(&key) else { return Verdict::Pass };
    let rewrite = Rewrite {
        next_hop: *next_hop,
        source: ends.source,
        destination: ends.destination,
        source_port: ends.source_port,
        destination_port: ends.destination_port,
    };
    rewrite::apply(frame, packet, headers, &rewrite, &SETTINGS);
    Verdict::Transmit
}

/// A key on the stack. Aligned, because LLVM joins both addresses to one double word, and the verifier (seen
/// on 6.18) says `misaligned stack access` of one that is not at an offset of 8.
#[repr(align(8))]
struct Key(FourTuple);

/// What becomes of a packet; by its port it is from a client or from a server.
#[inline(always)]
fn find(Key(ends): &Key) -> Option<&'static Onward> {
    let (first, last) = DEFAULT_NAT_PORTS;
    let is_reply = (first..=last).contains(&ends.destination_port.number());
    // SAFETY: as above.
    unsafe { if is_reply { apart(REVERSE.get(ends)) } else { apart(FORWARD.get(ends)) } }
}

/// Keeps LLVM from making one lookup of two, in a map that is chosen before.
///
/// The kernel (6.18) replaces the call of a lookup by the map's own only where it is always the same map;
/// a packet cost 31 ns the other way, and 24 so.
#[inline(always)]
fn apart(known: Option<&'static Onward>) -> Option<&'static Onward> {
    #[cfg(target_arch = "bpf")]
    // SAFETY: moves a register to itself.
    unsafe {
        core::arch::asm!("r0 = r0", options(nomem, nostack, preserves_flags));
    }
    known
}
