//! What the agent tells systemd of itself, if that has started it and wants to know (`sd_notify(3)`).

use sd_notify::NotifyState;
use tracing::warn;

use crate::dataplane::status::Status;

/// The service manager, or nobody.
#[derive(Debug)]
pub struct ServiceManager {
    /// What it was told last.
    said: String,
    /// Whether it ends an agent that does not go on.
    is_watchdog: bool,
}

impl ServiceManager {
    /// The one that has started this process.
    pub fn new() -> Self {
        Self { said: String::new(), is_watchdog: sd_notify::watchdog_enabled().is_some() }
    }

    /// The agent forwards, for the first time or after a reload.
    pub fn ready(&mut self, status: &Status) {
        self.said = summary(status);
        tell(&[NotifyState::Ready, NotifyState::Status(&self.said)]);
    }

    /// The agent reads its configuration again, and will be ready after that.
    pub fn reloading() {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => tell(&[NotifyState::Reloading, now]),
            Err(error) => complain(&error),
        }
    }

    /// What `systemctl status` shows, if it is not what it shows already.
    pub fn say(&mut self, status: &Status) {
        let summary = summary(status);
        if summary != self.said {
            self.said = summary;
            tell(&[NotifyState::Status(&self.said)]);
        }
    }

    /// The main loop goes on. One that says nothing for as long as the unit allows is killed and started anew.
    pub fn beat(&self) {
        if self.is_watchdog {
            tell(&[NotifyState::Watchdog]);
        }
    }

    /// The agent ends by itself, in order.
    pub fn stopping() {
        tell(&[NotifyState::Stopping]);
    }
}

/// Whoever does not listen misses nothing that the log does not say.
fn tell(states: &[NotifyState]) {
    if let Err(error) = sd_notify::notify(states) {
        complain(&error);
    }
}

fn complain(error: &std::io::Error) {
    warn!("the service manager cannot be told: {error}");
}

/// The state of all in a line.
fn summary(status: &Status) -> String {
    let configured = || status.servers.iter().filter(|server| !server.leaving);
    let usable = configured().filter(|server| server.takes_connections()).count();
    let servers = format!("{usable} of {} servers usable", configured().count());
    if status.mode.is_empty() {
        return format!("nothing is forwarded: {} is gone; {servers}", status.interface);
    }
    format!("forwarding on {} ({}); {servers}", status.interface, status.mode)
}
