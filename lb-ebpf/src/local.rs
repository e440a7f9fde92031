//! Clients on the balancer's own host.
//!
//! Their packets never cross the interface, so nothing here sees a packet: a `connect()` to a
//! frontend is turned to the server whose turn it is before the socket knows its peer, and the
//! socket then talks to that server as to any other host. `getpeername()` tells the address that
//! was asked for.
//!
//! The programs are attached to a cgroup and run for every process in it, containers with a network
//! of their own included: those would reach the frontend through the host, where no packet of theirs
//! would be ours.
//!
//! All of it runs in the context of the process, which may be preempted; so counts are atomic.

use aya_ebpf::EbpfContext;
use aya_ebpf::bindings::{bpf_sock, bpf_sock_addr};
use aya_ebpf::helpers::generated::{bpf_get_socket_cookie, bpf_ktime_get_ns};
use aya_ebpf::programs::{SockAddrContext, SockContext};
use lb_common::local::{LocalSocket, from_mapped};
use lb_common::net::{Addr, Port};
use lb_common::server::Servers;

use crate::classify;
use crate::{connect, maps};

/// `IPPROTO_TCP`.
const TCP: u32 = 6;

/// What a program answers: the system call goes on. It never says otherwise.
pub const ALLOW: i32 = 1;

/// The address that a system call is about, where a program may read and change it.
///
/// Each access is volatile and of a whole word: the kernel refuses other stores, and joined ones.
#[derive(Clone, Copy)]
pub struct Peer {
    context: *mut bpf_sock_addr,
    family: Family,
}

/// Which of the address' fields hold it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// An IPv4 socket.
    V4,
    /// An IPv6 socket; its address is of interest if it holds an IPv4 one.
    V6,
}

impl Peer {
    /// The address of a system call on a socket of this family.
    #[inline(always)]
    #[must_use]
    pub const fn new(context: &SockAddrContext, family: Family) -> Self {
        Self { context: context.sock_addr, family }
    }

    #[inline(always)]
    fn is_tcp(self) -> bool {
        // SAFETY: the kernel hands over a valid context.
        unsafe { (&raw const (*self.context).protocol).read_volatile() == TCP }
    }

    #[inline(always)]
    fn get(self) -> Option<(Addr, Port)> {
        // SAFETY: as in `is_tcp`; both fields are for a program of this family to read.
        let (addr, port) = unsafe {
            let addr = match self.family {
                Family::V4 => Some(Addr::from_wire((&raw const (*self.context).user_ip4).read_volatile())),
                Family::V6 => {
                    let words = &raw const (*self.context).user_ip6;
                    from_mapped([
                        (&raw const (*words)[0]).read_volatile(),
                        (&raw const (*words)[1]).read_volatile(),
                        (&raw const (*words)[2]).read_volatile(),
                        (&raw const (*words)[3]).read_volatile(),
                    ])
                }
            };
            (addr, (&raw const (*self.context).user_port).read_volatile())
        };
        Some((addr?, Port::from_wire(port as u16)))
    }

    /// Replaces an address that [`Self::get`] has found.
    #[inline(always)]
    fn set(self, addr: Addr, port: Port) {
        // SAFETY: as in `get`; a mapped address differs from another in its last word only.
        unsafe {
            match self.family {
                Family::V4 => (&raw mut (*self.context).user_ip4).write_volatile(addr.wire()),
                Family::V6 => (&raw mut (*self.context).user_ip6[3]).write_volatile(addr.wire()),
            }
            (&raw mut (*self.context).user_port).write_volatile(u32::from(port.wire()));
        }
    }

    /// What the kernel calls the socket, and nothing else for as long as it runs.
    #[inline(always)]
    fn cookie(self) -> u64 {
        // SAFETY: as in `is_tcp`.
        unsafe { bpf_get_socket_cookie(self.context.cast()) }
    }
}

/// A `connect()`: if it is to a frontend, it goes to the server whose turn it is.
#[inline(always)]
pub fn connect(peer: Peer) {
    // What is not turned goes where it was to go: without a usable server too, where the host
    // refuses it unless something else listens there.
    let _ = turn(peer);
}

#[inline(always)]
fn turn(peer: Peer) -> Option<()> {
    if !peer.is_tcp() {
        return None;
    }
    let setup = maps::setup()?;
    let (addr, port) = peer.get()?;
    let frontend = classify::frontend(setup, addr, port)?;
    if frontend.draining != 0 {
        return None;
    }
    let number = connect::next_server(frontend, Servers::NONE).ok()?;
    let server = setup.server(number);
    let socket = LocalSocket {
        asked_addr: addr,
        server_addr: server.addr,
        asked_port: port,
        server_port: server.port,
        padding: 0,
        // SAFETY: the helper has no preconditions.
        opened_at: unsafe { bpf_ktime_get_ns() },
    };
    maps::remember_local(peer.cookie(), &socket);
    peer.set(server.addr, server.port);
    maps::count_local(frontend.number, number);
    Some(())
}

/// A `getpeername()`: a socket that was turned tells the address that it was to go to.
#[inline(always)]
pub fn name_peer(peer: Peer) {
    let Some((addr, port)) = peer.get() else { return };
    let Some(socket) = maps::local(peer.cookie()) else { return };
    // A socket may have been connected again since, to something else.
    if socket.server_addr == addr && socket.server_port == port {
        peer.set(socket.asked_addr, socket.asked_port);
    }
}

/// A `close()`: what was remembered of the socket makes room for others.
///
/// Without this, a socket that lives for long and is never looked at would be the first to be
/// forgotten.
#[inline(always)]
pub fn release(context: &SockContext) {
    let socket: *mut bpf_sock = context.sock;
    // SAFETY: the kernel hands over a valid context.
    if unsafe { (&raw const (*socket).protocol).read_volatile() } == TCP {
        // SAFETY: as above.
        maps::forget_local(unsafe { bpf_get_socket_cookie(context.as_ptr()) });
    }
}
