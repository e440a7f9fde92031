//! Connections at a steady pace, each with one request, and what became of every one of them.
//!
//! The pace is kept whatever happens to the connections before: one that hangs delays no other.

mod attempt;
mod tally;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinSet;

pub use attempt::{Attempt, Outcome};
pub use tally::Tally;

use crate::lock::lock;
use crate::{Host, Result, runtime, wait};

/// How many connections of one client may be under way: at 500 a second, enough for half a minute in
/// which none gets an answer.
const MOST_UNDER_WAY: usize = 16_384;

/// What load to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// The frontend, with HTTP servers behind it.
    pub target: SocketAddr,
    /// Connections a second, of all clients together.
    pub rate: u32,
    /// How many to make in all; without a number, until it is stopped.
    pub connections: Option<u32>,
    /// How long a connection may take, from the first SYN to the whole answer.
    pub patience: Duration,
    /// Which side closes each connection first.
    pub closes: Closes,
}

/// The side that closes a connection first, and so keeps it in TIME_WAIT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closes {
    /// The client, as most clients do.
    Client,
    /// The server, because it was asked to.
    Server,
}

impl Plan {
    /// Connections until the load is stopped, with 15 seconds of patience each, which the client closes.
    #[must_use]
    pub fn new(target: SocketAddr, rate: u32) -> Self {
        Self { target, rate, connections: None, patience: Duration::from_secs(15), closes: Closes::Client }
    }

    /// As many connections in all.
    #[must_use]
    pub fn connections(self, connections: u32) -> Self {
        Self { connections: Some(connections), ..self }
    }

    /// This side closes first.
    #[must_use]
    pub fn closes(self, closes: Closes) -> Self {
        Self { closes, ..self }
    }

    /// As much patience with each connection.
    #[must_use]
    pub fn patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }
}

/// Load that goes on until its connections are made, or it is stopped or dropped.
///
/// A client has some 28,000 ports and needs each for a minute, so 500 connections a second for longer
/// than that take several clients.
#[derive(Debug)]
pub struct Load {
    attempts: Arc<Mutex<Vec<Attempt>>>,
    stop: watch::Sender<bool>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    /// Starts load from these clients, who take turns.
    pub fn start<'a>(clients: impl IntoIterator<Item = &'a Host>, plan: Plan) -> Result<Self> {
        let clients: Vec<_> = clients.into_iter().collect();
        let (stop, stopped) = watch::channel(false);
        let attempts = Arc::<Mutex<Vec<Attempt>>>::default();
        let began = Instant::now();
        let start = |(first, client): (u32, &&Host)| {
            let pace = Pace { began, rate: plan.rate, first, step: clients.len() as u32 };
            let (attempts, stopped, runtime) = (Arc::clone(&attempts), stopped.clone(), runtime::new()?);
            Ok(client.thread(move || runtime.block_on(make_connections(plan, pace, stopped, &attempts))))
        };
        let threads = (0..).zip(&clients).map(start).collect::<Result<_>>()?;
        Ok(Self { attempts, stop, threads })
    }

    /// Makes a limited number of connections, and tells what became of them.
    ///
    /// # Panics
    ///
    /// When the plan has no limit.
    pub fn run<'a>(clients: impl IntoIterator<Item = &'a Host>, plan: Plan) -> Result<Tally> {
        assert!(plan.connections.is_some(), "a load without an end cannot be waited for");
        let load = Self::start(clients, plan)?;
        Ok(Tally::of(&load.finish()))
    }

    /// What has become of the connections that have ended so far.
    #[must_use]
    pub fn tally(&self) -> Tally {
        Tally::of(&*lock(&self.attempts))
    }

    /// What has become of those that were begun at this moment or later.
    #[must_use]
    pub fn tally_since(&self, moment: Instant) -> Tally {
        Tally::of(lock(&self.attempts).iter().filter(|attempt| attempt.began >= moment))
    }

    /// Waits until so many more connections have been begun and have ended.
    pub fn wait_for(&self, connections: u64) -> Result<()> {
        let now = Instant::now();
        wait::until(&format!("{connections} more connections"), || {
            (self.tally_since(now).made >= connections).then_some(())
        })
    }

    /// Waits until all connections of a limited plan have ended, and returns them.
    #[must_use]
    pub fn finish(mut self) -> Vec<Attempt> {
        self.join();
        std::mem::take(&mut *lock(&self.attempts))
    }

    /// Makes no more connections, waits until those under way have ended, and returns all.
    #[must_use]
    pub fn stop(self) -> Vec<Attempt> {
        self.stop.send_replace(true);
        self.finish()
    }

    fn join(&mut self) {
        for thread in self.threads.drain(..) {
            // A panic of a client has been printed, and a drop must not add another.
            let _ = thread.join();
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        self.join();
    }
}

/// When a client makes its connections: every `step`th of all, beginning with number `first`.
#[derive(Debug, Clone, Copy)]
struct Pace {
    began: Instant,
    rate: u32,
    first: u32,
    step: u32,
}

impl Pace {
    /// The numbers of the connections that this client makes, and their moments.
    fn moments(self, connections: Option<u32>) -> impl Iterator<Item = Instant> {
        let numbers = (self.first..connections.unwrap_or(u32::MAX)).step_by(self.step as usize);
        numbers.map(move |number| self.began + Duration::from_secs(1) * number / self.rate)
    }
}

async fn make_connections(
    plan: Plan,
    pace: Pace,
    mut stopped: watch::Receiver<bool>,
    attempts: &Mutex<Vec<Attempt>>,
) {
    let mut under_way = JoinSet::new();
    for moment in pace.moments(plan.connections) {
        let stop = stopped.wait_for(|stopped| *stopped);
        tokio::select! {
            // An error means that nobody is left who could stop it.
            _ = stop => break,
            () = tokio::time::sleep_until(moment.into()) => {}
        }
        while let Some(ended) = under_way.try_join_next() {
            keep(attempts, ended);
        }
        assert!(under_way.len() < MOST_UNDER_WAY, "{MOST_UNDER_WAY} connections hang");
        under_way.spawn(Attempt::make(plan));
    }
    while let Some(ended) = under_way.join_next().await {
        keep(attempts, ended);
    }
}

fn keep(attempts: &Mutex<Vec<Attempt>>, ended: std::result::Result<Attempt, tokio::task::JoinError>) {
    lock(attempts).push(ended.expect("an attempt neither panics nor is cancelled"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_take_turns() {
        let began = Instant::now();
        let milliseconds = |first| -> Vec<_> {
            let pace = Pace { began, rate: 100, first, step: 2 };
            pace.moments(Some(5)).map(|moment| (moment - began).as_millis()).collect()
        };
        assert_eq!(milliseconds(0), [0, 20, 40]);
        assert_eq!(milliseconds(1), [10, 30]);
    }
}
