//! The entry points of the eBPF object.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]
#![expect(missing_docs, reason = "the xdp macro makes functions beside the documented ones")]
#![expect(clippy::needless_pass_by_value, reason = "the xdp macro hands over the context so")]

#[cfg(not(target_arch = "bpf"))]
fn main() {
    // Only so that the crate can be checked on the host.
}

use aya_ebpf::bindings::xdp_action;
use aya_ebpf::helpers::generated::bpf_jiffies64;
use aya_ebpf::macros::xdp;
use aya_ebpf::programs::XdpContext;
use lb_ebpf::packet::Frame;

/// XDP, native and generic.
#[xdp]
pub fn xlb_xdp(ctx: XdpContext) -> u32 {
    lb_ebpf::process(&ctx).xdp()
}

/// Tells the packet path's time to the CLI: writes the jiffies into the packet of a test run.
#[xdp]
pub fn xlb_clock(ctx: XdpContext) -> u32 {
    let packet = ctx.packet();
    let Some(answer) = packet.header::<[u8; 8]>(0) else { return xdp_action::XDP_ABORTED };
    // SAFETY: the helper has no preconditions.
    *answer = unsafe { bpf_jiffies64() }.to_ne_bytes();
    xdp_action::XDP_PASS
}
