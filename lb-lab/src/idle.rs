//! Connections on which nothing happens, and clients that wait in `read`.

use std::io::{self, Read};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::panic;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use crate::http::Session;
use crate::lock::lock;
use crate::{Error, Host, Result, wait};

/// A connection that was served once, and whose client has been waiting in `read` since then.
#[derive(Debug)]
pub struct Idle {
    server: String,
    client: SocketAddr,
    stream: TcpStream,
    end: Arc<Mutex<Option<End>>>,
    reader: Option<JoinHandle<()>>,
}

/// How the client's `read` returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// In which way.
    pub kind: EndKind,
    /// When.
    pub at: Instant,
}

/// The ways in which a `read` returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndKind {
    /// The connection was reset (RST).
    Reset,
    /// The other side has closed it (FIN).
    Closed,
    /// There was data, which nobody has asked for.
    Data,
    /// Another error.
    Failed(io::ErrorKind),
}

impl Idle {
    /// Opens a connection to an HTTP server, makes one request, and lets the client wait.
    pub fn open(host: &Host, target: SocketAddr) -> Result<Self> {
        let open = || -> io::Result<_> {
            let mut session = Session::open(target)?;
            let server = session.ask()?;
            Ok((server, session.client()?, session.into_stream()?))
        };
        let (server, client, stream) =
            host.inside(open).map_err(Error::io(format!("be served by {target}")))?;
        let end = Arc::default();
        let reader = {
            let (end, stream) = (Arc::clone(&end), stream.try_clone());
            let mut stream = stream.map_err(Error::io("share a connection"))?;
            thread::spawn(move || *lock(&end) = Some(End { kind: read(&mut stream), at: Instant::now() }))
        };
        Ok(Self { server, client, stream, end, reader: Some(reader) })
    }

    /// Opens as many connections, one after the other.
    pub fn open_many(host: &Host, target: SocketAddr, count: usize) -> Result<Vec<Self>> {
        (0..count).map(|_| Self::open(host, target)).collect()
    }

    /// The name of the server that serves it.
    #[must_use]
    pub fn server(&self) -> &str {
        &self.server
    }

    /// The client's address and port.
    #[must_use]
    pub fn client(&self) -> SocketAddr {
        self.client
    }

    /// How it ended, if it has.
    #[must_use]
    pub fn end(&self) -> Option<End> {
        *lock(&self.end)
    }

    /// Waits until it ends.
    pub fn wait_for_end(&self) -> Result<End> {
        wait::until(&format!("the end of an idle connection to {}", self.server), || self.end())
    }
}

impl Drop for Idle {
    fn drop(&mut self) {
        // Wakes the reader. Fails only when the connection is gone, and the reader awake.
        let _ = self.stream.shutdown(Shutdown::Both);
        if let Some(reader) = self.reader.take()
            && let Err(panic) = reader.join()
            && !thread::panicking()
        {
            panic::resume_unwind(panic);
        }
    }
}

fn read(stream: &mut TcpStream) -> EndKind {
    match stream.read(&mut [0]) {
        Ok(0) => EndKind::Closed,
        Ok(_) => EndKind::Data,
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => EndKind::Reset,
        Err(error) => EndKind::Failed(error.kind()),
    }
}
