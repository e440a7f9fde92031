//! What TC needs of its own: the one place that names its verdicts.
//!
//! A frame here is a socket buffer of the host's stack: it may be a super-packet that GRO has merged or
//! a sender has not segmented (it leaves as it came, and whoever sends it cuts it), only its front can
//! be read directly, and its checksum may be left to hardware. The kernel makes it this program's own
//! before the first instruction, because the program writes to it directly.

use aya_ebpf::EbpfContext;
use aya_ebpf::bindings::{__sk_buff, BPF_F_PSEUDO_HDR, TC_ACT_SHOT, TC_ACT_UNSPEC};
use aya_ebpf::helpers::generated::{
    bpf_l4_csum_replace, bpf_redirect, bpf_skb_change_tail, bpf_skb_load_bytes, bpf_skb_pull_data,
};
use aya_ebpf::programs::TcContext;
use core::mem::offset_of;
use lb_common::reason::Reason;
use lb_common::trace::SNAP;

use crate::Verdict;
use crate::packet::{Frame, Packet, TcpChange, TcpHdr};
use crate::parse::TCP_OFFSET;

/// A frame to this host, by `linux/if_packet.h`.
const PACKET_HOST: u32 = 0;

/// The longest frame that is made readable whole: all headers, with all options that TCP may have. So a SYN
/// is. Of a longer one drivers leave little more readable than its headers, and to make it more would cost
/// each packet with data a copy.
const SHORT: usize = TCP_OFFSET + 60;

/// Where the TCP checksum is.
const CHECK_OFFSET: u32 = (TCP_OFFSET + offset_of!(TcpHdr, check)) as u32;

impl Frame for TcContext {
    #[inline(always)]
    fn packet(&self) -> Packet {
        Packet::new(self.data(), self.data_end(), self.len() as usize)
    }

    #[inline(always)]
    fn prepare(&self) -> Result<(), Reason> {
        let skb = skb(self);
        if skb.pkt_type != PACKET_HOST {
            return Err(Reason::OtherHost);
        }
        // The tag is not in the frame: hardware, or the kernel, has taken it out.
        if skb.vlan_present != 0 {
            return Err(Reason::NotIpv4);
        }
        let length = self.len() as usize;
        let wanted = if length <= SHORT { length } else { TCP_OFFSET + TcpHdr::LEN };
        if self.data() + wanted > self.data_end() {
            self.pull(wanted);
        }
        Ok(())
    }

    #[inline(always)]
    fn pull(&self, length: usize) -> Packet {
        let length = if length < self.len() as usize { length as u32 } else { self.len() };
        // What cannot be made readable is found to be truncated.
        // SAFETY: the context that the kernel called the program with.
        let _ = unsafe { bpf_skb_pull_data(self.as_ptr().cast(), length) };
        self.packet()
    }

    #[inline(always)]
    fn load(&self, to: &mut [u8; SNAP], length: u32) -> bool {
        // SAFETY: as in `pull`; the caller's length fits.
        unsafe { bpf_skb_load_bytes(self.as_ptr().cast(), 0, to.as_mut_ptr().cast(), length) == 0 }
    }

    #[inline(always)]
    fn resize(&self, length: usize) -> Option<Packet> {
        // SAFETY: as in `pull`.
        let result = unsafe { bpf_skb_change_tail(self.as_ptr().cast(), length as u32, 0) };
        (result == 0).then(|| self.pull(length))
    }

    #[inline(always)]
    fn update_check(&self, _: &mut TcpHdr, TcpChange { pseudo, segment }: TcpChange) {
        let skb = self.as_ptr().cast();
        // Nothing that could fail: the field was written to before.
        // SAFETY: as in `pull`.
        unsafe {
            bpf_l4_csum_replace(skb, CHECK_OFFSET, 0, pseudo.wsum().into(), BPF_F_PSEUDO_HDR.into());
            bpf_l4_csum_replace(skb, CHECK_OFFSET, 0, segment.wsum().into(), 0);
        }
    }
}

#[inline(always)]
fn skb(context: &TcContext) -> &__sk_buff {
    // SAFETY: the context that the kernel called the program with.
    unsafe { &*context.as_ptr().cast() }
}

impl Verdict {
    /// The verdict as TC says it. What is passed goes on to the programs behind this one.
    #[inline(always)]
    #[must_use]
    pub fn tc(self, context: &TcContext) -> i32 {
        match self {
            Self::Pass => TC_ACT_UNSPEC,
            Self::Drop => TC_ACT_SHOT,
            // SAFETY: the helper has no preconditions.
            Self::Transmit => unsafe { bpf_redirect(skb(context).ifindex, 0) as i32 },
        }
    }
}
