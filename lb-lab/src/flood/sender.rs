//! Frames to the wire, many in one system call.

use std::io;
use std::mem::{size_of, zeroed};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr::null_mut;

use nix::net::if_::if_nametoindex;

/// A packet socket that sends whole frames by one interface, and receives nothing.
#[derive(Debug)]
pub(super) struct Sender {
    socket: OwnedFd,
    interface: u32,
}

impl Sender {
    /// Opens a socket in the network of the calling thread.
    pub(super) fn open(interface: &str) -> io::Result<Self> {
        // Protocol 0: it gets no frames, so none can pile up.
        // SAFETY: the call has no pointers.
        let socket = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
        if socket < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel just made this descriptor, and nothing else knows it.
        let socket = unsafe { OwnedFd::from_raw_fd(socket) };
        Ok(Self { socket, interface: if_nametoindex(interface)? })
    }

    /// Sends all of these frames, in order.
    pub(super) fn send<F: AsRef<[u8]>>(&self, frames: &[F]) -> io::Result<()> {
        let mut address = self.address();
        let mut parts: Vec<_> = frames
            .iter()
            .map(AsRef::as_ref)
            .map(|frame: &[u8]| libc::iovec {
                iov_base: frame.as_ptr().cast_mut().cast(),
                iov_len: frame.len(),
            })
            .collect();
        let mut messages: Vec<_> = parts.iter_mut().map(|part| message(&mut address, part)).collect();
        let mut left = messages.as_mut_slice();
        while !left.is_empty() {
            // SAFETY: address, parts and frames outlive the call, which only reads them.
            let sent = unsafe {
                libc::sendmmsg(self.socket.as_raw_fd(), left.as_mut_ptr(), left.len() as libc::c_uint, 0)
            };
            let sent = usize::try_from(sent).map_err(|_| io::Error::last_os_error())?;
            left = &mut left[sent..];
        }
        Ok(())
    }

    fn address(&self) -> libc::sockaddr_ll {
        // SAFETY: a structure of integers, for which zero is a value.
        let mut address: libc::sockaddr_ll = unsafe { zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = (libc::ETH_P_IP as u16).to_be();
        address.sll_ifindex = self.interface.cast_signed();
        address
    }
}

fn message(address: &mut libc::sockaddr_ll, part: &mut libc::iovec) -> libc::mmsghdr {
    // SAFETY: integers and pointers, for which zero is a value.
    let mut message: libc::mmsghdr = unsafe { zeroed() };
    message.msg_hdr.msg_name = (&raw mut *address).cast();
    message.msg_hdr.msg_namelen = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    message.msg_hdr.msg_iov = part;
    message.msg_hdr.msg_iovlen = 1;
    message.msg_hdr.msg_control = null_mut();
    message
}
