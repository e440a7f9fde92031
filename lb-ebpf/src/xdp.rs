//! What XDP needs of its own: the one place that names its verdicts.

use aya_ebpf::bindings::xdp_action;

use crate::Verdict;

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
