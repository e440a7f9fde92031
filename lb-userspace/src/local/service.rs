//! What the agent does for clients on its own host.
//!
//! What fails is said and stops nothing: a balancer that serves all others is worth more.

use std::path::PathBuf;

use aya::Ebpf;
use tracing::{info, warn};

use super::programs::Link;
use super::{Destroyer, Error, cgroup, programs};
use crate::config::Config;
use crate::dataplane::attach::Stay;
use crate::dataplane::maps::Maps;
use crate::dataplane::pins::Pins;

/// Serves the clients on this host, as far as that is wanted and possible.
pub struct HostClients {
    is_wanted: bool,
    /// Where the programs are to be attached; none if they cannot be.
    cgroup: Option<PathBuf>,
    destroyer: Destroyer,
    /// What holds the programs while they are on trial.
    on_trial: Vec<Link>,
}

impl HostClients {
    /// Loads the programs if they are wanted. Comes before the maps are taken out of the object.
    pub fn prepare(config: &Config, ebpf: &mut Ebpf) -> Self {
        let cgroup = config.host_clients.then(|| find_and_load(config, ebpf));
        let cgroup = cgroup.and_then(|found| found.inspect_err(complain).ok());
        Self { is_wanted: config.host_clients, cgroup, destroyer: Destroyer::default(), on_trial: Vec::new() }
    }

    /// Attaches the programs, or takes off those of a former agent if none are wanted now. Those of a
    /// former agent stay where ours cannot be loaded.
    pub fn start(&mut self, ebpf: &mut Ebpf, pins: &Pins, stay: Stay) {
        let outcome = match &self.cgroup {
            None if self.is_wanted => return,
            None => programs::detach(pins),
            Some(cgroup) => programs::attach(ebpf, cgroup)
                .and_then(|links| match stay {
                    Stay::Pinned => programs::pin(links, pins),
                    Stay::OnTrial => {
                        self.on_trial = links;
                        Ok(())
                    }
                })
                .inspect(|()| info!("balancing clients on this host, in the cgroup {}", cgroup.display())),
        };
        let _ = outcome.inspect_err(complain);
    }

    /// Makes the programs stay that are on trial. After an error some of them may be pinned, and the others
    /// are off their cgroup.
    pub fn keep(&mut self, pins: &Pins) -> Result<(), Error> {
        programs::pin(std::mem::take(&mut self.on_trial), pins)
    }

    /// Takes them off their cgroup.
    pub fn let_go(&mut self) {
        self.on_trial.clear();
    }

    /// Ends the connections of this host's clients to a server, whose name is for the log.
    pub fn end_connections(&mut self, maps: &Maps, server: u16, name: &str) {
        match self.destroyer.destroy(maps, server) {
            Ok(0) => {}
            Ok(count) => info!("{name}: ended {count} connections of clients on this host"),
            Err(error) => warn!("{name}: {error}"),
        }
    }
}

fn find_and_load(config: &Config, ebpf: &mut Ebpf) -> Result<PathBuf, Error> {
    let cgroup = config.cgroup.clone().or_else(cgroup::mount_point).ok_or(Error::NoCgroup)?;
    programs::load(ebpf)?;
    Ok(cgroup)
}

fn complain(error: &Error) {
    warn!("clients on this host are not balanced: {error}");
}
