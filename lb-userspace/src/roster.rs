//! What the agent knows of its frontends and servers by name, kept for the CLI.

use crate::clock;
use crate::config::Config;
use crate::dataplane::attach::Mode;
use crate::dataplane::status::{CheckStatus, FrontendStatus, HealthStatus, ServerStatus, Status};
use crate::health::{CheckResult, Health};
use crate::neighbours::Interface;
use crate::process;

/// The status that the agent publishes.
pub struct Roster {
    status: Status,
}

impl Roster {
    /// The names of a configuration; nothing is known of the servers' health.
    #[must_use]
    pub fn new(config: &Config, interface: &Interface) -> Self {
        let frontends = config.frontends.iter().map(|frontend| FrontendStatus {
            name: frontend.name.clone(),
            backend: config.backend_of(frontend).name.clone(),
        });
        let servers = config.servers().map(|(backend, server)| ServerStatus {
            backend: backend.name.clone(),
            name: server.name.clone(),
            weight: server.weight,
            health: backend.check.is_some().then(|| HealthStatus {
                up: true,
                text: "UP".to_owned(),
                changed_at: clock::monotonic().as_millis() as u64,
                check: None,
            }),
        });
        let (pid, started) = process::own();
        let status = Status {
            pid,
            started,
            interface: interface.name.clone(),
            mode: String::new(),
            frontends: frontends.collect(),
            servers: servers.collect(),
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
    pub fn server_name(&self, number: usize) -> String {
        let server = &self.status.servers[number];
        format!("{}/{}", server.backend, server.name)
    }

    /// The program was attached.
    pub fn set_mode(&mut self, mode: Mode) {
        self.status.mode = mode.to_string();
    }

    /// A server was checked.
    pub fn set_health(&mut self, server: usize, health: &Health) {
        self.status.servers[server].health = Some(HealthStatus {
            up: health.is_up(),
            text: health.to_string(),
            changed_at: clock::millis(health.changed_at()),
            check: health.last_check().map(check_status),
        });
    }

    /// How many servers of a backend may be used.
    #[must_use]
    pub fn usable_in(&self, backend: &str) -> usize {
        let of_backend = self.status.servers.iter().filter(|server| server.backend == backend);
        of_backend.filter(|server| server.health.as_ref().is_none_or(|health| health.up)).count()
    }
}

fn check_status(result: &CheckResult) -> CheckStatus {
    CheckStatus {
        code: result.status.code().to_owned(),
        description: result.status.description().to_owned(),
        info: result.status.info().map(str::to_owned),
        duration: result.duration.as_millis() as u64,
        at: clock::millis(result.at),
    }
}
