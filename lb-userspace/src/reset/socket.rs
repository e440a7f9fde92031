//! Sockets that send packets with headers of our own (raw(7)).

use std::io;
use std::net::SocketAddrV4;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::warn;

use super::segment::Reset;

/// What may wait in a socket for neighbours that are being looked for, in bytes as the kernel counts them:
/// some 85 packets. It lets 212,992 wait for one neighbour (`unres_qlen_bytes`) and drops what comes beyond
/// without a word. So a socket has to refuse before, and all of ours together must stay below.
const BUFFER: usize = 65_536;

/// A raw IPv4 socket. The kernel routes what it sends.
pub(super) struct RawSocket(Socket);

/// Sends packets on a task of its own, as fast as the network takes them, and loses none.
pub(super) struct Sender {
    packets: mpsc::UnboundedSender<Vec<Reset>>,
    _task: JoinSet<()>,
}

impl RawSocket {
    /// Opens it, in the network namespace of the calling thread; takes `CAP_NET_RAW`.
    pub fn open() -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(libc::IPPROTO_RAW)))?;
        // The kernel takes it twice, for what it needs itself.
        socket.set_send_buffer_size(BUFFER / 2)?;
        socket.set_nonblocking(true)?;
        Ok(Self(socket))
    }

    /// Sends a packet, if there is room for it.
    pub fn send(&self, packet: &Reset) -> io::Result<()> {
        send(&self.0, packet)
    }
}

impl Sender {
    /// Starts it with a socket; must be called in a tokio runtime.
    pub fn start(RawSocket(socket): RawSocket) -> io::Result<Self> {
        let (sender, packets) = mpsc::unbounded_channel();
        // SAFETY: the socket owns its file descriptor and never exchanges it.
        let socket = unsafe { AsyncFd::register_with_interest(socket, Interest::WRITABLE) }?;
        Ok(Self { packets: sender, _task: JoinSet::from_iter([send_all(socket, packets)]) })
    }

    /// Sends these, after those that are waiting.
    pub fn send(&self, packets: Vec<Reset>) {
        // It fails only when the task has panicked, which has been said.
        let _ = self.packets.send(packets);
    }
}

/// Waits for room where there is none: a neighbour answers, or the kernel gives it up after seconds.
async fn send_all(socket: AsyncFd<Socket>, mut batches: mpsc::UnboundedReceiver<Vec<Reset>>) {
    while let Some(batch) = batches.recv().await {
        let mut errors = Vec::new();
        for packet in &batch {
            errors.extend(socket.async_io(Interest::WRITABLE, |socket| send(socket, packet)).await.err());
        }
        if let Some(error) = errors.first() {
            let (failed, all) = (errors.len(), batch.len());
            warn!("{failed} of {all} packets that reset connections could not be sent: {error}");
        }
    }
}

fn send(socket: &Socket, packet: &Reset) -> io::Result<()> {
    let receiver = SocketAddrV4::new(packet.receiver(), 0);
    socket.send_to(&packet.bytes(), &receiver.into()).map(drop)
}
