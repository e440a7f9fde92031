//! What addresses are called, and which slot is at which NAT port.

use std::net::SocketAddrV4;

use lb_common::nat::NatAddrs;
use lb_common::net::socket_addr;
use lb_common::setup::Setup;
use lb_common::trace::Record;

use crate::dataplane::status::Status;

/// The servers by address.
#[derive(Clone, Debug, Default)]
pub struct Names {
    servers: Vec<Server>,
    nat_addrs: NatAddrs,
    nat_first: u16,
    nat_ports: u16,
}

#[derive(Clone, Debug)]
struct Server {
    address: SocketAddrV4,
    name: String,
    first_slot: u32,
}

/// A connection's server and slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The server, as `backend/name`.
    pub server: String,
    /// The slot's number.
    pub slot: u32,
}

impl Names {
    /// Those of a data plane.
    #[must_use]
    pub fn new(status: &Status, setup: &Setup) -> Self {
        let servers = status.servers.iter().map(|server| Server {
            address: server.address,
            name: format!("{}/{}", server.backend, server.name),
            first_slot: setup.server(server.number).first_slot,
        });
        let settings = &setup.settings;
        Self {
            servers: servers.collect(),
            nat_addrs: settings.nat_addrs,
            nat_first: settings.nat_first,
            nat_ports: settings.nat_ports,
        }
    }

    /// The connection that a packet belongs to: one that left has a server at one side and our NAT address and
    /// port at the other, and so has one that came from a server.
    #[must_use]
    pub fn place(&self, record: &Record) -> Option<Place> {
        let [source, destination, left_source, left_destination] =
            record.ends().map(|end| socket_addr(end.addr, end.port));
        self.at(source, destination).or_else(|| self.at(left_destination, left_source))
    }

    fn at(&self, server: SocketAddrV4, nat: SocketAddrV4) -> Option<Place> {
        let server = self.servers.iter().find(|known| known.address == server)?;
        let number = self.nat_addrs.find((*nat.ip()).into(), 0)?;
        let port = nat.port().checked_sub(self.nat_first).filter(|port| *port < self.nat_ports)?;
        let slot = server.first_slot + u32::from(number) * u32::from(self.nat_ports) + u32::from(port);
        Some(Place { server: server.name.clone(), slot })
    }

    /// One server, for tests: `k8s/fenn` at 198.18.0.15:6443, with NAT ports from 10240 of 198.18.0.10.
    #[cfg(test)]
    pub(super) fn example() -> Self {
        use std::net::Ipv4Addr;
        let server = Server {
            address: SocketAddrV4::new(Ipv4Addr::new(198, 18, 0, 15), 6443),
            name: "k8s/fenn".into(),
            first_slot: 1_000,
        };
        let nat_addrs = NatAddrs::one(Ipv4Addr::new(198, 18, 0, 10).into());
        Self { servers: vec![server], nat_addrs, nat_first: 10_240, nat_ports: 100 }
    }
}
