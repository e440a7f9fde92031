//! The log that others read: a line for each connection at its end, and for each change of a server's state.
//!
//! [`line`] writes a connection's line as HAProxy does, or as JSON; [`syslog`] puts it into a datagram;
//! [`target`] sends it. [`collector`] is the task in between: it takes what the program and the main loop
//! tell, knows names by [`names`] and how many connections there are by [`counts`]. All queues are bounded:
//! what does not fit is dropped and counted, and nobody waits.

mod collector;
mod counts;
mod line;
mod names;
mod stream;
mod syslog;
mod target;

use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use lb_common::ending::Ending;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use self::collector::Collector;
use self::names::Names;
use crate::config::logging::Level;
use crate::config::model;
use crate::dataplane::endings::Endings;
use crate::dataplane::status::Status;
use crate::monitor::Monitor;

/// What the main loop tells that was not taken in yet; more is dropped.
const QUEUE: usize = 256;

/// How many ends are told at once; so much memory at most is in the queue.
const PART: usize = 512;

/// How many lines were dropped because somebody did not keep up.
#[derive(Clone, Debug, Default)]
pub struct Dropped(Arc<AtomicU64>);

impl Dropped {
    fn add(&self, lines: u64) {
        self.0.fetch_add(lines, Ordering::Relaxed);
    }

    /// How many.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What the main loop tells.
#[derive(Debug)]
enum News {
    /// A server or a backend has changed its state.
    State(Level, String),
    /// Connections have ended that the program does not tell of.
    Ended(Vec<Ending>),
}

/// The main loop's end of the log.
#[derive(Debug)]
pub struct Log {
    settings: watch::Sender<model::Log>,
    names: watch::Sender<Names>,
    news: mpsc::Sender<News>,
    dropped: Dropped,
    /// Until the collector starts.
    inputs: Option<Inputs>,
    task: JoinSet<()>,
}

/// Tells of connections that have ended, some at a time.
#[derive(Debug)]
pub struct Ends<'a> {
    log: &'a Log,
    is_wanted: bool,
    part: Vec<Ending>,
}

impl Ends<'_> {
    /// Tells of one.
    pub fn tell(&mut self, ending: Ending) {
        if self.is_wanted {
            self.part.push(ending);
        }
        if self.part.len() == PART {
            self.pass_on();
        }
    }

    fn pass_on(&mut self) {
        let part = std::mem::take(&mut self.part);
        let lines = part.len() as u64;
        if lines > 0 {
            self.log.tell(News::Ended(part), lines);
        }
    }
}

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.pass_on();
    }
}

/// The collector's ends.
#[derive(Debug)]
struct Inputs {
    settings: watch::Receiver<model::Log>,
    names: watch::Receiver<Names>,
    news: mpsc::Receiver<News>,
}

impl Log {
    /// A log that takes in what it is told, and writes it once it is [started](Self::start).
    #[must_use]
    pub fn new(settings: Option<&model::Log>) -> Self {
        let (settings_sender, settings) = watch::channel(settings.cloned().unwrap_or_default());
        let (names_sender, names) = watch::channel(Names::default());
        let (news_sender, news) = mpsc::channel(QUEUE);
        Self {
            settings: settings_sender,
            names: names_sender,
            news: news_sender,
            dropped: Dropped::default(),
            inputs: Some(Inputs { settings, names, news }),
            task: JoinSet::new(),
        }
    }

    /// Begins to write; must be called in a tokio runtime. Without `endings` there are only the lines that
    /// the main loop tells.
    pub fn start(&mut self, endings: Option<Endings>, monitor: Arc<Monitor>) {
        if let Some(inputs) = self.inputs.take() {
            let collector = Collector::new(inputs, endings, monitor, self.dropped.clone());
            self.task.spawn(collector.run());
        }
    }

    /// Follows changed settings.
    pub fn follow(&self, settings: Option<&model::Log>) {
        self.settings.send_replace(settings.cloned().unwrap_or_default());
    }

    /// Takes in how servers and frontends are called.
    pub fn name(&self, status: &Status) {
        self.names.send_modify(|names| names.learn(status));
    }

    /// Whether each connection gets a line at its end.
    #[must_use]
    pub fn wants_ends(&self) -> bool {
        let settings = self.settings.borrow();
        settings.format.is_some() && !settings.targets.is_empty()
    }

    /// A server or a backend has changed its state.
    pub fn state(&self, level: Level, change: &impl Display) {
        self.tell(News::State(level, change.to_string()), 1);
    }

    /// Takes in connections that have ended.
    #[must_use]
    pub fn ends(&self) -> Ends<'_> {
        Ends { log: self, is_wanted: self.wants_ends(), part: Vec::new() }
    }

    /// How many lines were dropped so far.
    #[must_use]
    pub fn dropped(&self) -> Dropped {
        self.dropped.clone()
    }

    /// Writes what there is to write, but does not wait for receivers that take nothing.
    pub async fn finish(self) {
        let Self { news, mut task, .. } = self;
        drop(news);
        task.join_next().await;
    }

    fn tell(&self, news: News, lines: u64) {
        if self.news.try_send(news).is_err() {
            self.dropped.add(lines);
        }
    }
}
