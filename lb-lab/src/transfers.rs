//! Transfers that go on and on, with every byte checked.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::echo::Pattern;
use crate::lock::lock;
use crate::wait::{self, PATIENCE};
use crate::{Error, Host, Result, runtime};

/// What to transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// The frontend, with echo servers behind it.
    pub target: SocketAddr,
    /// Transfers at once, of all clients together.
    pub count: usize,
    /// How much each sends at a time, and gets back.
    pub chunk: usize,
    /// How long each rests then.
    pub pause: Duration,
}

impl Plan {
    /// So many transfers, each of 80 KB a second both ways.
    #[must_use]
    pub fn new(target: SocketAddr, count: usize) -> Self {
        Self { target, count, chunk: 8 * 1024, pause: Duration::from_millis(100) }
    }
}

/// A transfer that did not go as it should.
#[derive(Debug, Clone)]
pub struct Broken {
    /// Who made it.
    pub client: String,
    /// Bytes that came back as they should before.
    pub bytes: u64,
    /// What happened, in words.
    pub error: String,
}

/// Transfers that go on until they are stopped or dropped.
#[derive(Debug)]
pub struct Transfers {
    progress: Arc<Mutex<Progress>>,
    stop: watch::Sender<bool>,
    threads: Vec<JoinHandle<()>>,
}

/// How far each transfer has come, and which are broken.
#[derive(Debug, Clone, Default)]
struct Progress {
    bytes: Vec<u64>,
    broken: Vec<Broken>,
}

/// One of the transfers.
#[derive(Debug, Clone)]
struct Transfer {
    number: usize,
    client: Arc<str>,
    plan: Plan,
    stopped: watch::Receiver<bool>,
    progress: Arc<Mutex<Progress>>,
}

impl Transfers {
    /// Starts transfers from these clients, and waits until bytes of each have come back.
    pub fn start<'a>(clients: impl IntoIterator<Item = &'a Host>, plan: Plan) -> Result<Self> {
        let clients: Vec<_> = clients.into_iter().collect();
        let (stop, stopped) = watch::channel(false);
        let progress = Arc::new(Mutex::new(Progress { bytes: vec![0; plan.count], broken: Vec::new() }));
        let start = |(first, client): (usize, &&Host)| {
            let transfer = Transfer {
                number: first,
                client: client.name().into(),
                plan,
                stopped: stopped.clone(),
                progress: Arc::clone(&progress),
            };
            let (runtime, step) = (runtime::new()?, clients.len());
            Ok(client.thread(move || runtime.block_on(transfer.every(step))))
        };
        let threads = clients.iter().enumerate().map(start).collect::<Result<_>>()?;
        let transfers = Self { progress, stop, threads };
        transfers.wait_for_progress()?;
        Ok(transfers)
    }

    /// Waits until each transfer has got more bytes back than now. A broken one is an error.
    pub fn wait_for_progress(&self) -> Result<()> {
        let before = lock(&self.progress).bytes.clone();
        wait::until("progress of all transfers", || {
            let Progress { bytes, broken } = &*lock(&self.progress);
            if let Some(broken) = broken.first() {
                return Some(Err(Error::io("go on with all transfers")(io::Error::other(
                    broken.to_string(),
                ))));
            }
            bytes.iter().zip(&before).all(|(now, before)| now > before).then_some(Ok(()))
        })?
    }

    /// Bytes that have come back so far, over all transfers.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        lock(&self.progress).bytes.iter().sum()
    }

    /// Those that are broken so far.
    #[must_use]
    pub fn broken(&self) -> Vec<Broken> {
        lock(&self.progress).broken.clone()
    }

    /// Ends all transfers in order, and returns those that are broken.
    #[must_use]
    pub fn stop(mut self) -> Vec<Broken> {
        self.end();
        self.broken()
    }

    fn end(&mut self) {
        self.stop.send_replace(true);
        for thread in self.threads.drain(..) {
            // A panic of a client has been printed, and a drop must not add another.
            let _ = thread.join();
        }
    }
}

impl Drop for Transfers {
    fn drop(&mut self) {
        self.end();
    }
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} after {} bytes: {}", self.client, self.bytes, self.error)
    }
}

impl Transfer {
    /// Runs every `step`th transfer from this one on.
    async fn every(self, step: usize) {
        let numbers = (self.number..self.plan.count).step_by(step);
        let transfers: JoinSet<_> =
            numbers.map(|number| Self { number, ..self.clone() }.run_and_report()).collect();
        transfers.join_all().await;
    }

    async fn run_and_report(mut self) {
        if let Err(error) = self.run().await {
            let mut progress = lock(&self.progress);
            let bytes = progress.bytes[self.number];
            let broken = Broken { client: self.client.to_string(), bytes, error: error.to_string() };
            progress.broken.push(broken);
        }
    }

    async fn run(&mut self) -> io::Result<()> {
        let mut stream = within(TcpStream::connect(self.plan.target)).await?;
        let mut pattern = Pattern(self.number as u64);
        loop {
            within(exchange(&mut stream, &pattern.next(self.plan.chunk))).await?;
            lock(&self.progress).bytes[self.number] += self.plan.chunk as u64;
            // An error means that nobody is left who could stop it.
            if timeout(self.plan.pause, self.stopped.wait_for(|stopped| *stopped)).await.is_ok() {
                return within(finish(stream)).await;
            }
        }
    }
}

/// Sends bytes while receiving them back, and compares each one.
async fn exchange(stream: &mut TcpStream, sent: &[u8]) -> io::Result<()> {
    let mut received = vec![0; sent.len()];
    let (mut reader, mut writer) = stream.split();
    tokio::try_join!(reader.read_exact(&mut received), writer.write_all(sent))?;
    if received != sent {
        return Err(io::Error::other("other bytes came back than were sent"));
    }
    Ok(())
}

/// Ends a connection, and waits for the server to do the same.
async fn finish(mut stream: TcpStream) -> io::Result<()> {
    stream.shutdown().await?;
    match stream.read(&mut [0]).await? {
        0 => Ok(()),
        _ => Err(io::Error::other("more bytes came back than were sent")),
    }
}

/// Gives up on what hangs, which is an error like any other.
async fn within<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(PATIENCE, work).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}
