//! What the agent knows of its frontends and servers by name, kept for the CLI and for the next agent.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::SocketAddrV4;
use std::time::Instant;

use crate::clock;
use crate::config::Config;
use crate::dataplane::attach::{Attached, Mode};
use crate::dataplane::status::{CheckStatus, FrontendStatus, HealthStatus, ServerStatus, Status};
use crate::health::{CheckResult, Health};
use crate::neighbours::Interface;
use crate::numbering::Numbers;
use crate::plan::Inherited;
use crate::process;

/// How many servers of each backend may be used, by its name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usable(BTreeMap<String, usize>);

impl Usable {
    /// The backends that have no server any more, and had one before.
    pub fn lost_all<'u>(&'u self, before: &'u Self) -> impl Iterator<Item = &'u str> {
        let had_one = |backend: &str| before.0.get(backend).is_some_and(|count| *count > 0);
        let lost = self.0.iter().filter(move |(backend, count)| **count == 0 && had_one(backend));
        lost.map(|(backend, _)| backend.as_str())
    }
}

/// The status that the agent publishes.
pub struct Roster {
    status: Status,
}

impl Roster {
    /// The names of a configuration, with what was known of the same servers before, and those that
    /// have left it and still have a number.
    #[must_use]
    pub fn new(
        config: &Config,
        interface: &Interface,
        (servers, frontends): (&Numbers, &Numbers),
        before: &Status,
    ) -> Self {
        let (pid, started) = process::own();
        let status = Status {
            pid,
            started,
            interface: interface.name.clone(),
            mode: before.mode.clone(),
            mode_reason: before.mode_reason.clone(),
            confirm_by: before.confirm_by,
            frontends: frontend_statuses(config, frontends, before),
            servers: server_statuses(config, servers, before),
        };
        Self { status }
    }

    /// All of it.
    #[must_use]
    pub fn status(&self) -> &Status {
        &self.status
    }

    /// A server as `backend/name`.
    #[must_use]
    pub fn server_name(&self, number: u16) -> String {
        self.status.server(number).map_or_else(
            || format!("server {number}"),
            |server| format!("{}/{}", server.backend, server.name),
        )
    }

    /// A configured server by backend and name.
    pub fn find_mut(&mut self, backend: &str, name: &str) -> Option<&mut ServerStatus> {
        let mut configured = self.status.servers.iter_mut().filter(|server| !server.leaving);
        configured.find(|server| server.backend == backend && server.name == name)
    }

    /// How the program is attached, if it is.
    #[must_use]
    pub fn mode(&self) -> Option<Mode> {
        Mode::named(&self.status.mode)
    }

    /// The program was attached.
    pub fn set_attached(&mut self, attached: &Attached) {
        self.status.mode = attached.mode.to_string();
        self.status.mode_reason.clone_from(&attached.reason);
    }

    /// Until when the start has to be confirmed, in ms of `CLOCK_MONOTONIC`.
    pub fn set_confirm_by(&mut self, time: Option<u64>) {
        self.status.confirm_by = time;
    }

    /// The program is not attached any more, because its interface is gone. Why it was attached so is
    /// kept for the case that it has only had another name for a while.
    pub fn set_detached(&mut self) {
        self.status.mode.clear();
    }

    /// The program was attached all the time, or is again, as it was.
    pub fn set_mode(&mut self, mode: Mode) {
        self.status.mode = mode.to_string();
    }

    /// A server was checked.
    pub fn set_health(&mut self, number: u16, health: &Health) {
        if let Some(server) = self.server_mut(number) {
            let now = HealthStatus {
                up: health.is_up(),
                text: health.to_string(),
                changed_at: clock::millis(health.changed_at()),
                check: health.last_check().map(check_status),
                certificate_expires: health.certificate_expires().map(clock::unix_seconds),
                standing: health.standing(),
            };
            if let Some(before) = &server.health {
                let failed = |check: &CheckResult| check.status.is_of_check() && !check.passed();
                server.history.follow(before, &now, health.last_check().is_some_and(failed));
            }
            server.health = Some(now);
        }
    }

    /// A server that is checked is to be taken for one that was not checked yet.
    pub fn forget_health(&mut self, number: u16) {
        if let Some(server) = self.server_mut(number)
            && let Some(before) = &server.health
        {
            let now = unchecked();
            server.history.follow(before, &now, false);
            server.health = Some(now);
        }
    }

    /// The operator says whether a server that has checks is UP: as far from the other as it can be.
    pub fn order_health(&mut self, number: u16, up: bool) {
        let now = clock::monotonic().as_millis() as u64;
        let Some(server) = self.server_mut(number) else { return };
        let Some(before) = server.health.clone() else { return };
        let changed_at = if before.up == up { before.changed_at } else { now };
        let text = if up { "UP" } else { "DOWN" }.to_owned();
        let standing = before.standing.at_the_end(up);
        let ordered = HealthStatus { up, text, changed_at, standing, ..before.clone() };
        server.history.follow(&before, &ordered, false);
        server.health = Some(ordered);
    }

    /// A server has come back at this time, or is gone.
    pub fn set_came_back(&mut self, number: u16, at: Option<Instant>) {
        if let Some(server) = self.server_mut(number) {
            server.came_back_at = at.map(clock::millis);
        }
    }

    /// Forgets those that have left and have no number any more.
    pub fn retain(&mut self, servers: &Numbers, frontends: &Numbers) {
        self.status.servers.retain(|server| servers.of(server.address).is_some());
        self.status.frontends.retain(|frontend| frontends.of(frontend.bind).is_some());
    }

    fn server_mut(&mut self, number: u16) -> Option<&mut ServerStatus> {
        self.status.servers.iter_mut().find(|server| server.number == number)
    }

    /// How many servers of each backend may be used.
    #[must_use]
    pub fn usable(&self) -> Usable {
        let mut usable = BTreeMap::new();
        for server in self.status.servers.iter().filter(|server| !server.leaving) {
            *usable.entry(server.backend.clone()).or_default() += usize::from(server.takes_connections());
        }
        Usable(usable)
    }

    /// How many active and how many backup servers of a backend may be used.
    #[must_use]
    pub fn usable_in(&self, backend: &str) -> (usize, usize) {
        let of_backend = self.status.servers.iter().filter(|server| server.backend == backend);
        let usable = of_backend.filter(|server| server.takes_connections());
        let (backup, active): (Vec<_>, Vec<_>) = usable.partition(|server| server.backup);
        (active.len(), backup.len())
    }
}

fn frontend_statuses(config: &Config, numbers: &Numbers, before: &Status) -> Vec<FrontendStatus> {
    let mut statuses: Vec<_> = config
        .frontends
        .iter()
        .filter_map(|frontend| {
            Some(FrontendStatus {
                number: numbers.of(frontend.bind)?,
                bind: frontend.bind,
                name: frontend.name.clone(),
                backend: config.backend_of(frontend).name.clone(),
                leaving: false,
            })
        })
        .collect();
    let binds: Vec<SocketAddrV4> = config.frontends.iter().map(|frontend| frontend.bind).collect();
    for number in numbers.leaving(&binds) {
        let known = before.frontends.iter().find(|frontend| numbers.of(frontend.bind) == Some(number));
        statuses.extend(known.map(|known| FrontendStatus { number, leaving: true, ..known.clone() }));
    }
    statuses
}

fn server_statuses(config: &Config, numbers: &Numbers, before: &Status) -> Vec<ServerStatus> {
    let mut statuses: Vec<_> = config
        .servers()
        .filter_map(|(backend, server)| {
            let Inherited { admin, checks_off, runtime_weight, health, came_back_at, history } =
                Inherited::of(backend, server, before);
            Some(ServerStatus {
                number: numbers.of(server.address)?,
                address: server.address,
                backend: backend.name.clone(),
                name: server.name.clone(),
                weight: server.weight,
                runtime_weight,
                admin,
                checks_off,
                backup: server.backup,
                leaving: false,
                came_back_at,
                history,
                health: backend.check.is_some().then(|| health.cloned().unwrap_or_else(unchecked)),
            })
        })
        .collect();
    let addresses: Vec<SocketAddrV4> = config.servers().map(|(_, server)| server.address).collect();
    for number in numbers.leaving(&addresses) {
        let known = before.servers.iter().find(|server| numbers.of(server.address) == Some(number));
        statuses.extend(known.map(|known| ServerStatus { number, leaving: true, ..known.clone() }));
    }
    statuses
}

/// The health of a server before its first check.
fn unchecked() -> HealthStatus {
    let changed_at = clock::monotonic().as_millis() as u64;
    HealthStatus { up: true, text: "UP".to_owned(), changed_at, ..HealthStatus::default() }
}

fn check_status(result: &CheckResult) -> CheckStatus {
    CheckStatus {
        code: result.status.name().to_owned(),
        description: result.status.description().to_owned(),
        answer: result.status.code(),
        info: result.status.info().map(Cow::into_owned),
        duration: result.duration.as_millis() as u64,
        at: clock::millis(result.at),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_had_a_server_can_lose_the_last() {
        let usable = |counts: &[(&str, usize)]| {
            Usable(counts.iter().map(|(backend, count)| ((*backend).to_owned(), *count)).collect())
        };
        let before = usable(&[("loses", 2), ("keeps", 2), ("never-had-one", 0), ("is-removed", 1)]);
        let after = usable(&[("loses", 0), ("keeps", 1), ("never-had-one", 0), ("is-new", 0)]);
        assert_eq!(after.lost_all(&before).collect::<Vec<_>>(), ["loses"]);
        assert_eq!(after.lost_all(&after).count(), 0, "it is said once");
        assert_eq!(before.lost_all(&after).count(), 0);
    }
}
