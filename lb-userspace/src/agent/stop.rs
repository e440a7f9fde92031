//! The end: the data plane is taken down, or goes on alone.

use tracing::info;

use super::confirmation::Trial;
use super::{Agent, Error, complain};
use crate::config::model::OnStop;
use crate::dataplane::attach;
use crate::dataplane::attach::filter::Filter;
use crate::log::Log;
use crate::service_manager::ServiceManager;

impl Agent {
    /// Leaves the data plane as it is wished.
    pub(super) async fn stop(mut self, signal: &str) -> Result<(), Error> {
        ServiceManager::stopping();
        std::mem::replace(&mut self.log, Log::new(None)).finish().await;
        // Nothing is kept that nobody has confirmed.
        let wanted = if self.trial.is_some() { Some(OnStop::Remove) } else { self.options.on_stop };
        match wanted.unwrap_or(self.config.on_stop) {
            OnStop::Keep => {
                info!("{signal}: the data plane goes on without an agent");
                Ok(())
            }
            OnStop::Remove => {
                info!("{signal}: taking the data plane down");
                self.remove().await
            }
        }
    }

    async fn remove(mut self) -> Result<(), Error> {
        let on_trial = self.trial.take();
        // The pins of one on trial may be what has failed.
        let mut programs = self.options.pins.programs();
        programs.extend(on_trial.as_ref().and_then(Trial::program));
        let filter = on_trial.as_ref().and_then(Trial::filter);
        drop(on_trial);
        self.host_clients.let_go();
        let removed = self.clear(filter);
        attach::until_detached(&programs, &self.config.interface).await;
        let released = self.resolver.release().await.map_err(Error::from);
        // With the claim, the directory goes.
        drop(self.claim);
        if removed.is_ok() {
            return released;
        }
        complain(released);
        removed
    }

    /// Removes what is attached and pinned, and a filter on trial also where no pin tells of it any more.
    fn clear(&self, on_trial: Option<Filter>) -> Result<(), Error> {
        let pins = &self.options.pins;
        let untold = on_trial.filter(|_| !matches!(pins.filter(), Ok(Some(_))));
        let unhooked = untold.map_or(Ok(()), Filter::remove);
        pins.clear()?;
        Ok(unhooked?)
    }
}
