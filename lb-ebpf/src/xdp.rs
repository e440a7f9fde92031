//! What XDP needs of its own: the one place that names its verdicts.

use aya_ebpf::EbpfContext;
use aya_ebpf::bindings::xdp_action;
use aya_ebpf::helpers::generated::{bpf_xdp_adjust_head, bpf_xdp_adjust_tail, bpf_xdp_load_bytes};
use aya_ebpf::programs::XdpContext;
use lb_common::reason::Reason;
use lb_common::trace::SNAP;

use crate::Verdict;
use crate::packet::{Frame, Packet, TcpChange, TcpHdr};

impl Frame for XdpContext {
    #[inline(always)]
    fn packet(&self) -> Packet {
        Packet::new(self.data(), self.data_end(), self.data_end() - self.data())
    }

    #[inline(always)]
    fn prepare(&self) -> Result<(), Reason> {
        Ok(())
    }

    #[inline(always)]
    fn pull(&self, _: usize) -> Packet {
        self.packet()
    }

    #[inline(always)]
    fn load(&self, to: &mut [u8; SNAP], length: u32) -> bool {
        // SAFETY: the context that the kernel called the program with; the caller's length fits.
        unsafe { bpf_xdp_load_bytes(self.as_ptr().cast(), 0, to.as_mut_ptr().cast(), length) == 0 }
    }

    #[inline(always)]
    fn resize(&self, length: usize) -> Option<Packet> {
        let change = length as i32 - (self.data_end() - self.data()) as i32;
        let context = self.as_ptr().cast();
        let result = match change {
            0 => 0,
            // At the front, where every driver keeps 256 bytes free. A veth has hardly any at the end of
            // a short frame, and some drivers cannot move the end at all.
            // SAFETY: the context that the kernel called the program with.
            1.. => unsafe { bpf_xdp_adjust_head(context, -change) },
            // SAFETY: as above.
            _ => unsafe { bpf_xdp_adjust_tail(context, change) },
        };
        (result == 0).then(|| self.packet())
    }

    #[inline(always)]
    fn update_check(&self, tcp: &mut TcpHdr, TcpChange { pseudo, segment }: TcpChange) {
        tcp.check = pseudo.and(segment).apply(u16::from_ne_bytes(tcp.check)).to_ne_bytes();
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
