//! What a running agent shows of itself: looked at once a second, and whenever somebody asks.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::Mutex;
use tokio::time::{MissedTickBehavior, interval};
use tracing::error;

use crate::clock;
use crate::dataplane::Error;
use crate::dataplane::pins::Pins;
use crate::observe::Observer;
use crate::stats::{Gauges, Outages, Process, Timeline, View};

/// How often it looks by itself, for rates and the highest values.
const LOOK: Duration = Duration::from_secs(1);

/// How old a view may be: a look at a million connections takes a fiftieth of a second, and many may ask.
const FRESH: Duration = Duration::from_millis(100);

/// Looks at the data plane, and remembers what it saw.
pub struct Monitor {
    state: Mutex<State>,
}

struct State {
    observer: Observer,
    gauges: Gauges,
    outages: Outages,
    timeline: Timeline,
    latest: Option<(Instant, u64, Arc<View>)>,
    began: Instant,
    process: Process,
}

impl Monitor {
    /// Opens the pinned data plane of this process's agent.
    pub fn open(pins: &Pins) -> Result<Arc<Self>, Error> {
        let node = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
        let process = Process {
            pid: std::process::id(),
            started: SystemTime::now(),
            uptime: Duration::ZERO,
            node: node.unwrap_or_default(),
        };
        let state = State {
            observer: Observer::open(pins)?,
            gauges: Gauges::default(),
            outages: Outages::default(),
            timeline: Timeline::default(),
            latest: None,
            began: Instant::now(),
            process,
        };
        Ok(Arc::new(Self { state: Mutex::new(state) }))
    }

    /// The balancer as it is, a moment ago at most; after the agent has published a change, never as it was
    /// before.
    pub async fn view(&self) -> Result<Arc<View>, Error> {
        self.state.lock().await.view()
    }

    /// Lets the highest values begin anew, from now on.
    pub async fn forget_highest(&self) {
        let mut state = self.state.lock().await;
        state.gauges.forget_highest();
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
    fn view(&mut self) -> Result<Arc<View>, Error> {
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
        let process = Process { uptime: self.began.elapsed(), ..self.process.clone() };
        let (gauges, outages) = (self.gauges.clone(), self.outages.clone());
        let timeline = self.timeline.clone();
        let view = Arc::new(View { at, snapshot, gauges, outages, timeline, process });
        self.latest = Some((Instant::now(), sequence, view.clone()));
        Ok(view)
    }
}
