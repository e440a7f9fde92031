//! Takes in what there is to log, and gives lines to the receivers.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Local, TimeDelta};
use lb_common::ending::{Ending, How};
use lb_common::net::socket_addr;
use serde_json::json;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tracing::{error, warn};

use super::counts::Counts;
use super::line::Line;
use super::names::Names;
use super::target::{Entry, Targets};
use super::{Dropped, Inputs, News};
use crate::clock;
use crate::config::logging::Level;
use crate::config::model::{self, LogFormat};
use crate::dataplane::endings::Endings;
use crate::monitor::Monitor;
use crate::stats::{Session, View};

/// So many lines are written before anybody else has a turn.
const BATCH: usize = 512;

/// Those that end within this time are written together: each look costs as much as some lines.
const PACE: Duration = Duration::from_millis(20);

/// How often it is looked whether lines were lost.
const LOOK: Duration = Duration::from_secs(1);

/// How often it is said, as long as it goes on.
const REMINDER: Duration = Duration::from_secs(60);

/// How long the end waits for receivers.
const FAREWELL: Duration = Duration::from_secs(1);

/// The task.
pub(super) struct Collector {
    inputs: Inputs,
    endings: Option<Endings>,
    monitor: Arc<Monitor>,
    settings: model::Log,
    targets: Targets,
    dropped: Dropped,
    /// The program's count of what it could not tell, as far as it was taken in.
    untold: u64,
    /// How many lines were dropped by the time that it was last said, and when it may be said again.
    said: (u64, Instant),
    next_read: Instant,
}

/// What wakes the task.
enum Event {
    Ended(Vec<Ending>),
    News(News),
    Settings,
    Look,
    /// The main loop has gone.
    End,
}

impl Collector {
    pub fn new(
        mut inputs: Inputs,
        endings: Option<Endings>,
        monitor: Arc<Monitor>,
        dropped: Dropped,
    ) -> Self {
        let settings = inputs.settings.borrow_and_update().clone();
        let targets = Targets::start(&settings.targets, &settings.tag, &dropped);
        let untold = endings.as_ref().and_then(|endings| endings.lost().ok()).unwrap_or_default();
        let next_read = Instant::now();
        Self { inputs, endings, monitor, settings, targets, dropped, untold, said: (0, next_read), next_read }
    }

    pub async fn run(mut self) {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let event = tokio::select! {
                news = self.inputs.news.recv() => news.map_or(Event::End, Event::News),
                Ok(()) = self.inputs.settings.changed() => Event::Settings,
                endings = next(&mut self.endings, self.next_read) => Event::Ended(endings),
                _ = looks.tick() => Event::Look,
            };
            match event {
                Event::Ended(endings) => self.write_ends(&endings),
                Event::News(News::Ended(endings)) => self.write_all(&endings),
                Event::News(News::State(level, text)) => self.write_state(level, text),
                Event::Settings => self.follow().await,
                Event::Look => self.look(),
                Event::End => break,
            }
            // The other tasks' turn: sockets that take lines at once would never give it to them.
            tokio::task::yield_now().await;
        }
        self.write_rest().await;
        self.targets.finish(FAREWELL).await;
        self.count_untold();
        self.say_dropped();
    }

    /// Writes what the program has told by now; not for ever, because it goes on to tell.
    async fn write_rest(&mut self) {
        let deadline = Instant::now() + FAREWELL;
        while let Some(endings) = &mut self.endings
            && Instant::now() < deadline
        {
            let rest: Vec<_> = endings.told.rest().take(BATCH).collect();
            if rest.is_empty() {
                return;
            }
            self.write_all(&rest);
            tokio::task::yield_now().await;
        }
    }

    /// Writes what the program has told.
    fn write_ends(&mut self, endings: &[Ending]) {
        // A full batch means that there are more.
        let is_all = endings.len() < BATCH;
        self.next_read = Instant::now() + if is_all { PACE } else { Duration::ZERO };
        self.write_all(endings);
    }

    fn write_all(&self, endings: &[Ending]) {
        let Some(format) = self.settings.format else { return };
        let (now, at) = (clock::monotonic(), Local::now());
        let view = self.monitor.latest();
        let names = self.inputs.names.borrow();
        for ending in endings {
            let accepted = at - ago(now, ending.opened_at);
            let Some(line) = line(ending, &names, view.as_deref(), accepted) else { continue };
            self.note(&line);
            let text = match format {
                LogFormat::Tcplog => line.to_string(),
                LogFormat::Json => line.json(),
            };
            self.targets.write(&Entry { level: Level::INFO, at, text });
        }
    }

    /// Lets those know of an end who look at statistics.
    fn note(&self, line: &Line<'_>) {
        let Line { backend, server, how, connected_after, total, .. } = *line;
        let server = (how != How::NoServer).then_some(server);
        let session = Session { how, connected_after, total };
        self.monitor.ledger().note(|activity| activity.ended(backend, server, &session));
    }

    fn write_state(&self, level: Level, text: String) {
        let text = match self.settings.format {
            Some(LogFormat::Json) => {
                let level = level.name();
                json!({ "event": "state", "level": level, "message": text }).to_string()
            }
            _ => text,
        };
        self.targets.write(&Entry { level, at: Local::now(), text });
    }

    /// Follows changed settings; lines for the receivers of before are sent first.
    async fn follow(&mut self) {
        let settings = self.inputs.settings.borrow_and_update().clone();
        if settings == self.settings {
            return;
        }
        let targets = Targets::start(&settings.targets, &settings.tag, &self.dropped);
        let mut former = std::mem::replace(&mut self.targets, targets);
        self.settings = settings;
        former.finish(FAREWELL).await;
    }

    /// Says, but not all the time, how many lines there are that nobody gets.
    fn look(&mut self) {
        self.count_untold();
        let (_, not_before) = self.said;
        if Instant::now() >= not_before {
            self.say_dropped();
        }
    }

    /// Takes in what the program could not tell.
    fn count_untold(&mut self) {
        let lost = self.endings.as_ref().map_or(Ok(self.untold), Endings::lost);
        match lost {
            Ok(lost) => {
                self.dropped.add(lost.saturating_sub(self.untold));
                self.untold = lost;
            }
            Err(error) => error!("log: nobody knows how many lines are lost: {error}"),
        }
    }

    /// Says how many lines were dropped since it was last said, if any were.
    fn say_dropped(&mut self) {
        let dropped = self.dropped.count();
        let (said, _) = self.said;
        if dropped > said {
            warn!("log: {} lines were dropped, {dropped} in all", dropped - said);
            self.said = (dropped, Instant::now() + REMINDER);
        }
    }
}

/// The ends that the program tells next, not before a time; none for ever where nobody can be asked.
async fn next(endings: &mut Option<Endings>, not_before: Instant) -> Vec<Ending> {
    let Some(reader) = endings else { return std::future::pending().await };
    sleep_until(not_before).await;
    match reader.told.next(BATCH).await {
        Ok(found) => found,
        Err(error) => {
            error!("log: ends of connections are not followed any more: {error}");
            *endings = None;
            Vec::new()
        }
    }
}

/// A connection's line; none for one that has ended in a way that only another version knows, or whose frontend
/// nobody has named yet.
fn line<'a>(
    ending: &Ending,
    names: &'a Names,
    view: Option<&View>,
    accepted: DateTime<Local>,
) -> Option<Line<'a>> {
    let how = ending.how()?;
    let frontend = names.frontend(ending.tuple.frontend())?;
    let server = names.server(ending.server)?;
    let (name, backend) = (&frontend.name, &frontend.backend);
    let [bytes_to_server, bytes_to_client] = ending.bytes;
    let connected = Duration::from_micros(ending.answered_after.into());
    Some(Line {
        client: socket_addr(ending.tuple.addr(), ending.tuple.port()),
        accepted,
        frontend: name,
        backend,
        server,
        connected_after: (ending.answered_after > 0).then_some(connected),
        total: Duration::from_nanos(ending.ended_at.saturating_sub(ending.opened_at)),
        bytes_to_server,
        bytes_to_client,
        how,
        counts: view.map_or_else(Counts::default, |view| Counts::of(&view.snapshot, name, backend, server)),
        redispatched: ending.redispatched,
    })
}

/// How long before `now`, a time of `CLOCK_MONOTONIC`, another one in ns was.
fn ago(now: Duration, nanos: u64) -> TimeDelta {
    TimeDelta::from_std(now.saturating_sub(Duration::from_nanos(nanos))).unwrap_or_default()
}
