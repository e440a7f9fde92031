//! A modest flow of connections from many clients, and a count of who answered them.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::Host;
use crate::curl::Answers;
use crate::http::{self, Session};
use crate::lock::lock;

/// How often a connection that is kept open makes a request.
const HEARTBEAT: Duration = Duration::from_millis(500);
/// How many failures are kept word for word.
const REMEMBERED: usize = 20;

/// How much traffic each client makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// The frontend.
    pub target: SocketAddr,
    /// Time between two short connections.
    pub interval: Duration,
    /// Connections that are kept open.
    pub held: usize,
}

/// What has come of the traffic so far.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Connections that each server answered, by its name.
    pub served: Answers,
    /// Connections that failed or broke.
    pub failures: u64,
    /// The first of the failures, in words.
    pub messages: Vec<String>,
}

/// Traffic that goes on until it is stopped or dropped.
#[derive(Debug)]
pub struct Traffic {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    tally: Mutex<Tally>,
    stopping: Mutex<bool>,
    stop: Condvar,
}

impl Traffic {
    /// Starts traffic from each of the clients.
    pub fn start<'a>(clients: impl IntoIterator<Item = &'a Host>, plan: Plan) -> Self {
        let shared = Arc::<Shared>::default();
        let start = |client: &Host| {
            let (name, state) = (client.name().to_owned(), Arc::clone(&shared));
            let short = client.thread(move || make_connections(&state, &name, plan));
            let (name, state) = (client.name().to_owned(), Arc::clone(&shared));
            let held = client.thread(move || hold_connections(&state, &name, plan));
            [short, held]
        };
        let threads = clients.into_iter().flat_map(start).collect();
        Self { shared, threads }
    }

    /// What has come of it so far.
    #[must_use]
    pub fn tally(&self) -> Tally {
        lock(&self.shared.tally).clone()
    }

    /// Ends the traffic, after the connections that are being made.
    #[must_use]
    pub fn stop(mut self) -> Tally {
        self.end();
        self.tally()
    }

    fn end(&mut self) {
        *lock(&self.shared.stopping) = true;
        self.shared.stop.notify_all();
        for thread in self.threads.drain(..) {
            // A panic of a client has been printed, and a drop must not add another.
            let _ = thread.join();
        }
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.end();
    }
}

impl Shared {
    /// Pauses between two actions; false when it is time to stop.
    fn pause(&self, length: Duration) -> bool {
        let stopping = lock(&self.stopping);
        let paused = self.stop.wait_timeout_while(stopping, length, |stopping| !*stopping);
        !*paused.unwrap_or_else(PoisonError::into_inner).0
    }

    fn succeeded(&self, server: String) {
        *lock(&self.tally).served.entry(server).or_default() += 1;
    }

    fn failed(&self, client: &str, action: &str, error: &io::Error) {
        let mut tally = lock(&self.tally);
        tally.failures += 1;
        if tally.messages.len() < REMEMBERED {
            tally.messages.push(format!("{client}: {action}: {error}"));
        }
    }
}

/// Opens one connection after the other.
fn make_connections(shared: &Shared, client: &str, plan: Plan) {
    while shared.pause(plan.interval) {
        match http::fetch(plan.target) {
            Ok(server) => shared.succeeded(server),
            Err(error) => shared.failed(client, "short connection", &error),
        }
    }
}

/// Keeps connections open and in use; one that breaks is a failure, and replaced.
fn hold_connections(shared: &Shared, client: &str, plan: Plan) {
    let mut sessions: Vec<Session> = Vec::new();
    while shared.pause(HEARTBEAT) {
        sessions.retain_mut(|session| {
            let answer = session.ask();
            answer.inspect_err(|error| shared.failed(client, "long connection", error)).is_ok()
        });
        while sessions.len() < plan.held {
            match open(plan.target) {
                Ok((session, server)) => {
                    shared.succeeded(server);
                    sessions.push(session);
                }
                Err(error) => {
                    shared.failed(client, "long connection", &error);
                    break;
                }
            }
        }
    }
}

fn open(target: SocketAddr) -> io::Result<(Session, String)> {
    let mut session = Session::open(target)?;
    let server = session.ask()?;
    Ok((session, server))
}
