//! A TCP server that sends back what it receives, and a client that checks every byte of it.

use std::io::{self, Read, Write};
use std::net::{Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::panic;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use nix::sys::socket;

use crate::{Error, Host, Result, http};

/// How much is sent or received at a time.
const CHUNK: usize = 64 * 1024;

/// An echo server on a host; stopped when dropped.
#[derive(Debug)]
pub struct Echo {
    listener: TcpListener,
    connections: Arc<Connections>,
    acceptor: Option<JoinHandle<()>>,
}

impl Echo {
    /// Starts a server on a port of all the host's addresses. It accepts connections at once.
    pub fn start(host: &Host, port: u16) -> Result<Self> {
        let address = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port);
        let cannot = || Error::io(format!("listen on {host} port {port}"));
        let listener = host.inside(|| TcpListener::bind(address)).map_err(cannot())?;
        let connections = Arc::new(Connections(Mutex::new(Some(Vec::new()))));
        let acceptor = {
            let listener = listener.try_clone().map_err(cannot())?;
            let connections = Arc::clone(&connections);
            thread::spawn(move || accept(&listener, &connections))
        };
        Ok(Self { listener, connections, acceptor: Some(acceptor) })
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        // Wakes the acceptor: its `accept` fails from now on. A failure would mean that it has already.
        let _ = socket::shutdown(self.listener.as_raw_fd(), socket::Shutdown::Both);
        self.connections.close();
        if let Some(acceptor) = self.acceptor.take() {
            // A panic of the acceptor has been printed, and a drop must not add another.
            let _ = acceptor.join();
        }
    }
}

/// The connections of a server, to close them from another thread; `None` once that was done.
#[derive(Debug)]
struct Connections(Mutex<Option<Vec<TcpStream>>>);

impl Connections {
    /// Remembers a connection, unless the server has been stopped.
    fn add(&self, stream: &TcpStream) -> io::Result<()> {
        match self.0.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            Some(open) => open.push(stream.try_clone()?),
            None => return Err(io::ErrorKind::ConnectionAborted.into()),
        }
        Ok(())
    }

    fn close(&self) {
        let open = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        for connection in open.into_iter().flatten() {
            // Fails only when the connection is gone already.
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

fn accept(listener: &TcpListener, connections: &Connections) {
    thread::scope(|scope| {
        while let Ok((stream, _)) = listener.accept() {
            if connections.add(&stream).is_ok() {
                // An error ends this connection, and its client will notice.
                scope.spawn(move || send_back(stream));
            }
        }
    });
}

fn send_back(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    loop {
        match stream.read(&mut buffer)? {
            0 => return stream.shutdown(Shutdown::Write),
            length => stream.write_all(&buffer[..length])?,
        }
    }
}

/// A client of an echo server.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    pattern: Pattern,
}

impl Client {
    /// Opens a connection, from the network of the calling thread. Every seed sends other bytes.
    pub fn open(address: SocketAddr, seed: u64) -> io::Result<Self> {
        Ok(Self { stream: http::connect(address)?, pattern: Pattern(seed) })
    }

    /// Sends `length` bytes while receiving them back, and compares each one.
    pub fn exchange(&mut self, length: usize) -> io::Result<()> {
        let chunks = || (0..length).step_by(CHUNK).map(move |start| CHUNK.min(length - start));
        let mut sent = self.pattern.clone();
        let mut sender = self.stream.try_clone()?;
        thread::scope(|scope| {
            let sending =
                scope.spawn(move || chunks().try_for_each(|size| sender.write_all(&sent.next(size))));
            for size in chunks() {
                let mut received = vec![0; size];
                self.stream.read_exact(&mut received)?;
                if received != self.pattern.next(size) {
                    return Err(io::Error::other("other bytes came back than were sent"));
                }
            }
            sending.join().unwrap_or_else(|panic| panic::resume_unwind(panic))
        })
    }

    /// The same connection once more, to end an exchange that waits on another thread.
    pub fn stream(&self) -> io::Result<TcpStream> {
        self.stream.try_clone()
    }

    /// Ends the connection, and waits for the server to do the same.
    pub fn finish(mut self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Write)?;
        match self.stream.read(&mut [0])? {
            0 => Ok(()),
            _ => Err(io::Error::other("more bytes came back than were sent")),
        }
    }
}

/// Exchanges `length` bytes over a connection of its own.
pub fn transfer(address: SocketAddr, length: usize, seed: u64) -> io::Result<()> {
    let mut client = Client::open(address, seed)?;
    client.exchange(length)?;
    client.finish()
}

/// A stream of bytes that differ from place to place, from a linear congruential generator.
#[derive(Debug, Clone)]
pub(crate) struct Pattern(pub(crate) u64);

impl Pattern {
    /// The next `length` bytes.
    pub(crate) fn next(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(length + size_of::<u64>());
        while bytes.len() < length {
            // Knuth's multiplier and increment for MMIX.
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            bytes.extend_from_slice(&self.0.to_be_bytes());
        }
        bytes.truncate(length);
        bytes
    }
}
