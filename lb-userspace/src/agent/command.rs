//! What the operator asks for by the control socket.

use tracing::{info, warn};

use super::{Agent, Error};
use crate::dataplane::status::Admin;
use crate::kind::Kind;
use crate::socket::{Command, Complaint, ServerChange};

impl Agent {
    /// Does what is asked, or says what is wrong with it.
    pub(super) async fn obey(&mut self, command: Command) -> Result<(), Complaint> {
        let outcome = match &command {
            Command::Server { backend, name, change } => self.change_server(backend, name, *change),
            Command::Reload => self.reload().await.map_err(|error| not_reloaded(&error)),
        };
        outcome.inspect_err(|complaint| warn!("refused `{command}`: {complaint}"))
    }

    fn change_server(&mut self, backend: &str, name: &str, change: ServerChange) -> Result<(), Complaint> {
        let Some(server) = self.roster.find_mut(backend, name) else {
            return Err(Complaint::wrong(self.no_server(backend, name)));
        };
        let number = server.number;
        let was = server.admin;
        match change {
            ServerChange::State(admin) => server.admin = admin,
            ServerChange::Weight(weight) => server.runtime_weight = Some(weight),
        }
        info!("server {backend}/{name}: {change}");
        let applied = match change {
            ServerChange::State(admin) => self.control.set_ready(number, admin == Admin::Ready),
            ServerChange::Weight(weight) => self.control.set_weight(number, weight),
        };
        let applied = applied.map_err(Error::from).and_then(|()| self.publish());
        let checked = |admin| admin != Admin::Maint;
        if let ServerChange::State(admin) = change
            && checked(was) != checked(admin)
        {
            self.follow_health();
        }
        applied.map_err(|error| Complaint { kind: error.kind(), text: error.to_string() })
    }

    fn no_server(&self, backend: &str, name: &str) -> String {
        let servers = self.roster.status().servers.iter().filter(|server| !server.leaving);
        let names: Vec<_> = servers.map(|server| format!("{}/{}", server.backend, server.name)).collect();
        format!("there is no server {backend}/{name}; there are: {}", names.join(", "))
    }
}

/// The agent works in its environment: what does not fit that, or the running data plane, is the file.
fn not_reloaded(error: &Error) -> Complaint {
    let kind = match error.kind() {
        Kind::Environment => Kind::Wrong,
        kind => kind,
    };
    Complaint { kind, text: error.to_string() }
}
