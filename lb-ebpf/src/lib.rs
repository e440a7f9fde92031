//! The packet path of `xlb`: one packet, in order.
//!
//! [`classify`] tells whether it is ours, [`conntrack`] finds its connection, [`parse`] describes
//! its segment, [`connect`] opens a new connection, [`rewrite`] turns the packet round. ICMP errors
//! about packets that we sent have a way of their own, [`icmp`]. Nothing here knows how it is
//! attached: an entry point hands in a [`packet::Frame`] and turns the [`Verdict`] into its own
//! constant. Beside it, [`local`] serves the clients on the host itself, which send no packets that
//! anything here could see.
#![cfg_attr(target_arch = "bpf", no_std)]
#![cfg_attr(
    target_arch = "bpf",
    feature(asm_experimental_arch, core_intrinsics),
    expect(internal_features, reason = "the BPF target has no core::sync::atomic; see atomic.rs")
)]

pub mod admission;
pub mod answer;
pub mod atomic;
pub mod classify;
pub mod connect;
pub mod conntrack;
pub mod ending;
pub mod icmp;
pub mod index;
pub mod local;
pub mod maps;
pub mod packet;
pub mod parse;
pub mod retry;
pub mod rewrite;
pub mod slots;
pub mod tc;
pub mod trace;
pub mod xdp;

use aya_ebpf::helpers::generated::bpf_jiffies64;
use lb_common::reason::{Disposition, Reason};
use lb_common::setup::Setup;
use lb_common::time::Tick;

use crate::classify::Ours;
use crate::packet::Frame;

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The host gets it, untouched.
    Pass,
    /// Nobody gets it.
    Drop,
    /// It leaves, rewritten, by the interface that it came in by.
    Transmit,
}

/// What every step of a packet's way may need.
#[derive(Clone, Copy)]
pub struct Context {
    /// Everything that the agent told the program.
    pub setup: &'static Setup,
    /// When the packet came, coarsely.
    pub now: Tick,
}

impl Context {
    /// The context of a packet that is here now.
    #[inline(always)]
    #[must_use]
    pub fn now() -> Option<Self> {
        // SAFETY: the helper has no preconditions.
        maps::setup().map(|setup| Self { setup, now: Tick::from_jiffies(unsafe { bpf_jiffies64() }) })
    }
}

/// Takes one packet all the way.
#[inline(always)]
#[must_use]
pub fn process(frame: &impl Frame) -> Verdict {
    match forward(frame) {
        Ok(()) => Verdict::Transmit,
        Err(reason) => {
            maps::count(reason);
            match reason.disposition() {
                // The host's own traffic costs nothing, not even a look at whether somebody traces.
                Disposition::Pass => Verdict::Pass,
                Disposition::Drop => trace::around(frame, reason, || Verdict::Drop),
                Disposition::Reset => trace::around(frame, reason, || answer::reset(frame)),
                Disposition::Retry => trace::around(frame, reason, || retry::retry(frame, reason)),
                Disposition::Forward => trace::behind(frame, reason, Verdict::Transmit),
            }
        }
    }
}

#[inline(always)]
fn forward(frame: &impl Frame) -> Result<(), Reason> {
    frame.prepare()?;
    let packet = &frame.packet();
    // The lookup cannot fail, but the verifier does not know that.
    let setup = maps::setup().ok_or(Reason::OtherPort)?;
    let (headers, ours) = match classify::classify(packet, setup) {
        Err(Reason::OtherIcmp) if cfg!(not(feature = "without-icmp")) => {
            trace::before(setup, frame);
            return Err(icmp::forward(frame));
        }
        classified => classified?,
    };
    // SAFETY: the helper has no preconditions.
    let now = Tick::from_jiffies(unsafe { bpf_jiffies64() });
    let context = Context { setup, now };
    let rewrite = match ours {
        Ours::Frontend(frontend) => conntrack::from_client(&context, frontend, frame, packet, &headers),
        Ours::Server(server) => conntrack::from_server(&context, server, packet, &headers),
    };
    let rewrite = match rewrite {
        Ok(rewrite) => rewrite,
        Err(reason) => return Err(trace::unless_passed(setup, frame, reason)),
    };
    if setup.settings.is_traced() {
        trace::apply(frame, &rewrite);
    } else {
        rewrite::apply(frame, packet, headers, &rewrite, &setup.settings);
    }
    Ok(())
}

#[cfg(target_arch = "bpf")]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}

/// The licence that the kernel's GPL-only helpers ask for.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
pub static LICENSE: [u8; 4] = *b"GPL\0";
