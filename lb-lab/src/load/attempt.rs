//! One connection: connect, ask once, close.

use std::io;
use std::mem::{MaybeUninit, size_of};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout_at;

use super::{Closes, Plan};
use crate::http;

/// What became of one connection.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// When its first SYN was sent.
    pub began: Instant,
    /// How long it took to connect, or to fail to.
    pub connect_time: Duration,
    /// How long it took until the answer was there, or it failed.
    pub time: Duration,
    /// How often its SYN was sent again.
    pub syn_retransmissions: u32,
    /// How it ended.
    pub outcome: Outcome,
}

/// How a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A server gave its name.
    Answered(String),
    /// No connection was made.
    NotConnected(io::ErrorKind),
    /// The connection ended, or the patience, before there was an answer.
    NotAnswered(io::ErrorKind),
}

impl Attempt {
    /// Makes a connection from the network of the calling thread.
    pub(super) async fn make(Plan { target, patience, closes, .. }: Plan) -> Self {
        let began = Instant::now();
        let deadline = began + patience;
        let (connected, syn_retransmissions) = match prepare() {
            Ok(socket) => connect(socket, target, deadline).await,
            Err(error) => (Err(error), 0),
        };
        let connect_time = began.elapsed();
        let outcome = match connected {
            Ok(stream) => match within(deadline, ask(stream, closes)).await {
                Ok(server) => Outcome::Answered(server),
                Err(error) => Outcome::NotAnswered(error.kind()),
            },
            Err(error) => Outcome::NotConnected(error.kind()),
        };
        Self { began, connect_time, time: began.elapsed(), syn_retransmissions, outcome }
    }
}

fn prepare() -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_nodelay(true)?;
    Ok(socket)
}

/// Connects, and counts the SYNs that were sent again for it, also where it fails.
async fn connect(socket: TcpSocket, target: SocketAddr, deadline: Instant) -> (io::Result<TcpStream>, u32) {
    // A second descriptor, since an attempt that fails takes the first with it.
    let probe = match socket.as_fd().try_clone_to_owned() {
        Ok(probe) => probe,
        Err(error) => return (Err(error), 0),
    };
    let connected = within(deadline, socket.connect(target)).await;
    match retransmissions(probe.as_fd()) {
        Ok(count) => (connected, count),
        Err(error) => (Err(error), 0),
    }
}

/// Asks for the server's name, and lets a side close the connection.
async fn ask(mut stream: TcpStream, closes: Closes) -> io::Result<String> {
    let request = match closes {
        Closes::Client => http::REQUEST,
        Closes::Server => http::LAST_REQUEST,
    };
    stream.write_all(request).await?;
    let mut answer = Vec::new();
    loop {
        let has_ended = stream.read_buf(&mut answer).await? == 0;
        match http::body(&answer)? {
            Some(name) if has_ended || closes == Closes::Client => return Ok(name),
            None if has_ended => return Err(io::ErrorKind::UnexpectedEof.into()),
            _ => {}
        }
    }
}

async fn within<T>(deadline: Instant, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout_at(deadline.into(), work).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// How many segments a socket has sent again: before it has sent data, these are SYNs.
fn retransmissions(socket: BorrowedFd<'_>) -> io::Result<u32> {
    let mut info = MaybeUninit::<libc::tcp_info>::zeroed();
    let mut length = size_of::<libc::tcp_info>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes, which are the structure's own.
    let result = unsafe {
        let value = info.as_mut_ptr().cast();
        libc::getsockopt(socket.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_INFO, value, &raw mut length)
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: all of its fields are integers, and all of its bytes were zero before the kernel wrote.
    Ok(unsafe { info.assume_init() }.tcpi_total_retrans)
}
