//! An XDP program that lets every frame pass, for the far end of a veth.
//!
//! A veth delivers a frame that was transmitted by XDP (`XDP_TX`) only to an end that has an XDP
//! program itself; without one the frame vanishes and is counted as sent. The program is two
//! instructions, so it is loaded by the bare system call.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use nix::net::if_::if_nametoindex;

const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_LINK_CREATE: libc::c_int = 28;
const BPF_PROG_TYPE_XDP: u32 = 6;
const BPF_XDP: u32 = 37;
const XDP_FLAGS_DRV_MODE: u32 = 1 << 2;

/// `r0 = XDP_PASS; exit`, in the encoding of the kernel's `instruction-set.rst`.
const PROGRAM: [Instruction; 2] = [
    Instruction { code: 0xb7, registers: 0, offset: 0, immediate: 2 },
    Instruction { code: 0x95, registers: 0, offset: 0, immediate: 0 },
];

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

/// The attached program; detached when dropped.
#[derive(Debug)]
pub(crate) struct XdpPass {
    _link: OwnedFd,
}

impl XdpPass {
    /// Attaches the program to an interface of the calling thread's network, in native mode.
    pub(crate) fn attach(interface: &str) -> io::Result<Self> {
        let program = load()?;
        let attributes = LinkCreate {
            program: program.as_raw_fd().cast_unsigned(),
            interface: if_nametoindex(interface)?,
            attach_type: BPF_XDP,
            flags: XDP_FLAGS_DRV_MODE,
        };
        // SAFETY: a link is made from numbers alone.
        let link = unsafe { bpf(BPF_LINK_CREATE, &attributes) }?;
        Ok(Self { _link: link })
    }
}

fn load() -> io::Result<OwnedFd> {
    let attributes = ProgramLoad {
        kind: BPF_PROG_TYPE_XDP,
        instruction_count: PROGRAM.len() as u32,
        instructions: PROGRAM.as_ptr().addr() as u64,
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
