//! A start that takes back what it has done unless it is confirmed.
//!
//! Until then nothing that it has attached is pinned, so all of it leaves with the process, however that
//! ends. Maps and programs are pinned as always, for the command line; without anything attached they are
//! [ruins](crate::dataplane::pins::Found::Ruins), which the next start clears away.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};

use super::command::complaint;
use super::serve::End;
use super::{Agent, Error};
use crate::clock;
use crate::dataplane::attach::filter::Filter;
use crate::dataplane::attach::{self, Stay};
use crate::dataplane::pins::Pins;
use crate::neighbours::Interface;
use crate::socket::Complaint;

/// What waits to be confirmed.
pub(super) struct Trial {
    /// None until it is attached, and once it was given away to be kept.
    attached: Option<attach::Trial>,
    /// The id of the program that is attached by a link.
    program: Option<u32>,
    /// The filter that it is attached by.
    filter: Option<Filter>,
    /// Whether it could not be kept, so that nothing is left to be confirmed.
    has_failed: bool,
    window: Duration,
    deadline: Instant,
}

impl Trial {
    /// Begins now, with nothing attached yet.
    fn begin(window: Duration) -> Self {
        let deadline = Instant::now() + window;
        Self { attached: None, program: None, filter: None, has_failed: false, window, deadline }
    }

    /// The id of the program that is on trial.
    pub fn program(&self) -> Option<u32> {
        self.program
    }

    /// The filter that was put on the interface for it.
    pub fn filter(&self) -> Option<Filter> {
        self.filter
    }

    /// Makes all of it stay.
    fn keep(&mut self, interface: &Interface, pins: &Pins) -> Result<(), Error> {
        match self.attached.take() {
            Some(attached) => Ok(attached.keep(interface, pins)?),
            None => Ok(()),
        }
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
        trial.program = attached.as_ref().and_then(attach::Trial::program);
        trial.filter = attached.as_ref().and_then(attach::Trial::filter);
        trial.attached = attached;
        let window = humantime::format_duration(trial.window);
        warn!("on trial: `xlb confirm` has to come within {window}, or all is taken down again");
    }

    /// What has begun on trial stays from now on.
    pub(super) async fn confirm(&mut self) -> Result<(), Complaint> {
        if let Some(refusal) = refusal(self.trial.as_ref()) {
            return Err(refusal);
        }
        self.keep().await.map_err(|error| complaint(&error))
    }

    /// What fails before anything is kept leaves the trial as it was. What fails later ends it: the kernel's
    /// objects have been given away by then, and a start that is kept in part is none.
    async fn keep(&mut self) -> Result<(), Error> {
        let interface = Interface::lookup(&self.config.interface).await?;
        if let Some(trial) = &mut self.trial {
            let kept = trial.keep(&interface, &self.options.pins);
            let kept = kept.and_then(|()| Ok(self.host_clients.keep(&self.options.pins)?));
            kept.inspect_err(|_| trial.has_failed = true)?;
        }
        self.trial = None;
        self.roster.set_confirm_by(None);
        self.publish()?;
        info!("confirmed: what was attached stays");
        // It may have been made anew since.
        self.attach_if_lost(&interface)
    }
}

/// Why there is nothing to confirm, if so.
fn refusal(trial: Option<&Trial>) -> Option<Complaint> {
    match trial {
        None => Some(Complaint::wrong("nothing waits to be confirmed: all that is attached stays")),
        // Somebody else has asked just before, and the agent is about to end.
        Some(trial) if trial.has_failed => Some(complaint(&Error::NotKept)),
        Some(_) => None,
    }
}

/// Waits until a trial is over, and tells how; for ever where there is none.
pub(super) async fn over(trial: Option<&Trial>) -> End {
    let Some(trial) = trial else { return std::future::pending().await };
    if trial.has_failed {
        return End::NotKept;
    }
    sleep_until(trial.deadline).await;
    End::Unconfirmed(trial.window)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::Kind;

    #[test]
    fn what_has_failed_once_cannot_be_confirmed_any_more() {
        let mut trial = Trial::begin(Duration::from_secs(60));
        assert!(refusal(Some(&trial)).is_none());
        trial.has_failed = true;
        assert_eq!(refusal(Some(&trial)).map(|refusal| refusal.kind), Some(Kind::Unconfirmed));
        assert_eq!(refusal(None).map(|refusal| refusal.kind), Some(Kind::Wrong));
    }
}
