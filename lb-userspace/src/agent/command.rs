//! What the operator asks for by the control socket.

use lb_common::ending::How;
use tracing::{info, warn};

use super::{Agent, Error};
use crate::dataplane::status::Admin;
use crate::health::Transition;
use crate::kind::Kind;
use crate::socket::{Command, Complaint, ServerChange};

/// What HAProxy says where nothing is checked.
const NO_CHECK: &str = "Health check was not configured on this server, cannot enable.";

/// Where health says nothing.
const IN_MAINTENANCE: &str =
    "The server is in maintenance, where it is neither UP nor DOWN; set it ready first.";
/// HAProxy has a health for every server.
const NO_HEALTH: &str = "Health check was not configured on this server, so it has no health to set.";

impl Agent {
    /// Does what is asked, or says what is wrong with it.
    pub(super) async fn obey(&mut self, command: Command) -> Result<(), Complaint> {
        let outcome = match &command {
            Command::Server { backend, name, change } => self.change_server(backend, name, *change),
            Command::Confirm => self.confirm().await,
            Command::Reload => self.reload().await.map_err(|error| not_reloaded(&error)),
        };
        outcome.inspect_err(|complaint| warn!("refused `{command}`: {complaint}"))
    }

    fn change_server(&mut self, backend: &str, name: &str, change: ServerChange) -> Result<(), Complaint> {
        let Some(server) = self.roster.find_mut(backend, name) else {
            return Err(Complaint::wrong(self.no_server(backend, name)));
        };
        let (number, was) = (server.number, server.admin);
        let has_checks = server.health.is_some();
        match change {
            ServerChange::Checks { on: true } if !has_checks => return Err(Complaint::wrong(NO_CHECK)),
            ServerChange::Health { .. } if !has_checks => return Err(Complaint::wrong(NO_HEALTH)),
            ServerChange::Health { .. } if was == Admin::Maint => {
                return Err(Complaint::wrong(IN_MAINTENANCE));
            }
            _ => {}
        }
        match change {
            ServerChange::State(admin) => server.admin = admin,
            ServerChange::Weight(weight) => server.runtime_weight = Some(weight.of(server.weight)),
            ServerChange::Checks { on } => server.checks_off = !on && has_checks,
            ServerChange::Health { .. } | ServerChange::EndSessions => {}
        }
        let weight = server.effective_weight();
        info!("server {backend}/{name}: {change}");
        let applied = match change {
            ServerChange::State(admin) => self.change_state(number, was, admin),
            ServerChange::Weight(_) => self.control.set_weight(number, weight).map_err(Error::from),
            ServerChange::Checks { .. } => {
                self.follow_health();
                Ok(())
            }
            ServerChange::Health { up } => self.set_health(number, up),
            ServerChange::EndSessions => self.end_connections(number, How::Killed),
        };
        let outcome = applied.and_then(|()| self.publish());
        outcome.map_err(|error| complaint(&error))
    }

    /// A server is UP or DOWN by the operator's word until its checks say otherwise.
    fn set_health(&mut self, number: u16, up: bool) -> Result<(), Error> {
        let Some(server) = self.roster.status().server(number) else { return Ok(()) };
        let was_up = server.is_up();
        self.roster.order_health(number, up);
        if let Some(checker) = &self.checker {
            checker.set(number.into(), up);
        }
        if was_up != up {
            self.start_slowly(number, if up { Transition::Up } else { Transition::Down })?;
        }
        Ok(self.control.set_up(number, up)?)
    }

    /// Does what follows from what the operator wants of a server.
    fn change_state(&mut self, number: u16, was: Admin, admin: Admin) -> Result<(), Error> {
        let begun = match (was, admin) {
            (Admin::Maint, Admin::Ready | Admin::Drain) => self.begin_anew(number),
            _ => Ok(()),
        };
        let applied = self.control.set_ready(number, admin == Admin::Ready);
        self.follow_health();
        if admin == Admin::Maint {
            self.want_end(number);
        }
        begun.and(applied.map_err(Error::from))
    }

    /// A server is back from its maintenance. What was known of it before is out of date: as with
    /// HAProxy it is UP, goes DOWN at the first failure, and gets its share bit by bit.
    fn begin_anew(&mut self, number: u16) -> Result<(), Error> {
        self.roster.forget_health(number);
        self.forget_evidence(number);
        self.start_slowly(number, Transition::Up)?;
        Ok(self.control.set_up(number, true)?)
    }

    fn no_server(&self, backend: &str, name: &str) -> String {
        let servers = self.roster.status().servers.iter().filter(|server| !server.leaving);
        let names: Vec<_> = servers.map(|server| format!("{}/{}", server.backend, server.name)).collect();
        format!("there is no server {backend}/{name}; there are: {}", names.join(", "))
    }
}

/// A failure, for whoever has asked.
pub(super) fn complaint(error: &Error) -> Complaint {
    Complaint { kind: error.kind(), text: error.to_string() }
}

/// The agent works in its environment: what does not fit that, or the running data plane, is the file.
fn not_reloaded(error: &Error) -> Complaint {
    let kind = match error.kind() {
        Kind::Environment => Kind::Wrong,
        kind => kind,
    };
    Complaint { kind, text: error.to_string() }
}
