//! A changed configuration: all of it or nothing.

use std::time::{Duration, Instant};

use tracing::{info, warn};

use super::{Agent, Error, check_host, start, warn_of};
use crate::compatibility;
use crate::config::{Config, Loaded};
use crate::dataplane::status::Status;
use crate::neighbours::{self, Interface};
use crate::plan;
use crate::roster::Roster;
use crate::service_manager::ServiceManager;
use crate::web::Proof;

/// How long a packet may be under way through the program, with room to spare: after that, none has
/// a number in its hands that has been given back.
const UNDER_WAY: Duration = Duration::from_millis(50);

impl Agent {
    /// Reads the configuration again and applies what is different.
    ///
    /// Everything that can be wrong is found before anything is changed.
    pub(super) async fn reload(&mut self) -> Result<(), Error> {
        ServiceManager::reloading();
        let outcome = self.try_reload().await;
        self.manager.ready(self.roster.status());
        outcome
    }

    async fn try_reload(&mut self) -> Result<(), Error> {
        let loaded = Loaded::load(&self.options.config)?;
        warn_of(&self.options, &loaded);
        let setup = self.control.maps().setup.get();
        let mode = self.roster.mode();
        compatibility::check(&start::running(self.roster.status(), setup, mode), &loaded.config)?;
        let interface = Interface::lookup(&loaded.config.interface).await?;
        check_host(&loaded, &interface)?;
        let checks = plan::checks(&loaded.config)?;
        let proof = Proof::read(&loaded.config)?;
        let routes = loaded.config.servers().map(|(_, server)| *server.address.ip());
        neighbours::check_routes(&interface, routes).await?;
        self.free_expired()?;
        if self.sweep()? > 0 {
            tokio::time::sleep(UNDER_WAY).await;
        }
        if (loaded.config.host_clients, &loaded.config.cgroup)
            != (self.config.host_clients, &self.config.cgroup)
        {
            warn!("`host_clients` and `cgroup` take effect when the agent is started again");
        }
        if loaded.config.socket != self.config.socket {
            warn!("`socket` takes effect when the agent is started again");
        }
        let before = self.roster.status().clone();
        let mut wanted = plan::wanted(&loaded.config, &interface, &before);
        self.slow_starts.portion_out(&mut wanted.servers, Instant::now());
        let change = self.control.change(wanted)?;
        let roster = Roster::new(&loaded.config, &interface, (change.servers(), change.frontends()), &before);
        self.control.apply(change)?;
        (self.roster, self.config, self.checks) = (roster, loaded.config, checks);
        self.slow_starts.retain(&self.config);
        self.forget_notes();
        self.note_portions();
        self.follow_log();
        // It is in force: what fails now is said, and keeps nothing else from following it.
        let published = self.publish();
        self.follow_next_hops();
        self.follow_health();
        say_reloaded(&self.config, &before, self.roster.status());
        let served = self.follow_web(proof).await;
        published.and(self.attach_if_lost(&interface)).and(served)
    }

    /// Serves statistics and metrics where the configuration wants them now.
    async fn follow_web(&mut self, proof: Proof) -> Result<(), Error> {
        match &mut self.web {
            Some(web) => Ok(web.reload(&self.config, proof).await?),
            None => Ok(()),
        }
    }
}

/// Says what has come and what has gone.
fn say_reloaded(config: &Config, before: &Status, now: &Status) {
    let names = |status: &Status| -> Vec<String> {
        let frontends = status.frontends.iter().filter(|frontend| !frontend.leaving);
        let servers = status.servers.iter().filter(|server| !server.leaving);
        let frontends = frontends.map(|frontend| format!("frontend {}", frontend.name));
        frontends.chain(servers.map(|server| format!("{}/{}", server.backend, server.name))).collect()
    };
    let (before, now) = (names(before), names(now));
    let list = |these: &[String], others: &[String]| {
        let list: Vec<_> = these.iter().filter(|name| !others.contains(name)).cloned().collect();
        if list.is_empty() { "none".to_owned() } else { list.join(", ") }
    };
    info!(
        "configuration reloaded: {} frontends, {} servers; added: {}; removed: {}",
        config.frontends.len(),
        config.servers().count(),
        list(&now, &before),
        list(&before, &now),
    );
}
