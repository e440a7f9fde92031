//! Standard output and error as receivers of the log.

use std::io::{self, Write};
use std::thread;

use tokio::sync::{mpsc, oneshot};

/// Text, and where it is to be told how its writing went.
type Job = (Vec<u8>, oneshot::Sender<io::Result<()>>);

/// One of them, which a thread of its own writes to: a pipe that nobody reads may hold that up for ever, and a
/// thread of the runtime's few would be missing to all others.
pub(super) struct Stream(mpsc::Sender<Job>);

impl Stream {
    /// Standard output.
    pub fn stdout() -> io::Result<Self> {
        Self::start(|| io::stdout().lock())
    }

    /// Standard error.
    pub fn stderr() -> io::Result<Self> {
        Self::start(|| io::stderr().lock())
    }

    /// `lock` has the stream for one text: were another's let in before the flush, which a full pipe may hold up for
    /// ever, nobody would hear that this one was written.
    fn start<W: Write>(lock: impl Fn() -> W + Send + 'static) -> io::Result<Self> {
        let (sender, mut jobs) = mpsc::channel::<Job>(1);
        let write = move || {
            while let Some((text, outcome)) = jobs.blocking_recv() {
                let mut stream = lock();
                let written = stream.write_all(&text).and_then(|()| stream.flush());
                drop(stream);
                // Whoever waited may have lost patience.
                let _ = outcome.send(written);
            }
        };
        thread::Builder::new().name("log".to_owned()).spawn(write)?;
        Ok(Self(sender))
    }

    /// Writes text, and waits until it is written.
    pub async fn write(&self, text: &[u8]) -> io::Result<()> {
        let (outcome, written) = oneshot::channel();
        let ended = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        self.0.send((text.to_vec(), outcome)).await.map_err(|_| io::ErrorKind::BrokenPipe)?;
        written.await.map_err(ended)?
    }
}
