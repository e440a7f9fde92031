//! What benches of the packet path run: the least that a program can do, and the product's core behind
//! entries that make each packet of a run what it should be. (The kernel's test run does not
//! restore a rewritten packet, and gives the same one every time.)
#![cfg_attr(target_arch = "bpf", no_std, no_main)]
#![expect(missing_docs, reason = "aya's macros make functions beside the documented ones")]
#![expect(clippy::needless_pass_by_value, reason = "aya's macros hand over the context so")]

#[cfg(not(target_arch = "bpf"))]
fn main() {
    // Only so that the crate can be checked on the host.
}

use aya_ebpf::bindings::TC_ACT_SHOT;
use aya_ebpf::bindings::xdp_action;
use aya_ebpf::macros::{classifier, map, xdp};
use aya_ebpf::maps::Array;
use aya_ebpf::programs::{TcContext, XdpContext};
use lb_common::bench::Flows;
use lb_ebpf::packet::{Frame, TcpHdr};
use lb_ebpf::parse::{IP_OFFSET, TCP_OFFSET};
use network_types::eth::EthHdr;
use network_types::ip::Ipv4Hdr;

/// Which flows the packets belong to.
#[map]
static FLOWS: Array<Flows> = Array::with_max_entries(1, 0);

const TTL: u8 = 64;

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

/// A packet of a flow that is its own fixed point: only the TTL has to be restored.
#[xdp]
pub fn same_flow(ctx: XdpContext) -> u32 {
    let packet = ctx.packet();
    let Some(ip) = packet.header::<Ipv4Hdr>(IP_OFFSET) else { return xdp_action::XDP_ABORTED };
    ip.ttl = TTL;
    lb_ebpf::process(&ctx).xdp()
}

/// The same in TC.
#[classifier]
pub fn same_flow_tc(ctx: TcContext) -> i32 {
    let packet = ctx.packet();
    let Some(ip) = packet.header::<Ipv4Hdr>(IP_OFFSET) else { return TC_ACT_SHOT };
    ip.ttl = TTL;
    lb_ebpf::process(&ctx).tc(&ctx)
}

/// A packet of another flow each time: MAC and IP addresses, ports and TTL are set.
#[xdp]
pub fn next_flow(ctx: XdpContext) -> u32 {
    let packet = ctx.packet();
    let Some(flows) = FLOWS.get_ptr_mut(0) else { return xdp_action::XDP_ABORTED };
    let Some(eth) = packet.header::<EthHdr>(0) else { return xdp_action::XDP_ABORTED };
    let Some(ip) = packet.header::<Ipv4Hdr>(IP_OFFSET) else { return xdp_action::XDP_ABORTED };
    let Some(tcp) = packet.header::<TcpHdr>(TCP_OFFSET) else { return xdp_action::XDP_ABORTED };
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
    lb_ebpf::process(&ctx).xdp()
}
