//! What the agent does for clients on its own host.
//!
//! What fails is said and stops nothing: a balancer that serves all others is worth more.

use std::path::PathBuf;

use aya::Ebpf;
use tracing::{info, warn};

use super::{Destroyer, Error, cgroup, programs};
use crate::config::Config;
use crate::dataplane::maps::Maps;
use crate::dataplane::pins::Pins;

/// Serves the clients on this host, as far as that is wanted and possible.
pub struct HostClients {
    is_wanted: bool,
    /// Where the programs are to be attached; none if they cannot be.
    cgroup: Option<PathBuf>,
    destroyer: Destroyer,
}

impl HostClients {
    /// Loads the programs if they are wanted. Comes before the maps are taken out of the object.
    pub fn prepare(config: &Config, ebpf: &mut Ebpf) -> Self {
        let cgroup = config.host_clients.then(|| find_and_load(config, ebpf));
        let cgroup = cgroup.and_then(|found| found.inspect_err(complain).ok());
        Self { is_wanted: config.host_clients, cgroup, destroyer: Destroyer::default() }
    }

    /// Attaches the programs, or takes off those of a former agent if none are wanted now. Those of a
    /// former agent stay where ours cannot be loaded.
    pub fn start(&self, ebpf: &mut Ebpf, pins: &Pins) {
        let outcome = match &self.cgroup {
            None if self.is_wanted => return,
            None => programs::detach(pins),
            Some(cgroup) => programs::attach(ebpf, pins, cgroup).inspect(|()| {
                info!("balancing clients on this host, in the cgroup {}", cgroup.display());
            }),
        };
        let _ = outcome.inspect_err(complain);
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
