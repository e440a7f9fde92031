//! From what is wanted to what is in the maps.
//!
//! Health, weight and next hop of a server come together in one thing only, the rings: a server
//! that new connections may go to is in them, another is not. Rings are written beside those in
//! force and switched by one store, so no packet sees half a change.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use lb_common::LAYOUT_VERSION;
use lb_common::admission::Limits;
use lb_common::frontend::{Frontend, Link, PortEntry, RingRef, Timeouts};
use lb_common::index::{HashKey, buckets_for};
use lb_common::net::{Mac, Port};
use lb_common::ring::{Ring, Share, ring_index};
use lb_common::server::{Cursor, Server, Servers};
use lb_common::settings::Settings;
use lb_common::setup::Setup;
use zerocopy::FromZeros;

use crate::clock;
use crate::dataplane::Error;
use crate::dataplane::maps::Maps;
use crate::dataplane::object::Sizes;

/// After so long without an answer, a SYN that comes again goes to another server: half of the time
/// after which a client sends it again at the earliest (RFC 6298 §2).
const REDISPATCH_AFTER: Duration = Duration::from_millis(500);

/// What the data plane is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The sizes that the maps were loaded with.
    pub sizes: Sizes,
    /// The interface's MAC address.
    pub mac: Mac,
    /// The interface's MTU in bytes.
    pub mtu: u32,
    /// Where clients connect to, by frontend number.
    pub frontends: Vec<WantedFrontend>,
    /// The servers of all backends, by server number.
    pub servers: Vec<WantedServer>,
}

/// A frontend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedFrontend {
    /// Where clients connect to.
    pub bind: SocketAddrV4,
    /// How long its connections live without a packet.
    pub timeouts: Timeouts,
    /// Who may open connections, and how many.
    pub limits: Limits,
    /// The numbers of its servers.
    pub servers: Vec<u16>,
}

/// A server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WantedServer {
    /// Where it listens.
    pub address: SocketAddrV4,
    /// The address of ours that its connections come from.
    pub nat_address: Ipv4Addr,
    /// Its share of new connections.
    pub weight: u32,
    /// Whether its health allows new connections.
    pub up: bool,
    /// Its next hop; none while it is not known.
    pub next_hop: Option<Mac>,
}

/// Keeps the maps as they are wanted.
pub struct Control {
    maps: Maps,
    wanted: Wanted,
}

impl Control {
    /// Fills fresh maps, before the program is attached.
    pub fn new(mut maps: Maps, wanted: Wanted) -> Result<Self, Error> {
        let setup = setup(&wanted, random_key())?;
        maps.setup.write(&setup);
        for server in 0..wanted.servers.len() {
            maps.slot_cursors.set(server as u32, random_cursor())?;
        }
        let mut control = Self { maps, wanted };
        for frontend in 0..control.wanted.frontends.len() {
            control.write_ring(frontend as u16)?;
        }
        Ok(control)
    }

    /// What the data plane is doing now.
    #[must_use]
    pub fn wanted(&self) -> &Wanted {
        &self.wanted
    }

    /// The maps.
    #[must_use]
    pub fn maps(&self) -> &Maps {
        &self.maps
    }

    /// A server went up or down.
    pub fn set_up(&mut self, server: u16, up: bool) -> Result<(), Error> {
        self.wanted.servers[usize::from(server)].up = up;
        self.write_rings_with(server)
    }

    /// A server's next hop was found or moved.
    pub fn set_next_hop(&mut self, server: u16, next_hop: Option<Mac>) -> Result<(), Error> {
        let wanted = &mut self.wanted.servers[usize::from(server)];
        let was_known = wanted.next_hop.is_some();
        wanted.next_hop = next_hop;
        self.maps.setup.set_next_hop(server, next_hop.unwrap_or_default());
        // Where the frames go is no matter of the rings, only whether they go anywhere.
        if was_known == next_hop.is_some() { Ok(()) } else { self.write_rings_with(server) }
    }

    fn write_rings_with(&mut self, server: u16) -> Result<(), Error> {
        for frontend in 0..self.wanted.frontends.len() {
            if self.wanted.frontends[frontend].servers.contains(&server) {
                self.write_ring(frontend as u16)?;
            }
        }
        Ok(())
    }

    /// Writes the ring that is not in force and switches to it.
    fn write_ring(&mut self, frontend: u16) -> Result<(), Error> {
        let mut ring = Ring::EMPTY;
        let len = ring.fill(&shares(&self.wanted, usize::from(frontend)));
        let buffer = self.maps.setup.get().frontend(frontend).ring.buffer() ^ 1;
        // An empty ring is never looked into, but by who has read an older length.
        if len > 0 {
            self.maps.rings.set(ring_index(u32::from(frontend), buffer), ring)?;
        }
        let usable = usable(&self.wanted, usize::from(frontend));
        self.maps.setup.switch_ring(frontend, RingRef::new(buffer, len), usable);
        Ok(())
    }
}

/// What each usable server of a frontend gets of its new connections.
fn shares(wanted: &Wanted, frontend: usize) -> Vec<Share> {
    let share = |number: &u16| {
        let server = &wanted.servers[usize::from(*number)];
        let usable = server.up && server.next_hop.is_some();
        Share { server: *number, weight: if usable { server.weight } else { 0 } }
    };
    wanted.frontends[frontend].servers.iter().map(share).collect()
}

/// The servers that have a share.
fn usable(wanted: &Wanted, frontend: usize) -> Servers {
    let shares = shares(wanted, frontend).into_iter().filter(|share| share.weight > 0);
    shares.fold(Servers::NONE, |servers, share| servers.and(share.server))
}

/// Everything that the program is told at the start; the rings are still empty.
fn setup(wanted: &Wanted, hash_key: HashKey) -> Result<Box<Setup>, Error> {
    let mut setup: Box<Setup> = Setup::new_box_zeroed().map_err(|_| Error::OutOfMemory)?;
    setup.settings = settings(wanted, hash_key);
    for (number, server) in (0u16..).zip(&wanted.servers) {
        let entry = server_entry(number, server, wanted.sizes);
        if !setup.endpoints.insert(entry.addr, entry.port, number) {
            return Err(Error::Endpoint(server.address));
        }
        setup.servers[usize::from(number)] = entry;
    }
    for offset in 0..wanted.sizes.nat_ports {
        *setup.port_mut(Port::new(wanted.sizes.nat_first + offset)) = PortEntry::NAT;
    }
    for (number, frontend) in (0u16..).zip(&wanted.frontends) {
        let port = setup.port_mut(Port::new(frontend.bind.port()));
        let next = port.first();
        *port = PortEntry::frontend(Link::to(number));
        setup.frontends[usize::from(number)] = Frontend {
            addr: (*frontend.bind.ip()).into(),
            port: Port::new(frontend.bind.port()),
            number,
            ring: RingRef::default(),
            timeouts: frontend.timeouts,
            next,
            draining: 0,
            limits: frontend.limits,
            usable: Servers::NONE,
        };
    }
    Ok(setup)
}

fn server_entry(number: u16, server: &WantedServer, sizes: Sizes) -> Server {
    Server {
        addr: (*server.address.ip()).into(),
        nat_addr: server.nat_address.into(),
        port: Port::new(server.address.port()),
        next_hop: server.next_hop.unwrap_or_default().into(),
        first_slot: u32::from(number) * u32::from(sizes.nat_ports),
        padding: 0,
    }
}

fn settings(wanted: &Wanted, hash_key: HashKey) -> Settings {
    /// The least that IPv4 and TCP headers take of a packet.
    const HEADERS: u32 = 40;
    Settings {
        mac: wanted.mac,
        mss: u16::try_from(wanted.mtu.saturating_sub(HEADERS)).unwrap_or(u16::MAX),
        nat_first: wanted.sizes.nat_first,
        nat_ports: wanted.sizes.nat_ports,
        buckets: buckets_for(wanted.sizes.slots()),
        hash_key,
        layout_version: LAYOUT_VERSION,
        max_servers: wanted.sizes.max_servers,
        redispatch_after: clock::jiffy().ticks(REDISPATCH_AFTER),
        padding: [0; 3],
    }
}

fn random_key() -> HashKey {
    HashKey { mask: rand::random(), multipliers: [rand::random(), rand::random()] }
}

/// A random place to start among a server's slots, so that after a restart the first ports are not
/// again those that the server may hold in TIME_WAIT.
fn random_cursor() -> Cursor {
    Cursor { position: u64::from(rand::random::<u32>()), ..Cursor::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted() -> Wanted {
        let server = |last, weight| WantedServer {
            address: SocketAddrV4::new(Ipv4Addr::new(198, 18, 0, last), 6443),
            nat_address: Ipv4Addr::new(198, 18, 0, 10),
            weight,
            up: true,
            next_hop: Some(Mac([2, 0, 0, 0, 0, last])),
        };
        let frontend = |last, port| WantedFrontend {
            bind: SocketAddrV4::new(Ipv4Addr::new(198, 18, 0, last), port),
            timeouts: Timeouts::default(),
            limits: Limits::default(),
            servers: vec![0, 1],
        };
        Wanted {
            sizes: Sizes { max_servers: 2, nat_first: 10_240, nat_ports: 4 },
            mac: Mac([2, 0, 0, 0, 0, 10]),
            mtu: 1500,
            frontends: vec![frontend(10, 6443), frontend(20, 6443), frontend(10, 443)],
            servers: vec![server(11, 1), server(15, 2)],
        }
    }

    #[test]
    fn only_usable_servers_have_a_share() {
        let mut wanted = wanted();
        assert_eq!(shares(&wanted, 0).iter().map(|s| s.weight).collect::<Vec<_>>(), [1, 2]);
        wanted.servers[0].up = false;
        wanted.servers[1].next_hop = None;
        assert_eq!(shares(&wanted, 0).iter().map(|s| s.weight).collect::<Vec<_>>(), [0, 0]);
    }

    #[test]
    fn frontends_of_one_port_are_linked() {
        let setup = setup(&wanted(), HashKey::default()).unwrap();
        let mut at_6443 = vec![];
        let mut link = setup.port(Port::new(6443)).first();
        while let Some(number) = link.number() {
            at_6443.push(number);
            link = setup.frontend(number).next;
        }
        assert_eq!(at_6443, [1, 0]);
        assert_eq!(setup.port(Port::new(443)).first().number(), Some(2));
        let nat: Vec<u16> =
            (0..=u16::MAX).filter(|port| setup.port(Port::new(*port)) == PortEntry::NAT).collect();
        assert_eq!(nat, [10_240, 10_241, 10_242, 10_243]);
    }

    #[test]
    fn servers_are_found_and_their_slots_do_not_overlap() {
        let wanted = wanted();
        let setup = setup(&wanted, HashKey::default()).unwrap();
        for (number, server) in (0u16..).zip(&wanted.servers) {
            let found = setup.endpoints.find((*server.address.ip()).into(), Port::new(6443));
            assert_eq!(found, Some(number));
            assert_eq!(setup.server(number).first_slot, u32::from(number) * 4);
        }
    }

    #[test]
    fn the_mss_fits_the_mtu() {
        assert_eq!(settings(&wanted(), HashKey::default()).mss, 1460);
    }
}
