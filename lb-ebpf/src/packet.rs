//! Access to the bytes of a packet: the only place that turns its bounds into references.

use lb_common::checksum::Delta;
use lb_common::reason::Reason;
use lb_common::trace::SNAP;
use network_types::eth::EthHdr;
use network_types::ip::Ipv4Hdr;

/// The bytes of a packet that can be read and written directly, from the Ethernet header on.
///
/// Every access checks `pointer + length > end` right before it makes a reference, the pattern by
/// which the kernel's verifier knows a packet pointer's range.
#[derive(Clone, Copy)]
pub struct Packet {
    data: usize,
    end: usize,
    length: usize,
}

/// A frame as the kernel hands it over.
///
/// The verifier forgets what it knows of a packet when one of [`Frame::pull`], [`Frame::resize`] and
/// [`Frame::update_check`] is called: all references into it are void.
pub trait Frame {
    /// Its bytes.
    fn packet(&self) -> Packet;

    /// Makes its headers readable, as far as TCP without options, and all of a SYN; or tells why the frame
    /// is none of ours, whatever it says.
    fn prepare(&self) -> Result<(), Reason>;

    /// Makes the first `length` bytes readable, or as many as there are, and returns the bytes anew.
    fn pull(&self, length: usize) -> Packet;

    /// Makes it `length` bytes long and returns its bytes anew: all references into them are void, and
    /// of a frame that grew, so is what it said. None where the driver cannot; then the frame is as it
    /// was.
    fn resize(&self, length: usize) -> Option<Packet>;

    /// Copies its first `length` bytes, at least one, as they are now; tells whether it could.
    fn load(&self, to: &mut [u8; SNAP], length: u32) -> bool;

    /// Brings the checksum of its TCP header up to date, after all else was written.
    fn update_check(&self, tcp: &mut TcpHdr, change: TcpChange);
}

/// What a rewrite changes of a TCP checksum. In two parts, because a sender's kernel may leave the
/// checksum to be filled in by hardware; then the field holds the sum of the pseudo-header alone.
#[derive(Clone, Copy)]
pub struct TcpChange {
    /// Of the pseudo-header (RFC 9293 §3.1): addresses, and the segment's length.
    pub pseudo: Delta,
    /// Of the segment itself.
    pub segment: Delta,
}

impl TcpChange {
    /// The checksum field of a segment that is written from scratch, before its first change.
    pub const SCRATCH: [u8; 2] = [0xff; 2];
}

/// The TCP header without its options (RFC 9293 §3.1).
///
/// Not that of `network-types`, whose bit fields are put together bit by bit, which costs the
/// program some twenty instructions a packet.
#[repr(C)]
pub struct TcpHdr {
    /// The sender's port.
    pub source: [u8; 2],
    /// The receiver's port.
    pub dest: [u8; 2],
    /// The sequence number.
    pub seq: [u8; 4],
    /// The acknowledgement.
    pub ack_seq: [u8; 4],
    /// The header's length in words, in the upper four bits.
    pub data_offset: u8,
    /// The flags.
    pub flags: u8,
    /// The window.
    pub window: [u8; 2],
    /// The checksum.
    pub check: [u8; 2],
    /// The urgent pointer.
    pub urgent: [u8; 2],
}

impl TcpHdr {
    /// Its length in bytes.
    pub const LEN: usize = size_of::<Self>();

    /// The length in bytes of the header with its options, as the packet claims.
    #[inline(always)]
    #[must_use]
    pub const fn header_len(&self) -> usize {
        (self.data_offset >> 4) as usize * 4
    }
}

/// An ICMP error (RFC 792) about a TCP segment in an IPv4 packet without options, as far as it must
/// quote the segment: that far and no further may routers do so.
#[repr(C)]
pub struct IcmpError {
    /// What kind of error it is.
    pub kind: u8,
    /// And which one of the kind.
    pub code: u8,
    /// The checksum over the whole message.
    pub check: [u8; 2],
    /// What else the error says, such as the next link's MTU.
    pub rest: [u8; 4],
    /// The IPv4 header of the packet that it is about.
    pub ip: Ipv4Hdr,
    /// The sender's port.
    pub source: [u8; 2],
    /// The receiver's port.
    pub dest: [u8; 2],
    /// The sequence number.
    pub seq: [u8; 4],
}

impl IcmpError {
    /// Its length in bytes.
    pub const LEN: usize = size_of::<Self>();
}

/// A header that may be laid over packet bytes.
///
/// # Safety
///
/// Every bit pattern is a value, and the alignment is at most two: packet data begins at an even
/// address, and so do the IP and TCP headers.
pub unsafe trait Header {}

// SAFETY: bytes, and one u16 in the Ethernet header.
unsafe impl Header for EthHdr {}
// SAFETY: bytes.
unsafe impl Header for Ipv4Hdr {}
// SAFETY: bytes.
unsafe impl Header for TcpHdr {}
// SAFETY: bytes.
unsafe impl Header for IcmpError {}
// SAFETY: bytes.
unsafe impl<const N: usize> Header for [u8; N] {}

impl Packet {
    /// The bytes from `data` to `end`, two packet pointers of the kernel's, of a frame with `length`.
    #[inline(always)]
    #[must_use]
    pub const fn new(data: usize, end: usize, length: usize) -> Self {
        Self { data, end, length }
    }

    /// The length of the whole frame in bytes, those too that cannot be read directly.
    #[inline(always)]
    #[must_use]
    pub const fn frame_len(&self) -> usize {
        self.length
    }

    /// The header at `offset`, if the packet has all of it.
    #[inline(always)]
    #[must_use]
    #[expect(clippy::mut_from_ref, reason = "a packet is not Rust memory; see the SAFETY comment")]
    pub fn header<T: Header>(&self, offset: usize) -> Option<&mut T> {
        let start = self.data + offset;
        if opaque(start + size_of::<T>()) > self.end {
            return None;
        }
        // SAFETY: the bytes from `start` on lie within the packet, which this program alone works
        // on while it runs, and `Header` makes every content and every even address good.
        Some(unsafe { &mut *(start as *mut T) })
    }
}

/// Hides where a pointer, or a number, comes from.
///
/// In a loop, LLVM turns `pointer + length > end` into `pointer > end - length` and computes the
/// right side before the loop; the verifier (seen on 6.18) says `pointer arithmetic on pkt_end
/// prohibited`.
#[inline(always)]
#[must_use]
pub fn opaque(pointer: usize) -> usize {
    #[cfg(target_arch = "bpf")]
    let pointer = {
        let mut pointer = pointer;
        // A real instruction: one without length would share its line_info with the next, which
        // the kernel refuses.
        // SAFETY: moves a register to itself.
        unsafe {
            core::arch::asm!("{0} = {0}", inout(reg) pointer, options(nomem, nostack, preserves_flags))
        };
        pointer
    };
    pointer
}
