//! What would become of a new connection.

use std::net::Ipv4Addr;

use lb_common::admission::Source;
use lb_common::net::{Addr, MacWord};
use lb_common::ring::ring_index;

use super::Observer;
use crate::dataplane::Error;
use crate::dataplane::status::FrontendStatus;
use crate::why::{Facts, Prospect, fate};

impl Observer {
    /// What would become of a SYN from a client to each frontend, now.
    pub fn prospects(&self, client: Ipv4Addr) -> Result<Vec<Prospect>, Error> {
        let frontends = self.status.frontends.iter();
        frontends.map(|frontend| self.prospect(frontend, client.into())).collect()
    }

    /// Whether an address is one of this host's own that we know.
    #[must_use]
    pub fn is_own(&self, client: Ipv4Addr) -> bool {
        let nat_addrs = &self.maps.setup.get().settings.nat_addrs;
        nat_addrs.iter().any(|addr| addr == client.into())
            || self.status.frontends.iter().any(|frontend| *frontend.bind.ip() == client)
    }

    fn prospect(&self, status: &FrontendStatus, client: Addr) -> Result<Prospect, Error> {
        let frontend = self.setup(status.number);
        let limits = frontend.limits;
        let source = Source { addr: client, frontend: u32::from(status.number) };
        let next = self.next_server(status.number)?;
        let facts = Facts {
            client,
            draining: frontend.draining != 0,
            limits,
            is_allowed: limits.allow.0 == 0 || self.maps.allow.contains(limits.allow, client)?,
            established: self.maps.occupancy.get(status.number),
            due: self.maps.sources.due(source)?,
            now: self.now.as_nanos() as u64,
            next_hop: next.map(|server| self.server_setup(server).next_hop).filter(MacWord::is_unicast),
            has_server: next.is_some(),
        };
        Ok(Prospect {
            frontend: status.name.clone(),
            bind: status.bind,
            fate: fate(&facts),
            established: facts.established,
            max_connections: (limits.max_connections > 0).then_some(limits.max_connections),
            server: next.and_then(|server| self.status.server(server)).map(|server| server.name.clone()),
        })
    }

    /// The server whose turn it is at a frontend; none if none is usable.
    fn next_server(&self, frontend: u16) -> Result<Option<u16>, Error> {
        let in_force = self.setup(frontend).ring;
        if in_force.is_empty() {
            return Ok(None);
        }
        let ring = self.maps.rings.get(ring_index(u32::from(frontend), in_force.buffer()))?;
        let turn = self.maps.ring_cursors.get(u32::from(frontend))?.position;
        let place = turn.checked_rem(u64::from(in_force.len())).unwrap_or_default();
        Ok(ring.servers.get(place as usize).copied())
    }
}
