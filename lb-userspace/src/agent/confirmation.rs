//! A start that takes back what it has done unless it is confirmed.
//!
//! Until then nothing that it has attached is pinned, so all of it leaves with the process, however that
//! ends. Maps and programs are pinned as always, for the command line; without anything attached they are
//! [ruins](crate::dataplane::pins::Found::Ruins), which the next start clears away.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};

use super::{Agent, Error};
use crate::clock;
use crate::dataplane::attach::{self, Stay};
use crate::neighbours::Interface;
use crate::socket::Complaint;

/// What waits to be confirmed.
pub(super) struct Trial {
    /// None where the interface has taken its program with it.
    attached: Option<attach::Trial>,
    window: Duration,
    deadline: Instant,
}

impl Trial {
    /// Begins now, with nothing attached yet.
    fn begin(window: Duration) -> Self {
        Self { attached: None, window, deadline: Instant::now() + window }
    }

    /// The id of the program that is on trial.
    pub fn program(&self) -> Option<u32> {
        self.attached.as_ref().and_then(attach::Trial::program)
    }
}

impl Agent {
    /// Begins a trial, if there is to be one. Comes before anything is attached: whoever looks must not take
    /// for certain what is not.
    pub(super) fn begin_trial(&mut self) -> Stay {
        let Some(window) = self.options.confirm else { return Stay::Pinned };
        let trial = Trial::begin(window);
        self.roster.set_confirm_by(Some(clock::millis(trial.deadline.into_std())));
        self.trial = Some(trial);
        Stay::OnTrial
    }

    /// Holds what was attached on trial, and says so.
    pub(super) fn hold(&mut self, attached: Option<attach::Trial>) {
        let Some(trial) = &mut self.trial else { return };
        trial.attached = attached;
        let window = humantime::format_duration(trial.window);
        warn!("on trial: `xlb confirm` has to come within {window}, or all is taken down again");
    }

    /// What has begun on trial stays from now on.
    pub(super) async fn confirm(&mut self) -> Result<(), Complaint> {
        let Some(trial) = self.trial.take() else {
            return Err(Complaint::wrong("nothing waits to be confirmed: all that is attached stays"));
        };
        let outcome = self.keep(trial).await;
        outcome.map_err(|error| Complaint { kind: error.kind(), text: error.to_string() })
    }

    async fn keep(&mut self, trial: Trial) -> Result<(), Error> {
        let interface = Interface::lookup(&self.config.interface).await?;
        if let Some(attached) = trial.attached {
            attached.keep(&interface, &self.options.pins)?;
        }
        self.host_clients.keep(&self.options.pins);
        info!("confirmed: what was attached stays");
        self.roster.set_confirm_by(None);
        self.publish()?;
        // It may have been made anew since.
        self.attach_if_lost(&interface)
    }
}

/// Waits until the time to confirm is over; for ever where nothing waits to be confirmed.
pub(super) async fn expired(trial: Option<&Trial>) -> Duration {
    let Some(trial) = trial else { return std::future::pending().await };
    sleep_until(trial.deadline).await;
    trial.window
}
