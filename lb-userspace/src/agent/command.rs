//! What the operator asks for by the control socket.

use tracing::{info, warn};

use super::{Agent, Error};
use crate::dataplane::status::Admin;
use crate::socket::{Command, ServerChange};

impl Agent {
    /// Does what is asked, and returns what is wrong with it: nothing on success.
    pub(super) async fn obey(&mut self, command: Command) -> String {
        let outcome = match &command {
            Command::Server { backend, name, change } => self.change_server(backend, name, *change),
            Command::Reload => self.reload().await.map_err(|error| error.to_string()),
        };
        outcome.err().inspect(|problem| warn!("refused `{command}`: {problem}")).unwrap_or_default()
    }

    fn change_server(&mut self, backend: &str, name: &str, change: ServerChange) -> Result<(), String> {
        let Some(server) = self.roster.find_mut(backend, name) else {
            return Err(self.no_server(backend, name));
        };
        let number = server.number;
        match change {
            ServerChange::State(admin) => server.admin = admin,
            ServerChange::Weight(weight) => server.runtime_weight = Some(weight),
        }
        info!("server {backend}/{name}: {change}");
        let applied = match change {
            ServerChange::State(admin) => self.change_state(number, admin),
            ServerChange::Weight(weight) => self.control.set_weight(number, weight).map_err(Error::from),
        };
        applied.and_then(|()| self.publish()).map_err(|error| error.to_string())
    }

    /// Does what follows from what the operator wants of a server.
    fn change_state(&mut self, number: u16, admin: Admin) -> Result<(), Error> {
        let applied = self.control.set_ready(number, admin == Admin::Ready);
        self.follow_health();
        if admin == Admin::Maint {
            self.want_end(number);
        }
        Ok(applied?)
    }

    fn no_server(&self, backend: &str, name: &str) -> String {
        let servers = self.roster.status().servers.iter().filter(|server| !server.leaving);
        let names: Vec<_> = servers.map(|server| format!("{}/{}", server.backend, server.name)).collect();
        format!("there is no server {backend}/{name}; there are: {}", names.join(", "))
    }
}
