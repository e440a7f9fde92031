//! The end: the data plane is taken down, or goes on alone.

use tracing::info;

use super::confirmation::Trial;
use super::{Agent, Error, complain};
use crate::config::model::OnStop;
use crate::dataplane::attach;
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
        drop(on_trial);
        self.host_clients.let_go();
        let removed = self.options.pins.clear().map(drop).map_err(Error::from);
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
}
