//! What XDP needs of its own: the one place that names its verdicts.

use aya_ebpf::EbpfContext;
use aya_ebpf::bindings::xdp_action;
use aya_ebpf::helpers::generated::bpf_xdp_adjust_tail;
use aya_ebpf::programs::XdpContext;

use crate::Verdict;
use crate::packet::{Frame, Packet};

impl Frame for XdpContext {
    #[inline(always)]
    fn packet(&self) -> Packet {
        Packet::new(self.data(), self.data_end())
    }

    #[inline(always)]
    fn resize(&self, length: usize) -> Option<Packet> {
        let change = length as i32 - (self.data_end() - self.data()) as i32;
        // SAFETY: the context that the kernel called the program with.
        if change != 0 && unsafe { bpf_xdp_adjust_tail(self.as_ptr().cast(), change) } != 0 {
            return None;
        }
        Some(self.packet())
    }
}

impl Verdict {
    /// The verdict as XDP says it.
    #[inline(always)]
    #[must_use]
    pub const fn xdp(self) -> u32 {
        match self {
            Self::Pass => xdp_action::XDP_PASS,
            Self::Drop => xdp_action::XDP_DROP,
            Self::Transmit => xdp_action::XDP_TX,
        }
    }
}
