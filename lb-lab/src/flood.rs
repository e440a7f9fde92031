//! SYNs from addresses that nobody has, a limited number of them.

mod frame;
mod sender;

use std::io;
use std::net::SocketAddrV4;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::host::{INTERFACE, Mac};
use crate::{Error, Host, Result, wait};

use frame::Frames;
use sender::Sender;

/// How many frames are handed to the kernel at once.
const BATCH: u32 = 64;

/// What to flood.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Addresses on the LAN, which get a SYN in turns.
    pub targets: Vec<SocketAddrV4>,
    /// The hardware address that the frames are for.
    pub mac: Mac,
    /// SYNs in all.
    pub count: u32,
    /// SYNs a second.
    pub rate: u32,
}

/// A flood, which ends by itself, or when it is dropped.
#[derive(Debug)]
pub struct Flood {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<io::Result<End>>>,
}

/// The end of a flood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// How many SYNs have been sent.
    pub sent: u32,
    /// When the last one was.
    pub at: Instant,
}

#[derive(Debug, Default)]
struct Shared {
    sent: AtomicU32,
    stopping: AtomicBool,
}

impl Flood {
    /// Lets a host send SYNs from random addresses of 198.18.0.0/15 outside of the lab's networks.
    ///
    /// # Panics
    ///
    /// Without a target, or with a rate of zero.
    pub fn start(host: &Host, plan: Plan) -> Result<Self> {
        assert!(!plan.targets.is_empty() && plan.rate > 0, "{plan:?} floods nobody");
        let open = || Sender::open(INTERFACE);
        let sender = host.inside(open).map_err(Error::io(format!("open a raw socket on {host}")))?;
        let frames = Frames::new(host.mac(), plan.mac, plan.targets);
        let shared = Arc::<Shared>::default();
        let state = Arc::clone(&shared);
        let thread = thread::spawn(move || send(&state, &sender, frames, plan.count, plan.rate));
        Ok(Self { shared, thread: Some(thread) })
    }

    /// How many have been sent so far.
    #[must_use]
    pub fn sent(&self) -> u32 {
        self.shared.sent.load(Ordering::Relaxed)
    }

    /// Waits until so many have been sent since it began.
    pub fn wait_for(&self, count: u32) -> Result<()> {
        wait::until(&format!("{count} SYNs to be sent"), || (self.sent() >= count).then_some(()))
    }

    /// Waits until it has ended by itself.
    ///
    /// # Panics
    ///
    /// When the sender does.
    pub fn finish(mut self) -> Result<End> {
        let thread = self.thread.take().expect("a flood is finished once");
        let outcome = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        outcome.map_err(Error::io("send SYNs"))
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic of the sender has been printed, and a drop must not add another.
            let _ = thread.join();
        }
    }
}

fn send(shared: &Shared, sender: &Sender, mut frames: Frames, count: u32, rate: u32) -> io::Result<End> {
    let began = Instant::now();
    let mut sent = 0;
    while sent < count && !shared.stopping.load(Ordering::Relaxed) {
        let due = began + Duration::from_secs(1) * sent / rate;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let batch: Vec<_> = frames.by_ref().take(BATCH.min(count - sent) as usize).collect();
        sender.send(&batch)?;
        sent += batch.len() as u32;
        shared.sent.store(sent, Ordering::Relaxed);
    }
    Ok(End { sent, at: Instant::now() })
}
