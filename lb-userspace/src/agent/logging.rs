//! The log that others read follows the configuration.

use std::sync::Arc;

use tracing::error;

use super::Agent;
use crate::monitor::Monitor;

impl Agent {
    /// Begins to write the log.
    pub(super) fn start_log(&mut self, monitor: Arc<Monitor>) {
        let endings = self.control.maps_mut().take_endings();
        let endings = endings.inspect_err(|error| error!("ends of connections are not logged: {error}"));
        monitor.follow_log(self.log.dropped());
        self.log.start(endings.ok(), monitor);
    }

    /// Has the log do what the configuration says. The program tells of ends only if somebody wants them.
    pub(super) fn follow_log(&mut self) {
        self.log.follow(self.config.log.as_ref());
        self.control.maps_mut().setup.set_tells_ends(self.log.wants_ends());
    }
}
