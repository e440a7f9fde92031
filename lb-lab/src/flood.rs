//! Frames in great number, but a limited one: SYNs from addresses that nobody has, or what else is given.

mod frame;
mod sender;

use std::io;
use std::net::SocketAddrV4;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sched::{CpuSet, sched_getcpu, sched_setaffinity};
use nix::unistd::Pid;

use crate::host::{INTERFACE, Mac};
use crate::{Error, Host, Result, wait};

use frame::Frames;
use sender::Sender;

/// How many frames are handed to the kernel at once.
const BATCH: u32 = 64;

/// A flood of SYNs.
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
    /// How many frames have been sent.
    pub sent: u32,
    /// When the last one was.
    pub at: Instant,
    /// How long it took.
    pub took: Duration,
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
        let Plan { targets, mac, count, rate } = plan;
        assert!(!targets.is_empty(), "it floods nobody");
        Self::begin(host, Frames::new(host.mac(), mac, targets), count, rate)
    }

    /// Lets a host send these whole frames in turns: so many in all, and so many a second.
    ///
    /// # Panics
    ///
    /// Without a frame, or with a rate of zero.
    pub fn of_frames(host: &Host, frames: Vec<Vec<u8>>, count: u32, rate: u32) -> Result<Self> {
        assert!(!frames.is_empty(), "there is nothing to send");
        let numbers = (0..frames.len()).cycle();
        Self::begin(host, numbers.map(move |number| frames[number].clone()), count, rate)
    }

    fn begin<F: AsRef<[u8]>>(
        host: &Host,
        frames: impl Iterator<Item = F> + Send + 'static,
        count: u32,
        rate: u32,
    ) -> Result<Self> {
        assert!(rate > 0, "it would never end");
        let open = || Sender::open(INTERFACE);
        let sender = host.inside(open).map_err(Error::io(format!("open a raw socket on {host}")))?;
        let shared = Arc::<Shared>::default();
        let state = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            stay_on_one_cpu()?;
            send(&state, &sender, frames, count, rate)
        });
        Ok(Self { shared, thread: Some(thread) })
    }

    /// How many have been sent so far.
    #[must_use]
    pub fn sent(&self) -> u32 {
        self.shared.sent.load(Ordering::Relaxed)
    }

    /// Waits until so many have been sent since it began.
    pub fn wait_for(&self, count: u32) -> Result<()> {
        wait::until(&format!("{count} frames to be sent"), || (self.sent() >= count).then_some(()))
    }

    /// Waits until it has ended by itself.
    ///
    /// # Panics
    ///
    /// When the sender does.
    pub fn finish(mut self) -> Result<End> {
        let thread = self.thread.take().expect("a flood is finished once");
        let outcome = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        outcome.map_err(Error::io("send frames"))
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

impl End {
    /// How many were sent in a second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        f64::from(self.sent) / self.took.as_secs_f64()
    }
}

/// Keeps the calling thread where it is. The kernel carries a frame on by the CPU that has sent it; from several,
/// frames would overtake each other, and the queue of one that is busy could run over.
fn stay_on_one_cpu() -> io::Result<()> {
    let mut here = CpuSet::new();
    here.set(sched_getcpu()?)?;
    Ok(sched_setaffinity(Pid::from_raw(0), &here)?)
}

fn send<F: AsRef<[u8]>>(
    shared: &Shared,
    sender: &Sender,
    mut frames: impl Iterator<Item = F>,
    count: u32,
    rate: u32,
) -> io::Result<End> {
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
    let at = Instant::now();
    Ok(End { sent, at, took: at - began })
}
