//! A network for test runs of programs in TC.

use std::io;
use std::mem;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};

/// Moves the calling thread into a network of its own, in which `lo` has this hardware address.
///
/// The kernel says of each socket buffer whether it is for this host, by the interface that it came in
/// by. That of a test run is `lo`, so frames to this address are frames to the host.
///
/// All of this is system calls: the end of a child process may interrupt what the kernel does for
/// another thread, and the verifier gives up then.
pub fn own(mac: [u8; 6]) -> io::Result<()> {
    unshare(CloneFlags::CLONE_NEWNET)?;
    // SAFETY: all zeros are a request.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    fill(&mut request.ifr_name, b"lo");
    let mut address = libc::sockaddr { sa_family: libc::ARPHRD_LOOPBACK, sa_data: [0; 14] };
    fill(&mut address.sa_data, &mac);
    request.ifr_ifru.ifru_hwaddr = address;
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    // SAFETY: the request is whole, and outlives the call.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFHWADDR, &raw const request) };
    Ok(Errno::result(result).map(drop)?)
}

/// Writes bytes as the C types have them.
fn fill(field: &mut [libc::c_char], bytes: &[u8]) {
    for (to, from) in field.iter_mut().zip(bytes) {
        *to = libc::c_char::from_ne_bytes([*from]);
    }
}
