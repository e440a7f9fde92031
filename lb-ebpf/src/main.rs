//! The entry points of the eBPF object.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]
#![expect(missing_docs, reason = "aya's macros make functions beside the documented ones")]
#![expect(clippy::needless_pass_by_value, reason = "aya's macros hand over the context so")]

#[cfg(not(target_arch = "bpf"))]
fn main() {
    // Only so that the crate can be checked on the host.
}

use aya_ebpf::bindings::xdp_action;
use aya_ebpf::helpers::generated::bpf_jiffies64;
use aya_ebpf::macros::{cgroup_sock, cgroup_sock_addr, classifier, map, xdp};
use aya_ebpf::maps::ProgramArray;
use aya_ebpf::programs::{SockAddrContext, SockContext, TcContext, XdpContext};
use lb_ebpf::Verdict;
use lb_ebpf::local::{self, Family, Peer};
use lb_ebpf::packet::Frame;

/// One element: the program in TC, while it is on trial.
#[map]
static TRIAL: ProgramArray = ProgramArray::with_max_entries(1, 0);

/// XDP, native and generic.
#[xdp]
pub fn xlb_xdp(ctx: XdpContext) -> u32 {
    #[cfg(feature = "changed")]
    change(&ctx.packet());
    lb_ebpf::process(&ctx).xdp()
}

/// Makes this program another one than the product's, with another tag, that does the same: it
/// looks at the packet's first byte, which no optimization may leave out.
#[cfg(feature = "changed")]
#[inline(always)]
fn change(packet: &lb_ebpf::packet::Packet) {
    if let Some([first]) = packet.header::<[u8; 1]>(0) {
        // SAFETY: a reference may be read through.
        let _ = unsafe { core::ptr::from_ref(first).read_volatile() };
    }
}

/// TC, at the ingress of the interface.
#[classifier]
pub fn xlb_tc(ctx: TcContext) -> i32 {
    #[cfg(feature = "changed")]
    change(&ctx.packet());
    lb_ebpf::process(&ctx).tc(&ctx)
}

/// TC on kernels without links for it, while a start waits to be confirmed: jumps into `xlb_tc` as long
/// as the agent lives. The table is not pinned; when nobody has it open any more, the kernel empties it,
/// and every frame passes.
#[classifier]
pub fn xlb_tc_trial(ctx: TcContext) -> i32 {
    // SAFETY: the context that the kernel called the program with; nothing here has to be dropped.
    unsafe { TRIAL.tail_call(&ctx, 0) };
    Verdict::Pass.tc(&ctx)
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

/// A `connect()` of an IPv4 socket on this host.
#[cgroup_sock_addr(connect4)]
pub fn xlb_connect4(ctx: SockAddrContext) -> i32 {
    local::connect(Peer::new(&ctx, Family::V4));
    local::ALLOW
}

/// A `connect()` of an IPv6 socket on this host, which may be to an IPv4 address.
#[cgroup_sock_addr(connect6)]
pub fn xlb_connect6(ctx: SockAddrContext) -> i32 {
    local::connect(Peer::new(&ctx, Family::V6));
    local::ALLOW
}

/// A `getpeername()` of an IPv4 socket on this host.
#[cgroup_sock_addr(getpeername4)]
pub fn xlb_peer4(ctx: SockAddrContext) -> i32 {
    local::name_peer(Peer::new(&ctx, Family::V4));
    local::ALLOW
}

/// A `getpeername()` of an IPv6 socket on this host.
#[cgroup_sock_addr(getpeername6)]
pub fn xlb_peer6(ctx: SockAddrContext) -> i32 {
    local::name_peer(Peer::new(&ctx, Family::V6));
    local::ALLOW
}

/// The end of a socket on this host.
#[cgroup_sock(sock_release)]
pub fn xlb_release(ctx: SockContext) -> i32 {
    local::release(&ctx);
    local::ALLOW
}
