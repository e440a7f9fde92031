//! What a running agent shows of itself: looked at once a second, and whenever somebody asks.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use tokio::runtime::Handle;
use tokio::sync::Mutex;
use tokio::time::{MissedTickBehavior, interval};
use tracing::error;

use crate::clock;
use crate::dataplane::Error;
use crate::dataplane::pins::Pins;
use crate::dataplane::status::Status;
use crate::log::Dropped;
use crate::observe::Observer;
use crate::process;
use crate::stats::{Activity, Gauges, Idle, Ledger, Outages, Process, Timeline, View};

/// How often it looks by itself, for rates and the highest values.
const LOOK: Duration = Duration::from_secs(1);

/// How old a view may be: a look at a million connections takes a fiftieth of a second, and many may ask.
const FRESH: Duration = Duration::from_millis(100);

/// Looks at the data plane, and remembers what it saw.
pub struct Monitor {
    state: Arc<Mutex<State>>,
    ledger: Ledger,
    /// What the agent's log drops, once there is one.
    dropped: OnceLock<Dropped>,
}

struct State {
    observer: Observer,
    ledger: Ledger,
    gauges: Gauges,
    outages: Outages,
    timeline: Timeline,
    idle: Idle,
    latest: Option<(Instant, u64, Arc<View>)>,
    began: Instant,
    process: Process,
}

impl Monitor {
    /// Opens the pinned data plane of this process's agent, which notes in `ledger` what no map tells.
    pub fn open(pins: &Pins, ledger: Ledger) -> Result<Arc<Self>, Error> {
        let node = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
        let process = Process {
            pid: std::process::id(),
            started: SystemTime::now(),
            uptime: Duration::ZERO,
            node: node.unwrap_or_default(),
            dropped_logs: 0,
            tasks: 0,
            idle_percent: 0,
            max_files: process::max_files(),
        };
        let state = State {
            observer: Observer::open(pins)?,
            ledger: ledger.clone(),
            gauges: Gauges::default(),
            outages: Outages::default(),
            timeline: Timeline::default(),
            idle: Idle::default(),
            latest: None,
            began: Instant::now(),
            process,
        };
        Ok(Arc::new(Self { state: Arc::new(Mutex::new(state)), ledger, dropped: OnceLock::new() }))
    }

    /// Where connections are noted that have ended.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Tells from now on how many lines the agent's log has dropped.
    pub fn follow_log(&self, dropped: Dropped) {
        // There is one log.
        let _ = self.dropped.set(dropped);
    }

    /// The balancer as it is, a moment ago at most; after the agent has published a change, never as it was
    /// before.
    pub async fn view(&self) -> Result<Arc<View>, Error> {
        let dropped_logs = self.dropped.get().map_or(0, Dropped::count);
        let tasks = Handle::current().metrics().num_alive_tasks() as u64;
        // Many connections take a while, in which the agent has others to see to.
        let mut state = self.state.clone().lock_owned().await;
        tokio::task::spawn_blocking(move || state.view(dropped_logs, tasks))
            .await
            .unwrap_or(Err(Error::Ending))
    }

    /// What the agent has published last.
    pub async fn status(&self) -> Result<Status, Error> {
        self.state.lock().await.observer.published()
    }

    /// What the last look has found, without another.
    #[must_use]
    pub fn latest(&self) -> Option<Arc<View>> {
        let state = self.state.try_lock().ok()?;
        state.latest.as_ref().map(|(_, _, view)| view.clone())
    }

    /// Lets the highest values begin anew, from now on.
    pub async fn forget_highest(&self) {
        let mut state = self.state.lock().await;
        state.gauges.forget_highest();
        self.ledger.note(Activity::forget_highest);
        state.latest = None;
    }

    /// Looks once a second, for ever.
    pub async fn watch(self: Arc<Self>) {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut is_well = true;
        loop {
            looks.tick().await;
            let looked = self.view().await;
            if let (Err(error), true) = (&looked, is_well) {
                error!("statistics stand still: {error}");
            }
            is_well = looked.is_ok();
        }
    }
}

impl State {
    fn view(&mut self, dropped_logs: u64, tasks: u64) -> Result<Arc<View>, Error> {
        let sequence = self.observer.sequence()?;
        if let Some((at, seen, view)) = &self.latest
            && *seen == sequence
            && at.elapsed() < FRESH
        {
            return Ok(view.clone());
        }
        self.observer.refresh()?;
        let snapshot = self.observer.snapshot()?;
        let at = clock::monotonic();
        self.gauges.look(&snapshot, at);
        self.outages.look(&snapshot, at);
        self.timeline.look(&snapshot, at);
        self.idle.look(at, clock::used_by_process());
        let (uptime, idle_percent) = (self.began.elapsed(), self.idle.percent());
        let process = Process { uptime, dropped_logs, tasks, idle_percent, ..self.process.clone() };
        let (gauges, outages) = (self.gauges.clone(), self.outages.clone());
        let (activity, timeline) = (self.ledger.look(), self.timeline.clone());
        let view = Arc::new(View { at, snapshot, gauges, outages, activity, timeline, process });
        self.latest = Some((Instant::now(), sequence, view.clone()));
        Ok(view)
    }
}
