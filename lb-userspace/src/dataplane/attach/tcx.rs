//! The programs in TC that links hold (since Linux 6.6).

use std::io;

/// The most programs that the kernel takes at one hook (`BPF_MPROG_MAX` of `kernel/bpf/mprog.c`).
const MOST_PROGRAMS: usize = 64;

/// Their hook for packets that come in (`BPF_TCX_INGRESS` of `linux/bpf.h`).
const TCX_INGRESS: u32 = 46;

/// Asks for them (`BPF_PROG_QUERY`).
const PROG_QUERY: libc::c_long = 16;

/// What the kernel is asked, and where it answers: the beginning of `query` in `union bpf_attr`.
#[repr(C)]
struct Query {
    interface: u32,
    hook: u32,
    flags: u32,
    attach_flags: u32,
    programs: u64,
    count: u32,
    padding: u32,
}

const _: () = assert!(size_of::<Query>() == 32, "without padding of the compiler's");

/// The programs at an interface's ingress by their ids, in the order in which they run. None on a kernel that has no
/// such links.
///
/// aya would also open them, which takes all of root's rights, and the agent has given up most.
pub fn programs(interface: u32) -> io::Result<Vec<u32>> {
    let mut programs = [0_u32; MOST_PROGRAMS];
    let mut query = Query {
        interface,
        hook: TCX_INGRESS,
        flags: 0,
        attach_flags: 0,
        programs: programs.as_mut_ptr() as u64,
        count: MOST_PROGRAMS as u32,
        padding: 0,
    };
    // SAFETY: the kernel writes `count` numbers at most to where `programs` has room for them, and the rest into
    // `query`, whose size it is told.
    let outcome = unsafe { libc::syscall(libc::SYS_bpf, PROG_QUERY, &raw mut query, size_of::<Query>()) };
    match io::Error::last_os_error() {
        _ if outcome == 0 => Ok(programs[..MOST_PROGRAMS.min(query.count as usize)].to_vec()),
        error if error.raw_os_error() == Some(libc::EINVAL) => Ok(Vec::new()),
        error => Err(error),
    }
}
