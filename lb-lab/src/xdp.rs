//! Two XDP programs of a few instructions, loaded by the bare system call.
//!
//! One lets every frame pass. A veth delivers a frame that was transmitted by XDP (`XDP_TX`) only to an
//! end that has an XDP program itself; without one the frame vanishes and is counted as sent. The other
//! drops everything but ARP.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use nix::net::if_::if_nametoindex;

const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_LINK_CREATE: libc::c_int = 28;
const BPF_PROG_TYPE_XDP: u32 = 6;
const BPF_XDP: u32 = 37;
const XDP_FLAGS_SKB_MODE: u32 = 1 << 1;
const XDP_FLAGS_DRV_MODE: u32 = 1 << 2;

/// `ETH_P_ARP`, as it stands in a frame.
const ARP: i32 = 0x0806_u16.to_be() as i32;

/// `r0 = XDP_PASS; exit`, in the encoding of the kernel's `instruction-set.rst`.
const PASS: [Instruction; 2] = [move_immediate(0, 2), EXIT];

/// Passes ARP, and frames that are too short to be anything; drops the rest.
const DROP_ALL_BUT_ARP: [Instruction; 10] = [
    // r2 = frame's begin, r3 = its end
    Instruction { code: 0x61, registers: 0x12, offset: 0, immediate: 0 },
    Instruction { code: 0x61, registers: 0x13, offset: 4, immediate: 0 },
    move_immediate(0, 2),
    // if r2 + 14 > r3, exit
    Instruction { code: 0xbf, registers: 0x24, offset: 0, immediate: 0 },
    Instruction { code: 0x07, registers: 0x04, offset: 0, immediate: 14 },
    Instruction { code: 0x2d, registers: 0x34, offset: 3, immediate: 0 },
    // if its type is ARP, exit
    Instruction { code: 0x69, registers: 0x24, offset: 12, immediate: 0 },
    Instruction { code: 0x15, registers: 0x04, offset: 1, immediate: ARP },
    move_immediate(0, 1),
    EXIT,
];

const EXIT: Instruction = Instruction { code: 0x95, registers: 0, offset: 0, immediate: 0 };

const fn move_immediate(register: u8, immediate: i32) -> Instruction {
    Instruction { code: 0xb7, registers: register, offset: 0, immediate }
}

/// `struct bpf_insn`.
#[repr(C)]
struct Instruction {
    code: u8,
    registers: u8,
    offset: i16,
    immediate: i32,
}

/// The beginning of `union bpf_attr` for `BPF_PROG_LOAD`; the kernel takes the rest as zero.
#[repr(C)]
struct ProgramLoad {
    kind: u32,
    instruction_count: u32,
    instructions: u64,
    license: u64,
}

/// The beginning of `union bpf_attr` for `BPF_LINK_CREATE`.
#[repr(C)]
struct LinkCreate {
    program: u32,
    interface: u32,
    attach_type: u32,
    flags: u32,
}

/// An attached program; detached when dropped.
#[derive(Debug)]
pub(crate) struct Attached {
    _link: OwnedFd,
}

/// Lets every frame pass that arrives at an interface of the calling thread's network, in native mode.
pub(crate) fn pass(interface: &str) -> io::Result<Attached> {
    attach(&PASS, interface, XDP_FLAGS_DRV_MODE)
}

/// Drops every frame but ARP that arrives at an interface of the calling thread's network.
///
/// In generic mode, which changes nothing about how the interface sends and receives.
pub(crate) fn drop_all_but_arp(interface: &str) -> io::Result<Attached> {
    attach(&DROP_ALL_BUT_ARP, interface, XDP_FLAGS_SKB_MODE)
}

fn attach(program: &[Instruction], interface: &str, flags: u32) -> io::Result<Attached> {
    let program = load(program)?;
    let attributes = LinkCreate {
        program: program.as_raw_fd().cast_unsigned(),
        interface: if_nametoindex(interface)?,
        attach_type: BPF_XDP,
        flags,
    };
    // SAFETY: a link is made from numbers alone.
    let link = unsafe { bpf(BPF_LINK_CREATE, &attributes) }?;
    Ok(Attached { _link: link })
}

fn load(program: &[Instruction]) -> io::Result<OwnedFd> {
    let attributes = ProgramLoad {
        kind: BPF_PROG_TYPE_XDP,
        instruction_count: program.len() as u32,
        instructions: program.as_ptr().addr() as u64,
        license: c"GPL".as_ptr().addr() as u64,
    };
    // SAFETY: both addresses are of constants, of the length that is given or ended by a zero.
    unsafe { bpf(BPF_PROG_LOAD, &attributes) }
}

/// Calls bpf(2) with a command that returns a new file descriptor.
///
/// # Safety
///
/// `Attributes` must be the layout that the command expects, and every address in it valid.
unsafe fn bpf<Attributes>(command: libc::c_int, attributes: &Attributes) -> io::Result<OwnedFd> {
    // SAFETY: the kernel reads as many bytes of the attributes as it is told; the rest is the caller's.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, attributes, size_of::<Attributes>()) };
    let descriptor = libc::c_int::try_from(result).map_err(io::Error::other)?;
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just made this descriptor, and nothing else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}
