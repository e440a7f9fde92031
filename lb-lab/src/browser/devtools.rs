//! Chromium's protocol for developers' tools, over two pipes: messages in JSON, each ended by a zero byte.
//!
//! <https://chromedevtools.github.io/devtools-protocol/> lists orders and events.

use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, ChildStdout, Command};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::wait::PATIENCE;
use crate::{Error, Process, Result};

/// How long Chromium may take to end in order.
const FAREWELL: Duration = Duration::from_secs(5);

/// A conversation with Chromium, which ends with it.
#[derive(Debug)]
pub struct DevTools {
    chromium: Process,
    orders: ChildStdin,
    messages: Receiver<Value>,
    /// The number of the last order.
    last: u64,
    /// What Chromium told without being asked, from the beginning on.
    events: Vec<Event>,
}

/// Something that has happened in Chromium.
#[derive(Debug, Clone)]
pub struct Event {
    /// Its name, such as `Page.loadEventFired`.
    pub method: String,
    /// What there is to say of it.
    pub params: Value,
}

impl DevTools {
    /// Starts Chromium by a command that hands its stdin and stdout on as Chromium's pipes.
    pub fn start(command: &mut Command) -> Result<Self> {
        let (chromium, orders, answers) = Process::spawn_talking(command)?;
        Ok(Self { chromium, orders, messages: follow(answers), last: 0, events: Vec::new() })
    }

    /// Gives an order, to a page's session or to the browser, and returns its result.
    pub fn order(&mut self, session: Option<&str>, method: &str, params: &Value) -> Result<Value> {
        self.send(session, method, params)?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut message = self.next(method, deadline)?;
            if message["id"] != self.last {
                self.keep(message);
            } else if let Some(error) = message.get("error") {
                return Err(Error::malformed(format!("Chromium's answer to {method}"), error));
            } else {
                return Ok(message["result"].take());
            }
        }
    }

    /// What has happened so far.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// Waits until something happens that is wanted, behind so many events.
    pub fn wait_for(&mut self, what: &str, behind: usize, is_wanted: impl Fn(&Event) -> bool) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !self.events[behind..].iter().any(&is_wanted) {
            let message = self.next(what, deadline)?;
            self.keep(message);
        }
        Ok(())
    }

    fn send(&mut self, session: Option<&str>, method: &str, params: &Value) -> Result<()> {
        self.last += 1;
        let mut order = json!({ "id": self.last, "method": method, "params": params });
        if let Some(session) = session {
            order["sessionId"] = session.into();
        }
        self.orders.write_all(format!("{order}\0").as_bytes()).map_err(Error::io("talk to Chromium"))
    }

    /// The next message, until a moment: other events go on while one is waited for.
    fn next(&mut self, what: &str, deadline: Instant) -> Result<Value> {
        self.messages
            .recv_timeout(deadline.saturating_duration_since(Instant::now()))
            .map_err(|_| Error::Timeout { what: what.to_owned(), context: self.chromium.log().text() })
    }

    /// Keeps what is an event; late answers are of no interest.
    fn keep(&mut self, mut message: Value) {
        let params = message["params"].take();
        if let Some(method) = message["method"].as_str() {
            self.events.push(Event { method: method.to_owned(), params });
        }
    }
}

impl Drop for DevTools {
    /// Lets it end its own processes; one that does not is killed.
    fn drop(&mut self) {
        if self.send(None, "Browser.close", &json!({})).is_ok() {
            let end = Instant::now() + FAREWELL;
            while self.messages.recv_timeout(end.saturating_duration_since(Instant::now())).is_ok() {}
        }
    }
}

/// Reads messages on a thread of its own, until there are no more.
fn follow(answers: ChildStdout) -> Receiver<Value> {
    let (sender, messages) = mpsc::channel();
    thread::spawn(move || {
        let texts = BufReader::new(answers).split(0).map_while(std::result::Result::ok);
        for message in texts.filter_map(|text| serde_json::from_slice(&text).ok()) {
            if sender.send(message).is_err() {
                break;
            }
        }
    });
    messages
}
