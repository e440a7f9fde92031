//! From what is wanted to what is in the maps.
//!
//! Health, weight and next hop of a server come together in one thing only, the rings: a server
//! that new connections may go to is in them, another is not. Rings are written beside those in
//! force and switched by one store, so no packet sees half a change.
//!
//! Servers and frontends have numbers in the maps, which [`crate::numbering`] gives. What is wanted
//! names them by their place in a list; the maps never hear of places.

mod entries;
mod shares;

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddrV4};

use lb_common::admission::Limits;
use lb_common::frontend::{Frontend, MAX_FRONTENDS, RingRef, Timeouts};
use lb_common::index::HashKey;
use lb_common::net::{Mac, Port};
use lb_common::ring::{Ring, Share, ring_index};
use lb_common::server::{Cursor, MAX_SERVERS, Servers};
use lb_common::tcp::State;
use lb_common::time::Tick;

use crate::dataplane::Error;
use crate::dataplane::maps::Maps;
use crate::dataplane::object::Sizes;
use crate::dataplane::setup::SetupMemory;
use crate::numbering::{NoRoom, Numbers};

/// What the data plane is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The sizes that the maps were loaded with.
    pub sizes: Sizes,
    /// The interface's MAC address.
    pub mac: Mac,
    /// The interface's MTU in bytes.
    pub mtu: u32,
    /// Where clients connect to.
    pub frontends: Vec<WantedFrontend>,
    /// The servers of all backends.
    pub servers: Vec<WantedServer>,
}

/// A frontend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedFrontend {
    /// Where clients connect to.
    pub bind: SocketAddrV4,
    /// How long its connections live without a packet.
    pub timeouts: Timeouts,
    /// Who may open connections, and how many. The number of an allow list only counts where
    /// `allow` is empty.
    pub limits: Limits,
    /// The networks whose hosts may open connections, with the lengths of their prefixes; all may
    /// if it is empty.
    pub allow: Vec<(Ipv4Addr, u8)>,
    /// Its servers, by their places in [`Wanted::servers`].
    pub servers: Vec<u16>,
    /// Whether it uses all its servers when none is up.
    pub panic: bool,
}

/// A server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WantedServer {
    /// Where it listens.
    pub address: SocketAddrV4,
    /// Its share of new connections.
    pub weight: u32,
    /// How much of its share it gets.
    pub portion: Portion,
    /// Whether it is used only when no other can be.
    pub backup: bool,
    /// Whether its health allows new connections.
    pub up: bool,
    /// Whether the operator allows new connections.
    pub ready: bool,
    /// Its next hop; none while it is not known.
    pub next_hop: Option<Mac>,
}

/// How much of its share a server gets: all of it, or less while it starts slowly. In sixteenths,
/// which keeps rings short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Portion(u32);

impl Portion {
    /// All of it.
    pub const WHOLE: Self = Self(16);

    /// A fraction of it, between a sixteenth and the whole.
    #[must_use]
    pub fn of(fraction: f64) -> Self {
        let sixteenths = (fraction * f64::from(Self::WHOLE.0)).clamp(1.0, f64::from(Self::WHOLE.0));
        // In the range, so nothing is lost but the fraction of a sixteenth.
        #[expect(clippy::cast_sign_loss, reason = "it is at least one")]
        Self(sixteenths as u32)
    }

    /// How many percent of its share it gets; none if that is all of it.
    #[must_use]
    pub fn percent(self) -> Option<u32> {
        (self != Self::WHOLE).then_some(self.0 * 100 / Self::WHOLE.0)
    }
}

impl WantedServer {
    /// Its portion of its weight, in sixteenths; never nothing of something.
    const fn share(&self) -> u32 {
        self.weight * self.portion.0
    }
}

/// Keeps the maps as they are wanted.
pub struct Control {
    maps: Maps,
    wanted: Wanted,
    servers: Numbers,
    frontends: Numbers,
    /// By the number of the frontend.
    ring_switches: [u64; MAX_FRONTENDS as usize],
}

/// A change that the maps can take.
#[derive(Clone, Debug)]
pub struct Change {
    wanted: Wanted,
    servers: Numbers,
    frontends: Numbers,
}

/// The maps cannot take a change; nothing has been changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Too many servers, with those that are still leaving.
    #[error(
        "there is no room for {wanted} servers: the data plane has {room} places, and {leaving} removed \
         servers still have connections; try again when these have ended (`xlb connections` shows them)",
        wanted = .0.wanted, room = .0.room, leaving = .0.leaving
    )]
    Servers(NoRoom),
    /// Too many frontends, with those that are still leaving.
    #[error(
        "there is no room for {wanted} frontends: the data plane has {room} places, and {leaving} removed \
         frontends still have connections; try again when these have ended (`xlb connections` shows them)",
        wanted = .0.wanted, room = .0.room, leaving = .0.leaving
    )]
    Frontends(NoRoom),
    /// More servers than places that their addresses hash to.
    #[error("the address {0} collides with those of too many other servers; change its address or port")]
    Endpoint(SocketAddrV4),
}

/// Fresh maps cannot be filled.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// They have no room for what is wanted.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// They cannot be written.
    #[error(transparent)]
    Dataplane(#[from] Error),
}

/// The numbers that connections refer to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    servers: BTreeSet<u16>,
    frontends: BTreeSet<u16>,
}

impl Change {
    /// The numbers that all servers will have, also those that are leaving.
    #[must_use]
    pub fn servers(&self) -> &Numbers {
        &self.servers
    }

    /// The same of the frontends.
    #[must_use]
    pub fn frontends(&self) -> &Numbers {
        &self.frontends
    }
}

impl Control {
    /// Fills fresh maps, before the program is attached.
    pub fn new(mut maps: Maps, wanted: Wanted) -> Result<Self, StartError> {
        maps.setup.write(&*entries::empty(&wanted, random_key())?);
        let mut control = Self::adopt(maps, wanted.clone());
        let change = control.change(wanted)?;
        control.apply(change)?;
        Ok(control)
    }

    /// Takes over maps that a program may be working with, as they are. Their sizes are those wanted.
    #[must_use]
    pub fn adopt(maps: Maps, wanted: Wanted) -> Self {
        let setup = maps.setup.get();
        let (servers, frontends) = (entries::servers_of(setup), entries::frontends_of(setup));
        let ring_switches = [0; MAX_FRONTENDS as usize];
        Self { maps, wanted, servers, frontends, ring_switches }
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

    /// The maps, to change what is not wanted state: whatever the packet path does not go by.
    pub fn maps_mut(&mut self) -> &mut Maps {
        &mut self.maps
    }

    /// The servers' numbers, also of those that are leaving.
    #[must_use]
    pub fn servers(&self) -> &Numbers {
        &self.servers
    }

    /// The frontends' numbers, also of those that are leaving.
    #[must_use]
    pub fn frontends(&self) -> &Numbers {
        &self.frontends
    }

    /// A server's next hop as the maps have it.
    #[must_use]
    pub fn next_hop(&self, server: u16) -> Option<Mac> {
        let next_hop: Mac = self.maps.setup.get().server(server).next_hop.into();
        next_hop.is_unicast().then_some(next_hop)
    }

    /// How often another ring of a frontend has come into force, since this began to keep the maps or the
    /// number was given to it.
    #[must_use]
    pub fn ring_switches(&self, frontend: u16) -> u64 {
        self.ring_switches.get(usize::from(frontend)).copied().unwrap_or_default()
    }

    /// What has to be done so that the maps are as wanted, if they can be.
    ///
    /// Where the next hop of a server is not known that the maps know already, theirs stays.
    pub fn change(&self, mut wanted: Wanted) -> Result<Change, Refusal> {
        let room = wanted.sizes.max_servers.min(MAX_SERVERS) as u16;
        let servers = self.servers.assign(&addresses(&wanted), room).map_err(Refusal::Servers)?;
        let room = MAX_FRONTENDS as u16;
        let frontends = self.frontends.assign(&binds(&wanted), room).map_err(Refusal::Frontends)?;
        let mut endpoints = self.maps.setup.get().endpoints;
        for (number, address) in servers.iter() {
            if !endpoints.insert((*address.ip()).into(), Port::new(address.port()), number) {
                return Err(Refusal::Endpoint(address));
            }
        }
        for server in wanted.servers.iter_mut().filter(|server| server.next_hop.is_none()) {
            server.next_hop = self.servers.of(server.address).and_then(|number| self.next_hop(number));
        }
        Ok(Change { wanted, servers, frontends })
    }

    /// Does it. Servers come before what refers to them, and each frontend switches by one store.
    pub fn apply(&mut self, change: Change) -> Result<(), Error> {
        let Change { mut wanted, servers, frontends } = change;
        self.enter_allow_lists(&mut wanted)?;
        let new = |now: &Numbers, before: &Numbers| -> BTreeSet<u16> {
            now.iter().filter(|(_, owner)| before.of(*owner).is_none()).map(|(number, _)| number).collect()
        };
        let (new_servers, new_frontends) = (new(&servers, &self.servers), new(&frontends, &self.frontends));
        (self.wanted, self.servers, self.frontends) = (wanted, servers, frontends);
        self.maps.setup.set_interface(self.wanted.mac, entries::mss(self.wanted.mtu));
        for number in new_servers {
            self.enter_server(number)?;
        }
        for place in 0..self.wanted.frontends.len() {
            self.bring_up_to_date(place, &new_frontends)?;
        }
        for number in self.frontends.leaving(&binds(&self.wanted)).collect::<Vec<_>>() {
            self.maps.setup.set_draining(number, true);
        }
        Ok(())
    }

    /// A server went up or down.
    pub fn set_up(&mut self, server: u16, up: bool) -> Result<(), Error> {
        self.update(server, |wanted| wanted.up = up)
    }

    /// The operator allows a server new connections, or does not.
    pub fn set_ready(&mut self, server: u16, ready: bool) -> Result<(), Error> {
        self.update(server, |wanted| wanted.ready = ready)
    }

    /// A server has another share.
    pub fn set_weight(&mut self, server: u16, weight: u32) -> Result<(), Error> {
        self.update(server, |wanted| wanted.weight = weight)
    }

    /// A server gets another portion of its share.
    pub fn set_portion(&mut self, server: u16, portion: Portion) -> Result<(), Error> {
        self.update(server, |wanted| wanted.portion = portion)
    }

    /// A server's next hop was found or moved. Connections of one that is leaving follow it too.
    pub fn set_next_hop(&mut self, server: u16, next_hop: Option<Mac>) -> Result<(), Error> {
        self.maps.setup.set_next_hop(server, next_hop.unwrap_or_default());
        self.update(server, |wanted| wanted.next_hop = next_hop)
    }

    /// The interface has another MAC address or MTU.
    pub fn set_interface(&mut self, mac: Mac, mtu: u32) {
        (self.wanted.mac, self.wanted.mtu) = (mac, mtu);
        self.maps.setup.set_interface(mac, entries::mss(mtu));
    }

    /// The numbers that live connections refer to.
    pub fn held(&self, now: Tick) -> Result<Held, Error> {
        let mut held = Held::default();
        for view in self.maps.slots.windows(self.maps.slots.numbers()) {
            for (_, slot) in view?.used() {
                let frontend = slot.tuple.frontend();
                let timeouts = &self.maps.setup.get().frontend(frontend).timeouts;
                if slot.word().state() == State::Claimed || slot.word().is_live(slot.last_seen, now, timeouts)
                {
                    held.servers.insert(slot.server());
                    held.frontends.insert(frontend);
                }
            }
        }
        Ok(held)
    }

    /// Whether anything has left that still has a number.
    #[must_use]
    pub fn has_leaving(&self) -> bool {
        self.servers.leaving(&addresses(&self.wanted)).next().is_some()
            || self.frontends.leaving(&binds(&self.wanted)).next().is_some()
    }

    /// Gives back the numbers of those that have left and that no connection refers to, and tells how
    /// many that are.
    ///
    /// A packet that is under way may still have found one of them. So before such a number gets
    /// another owner, packets under way have to come to their end.
    pub fn sweep(&mut self, held: &Held) -> usize {
        let unheld = |number: &u16, held: &BTreeSet<u16>| !held.contains(number);
        let (binds, addresses) = (binds(&self.wanted), addresses(&self.wanted));
        let frontends = self.frontends.leaving(&binds);
        let frontends: Vec<_> = frontends.filter(|number| unheld(number, &held.frontends)).collect();
        let servers = self.servers.leaving(&addresses);
        let servers: Vec<_> = servers.filter(|number| unheld(number, &held.servers)).collect();
        for number in &frontends {
            entries::unlink(&mut self.maps.setup, *number);
            self.frontends.release(*number);
        }
        for number in &servers {
            let server = self.maps.setup.get().server(*number);
            if let Some(removal) = self.maps.setup.get().endpoints.removal(server.addr, server.port) {
                self.maps.setup.set_endpoint(removal);
            }
            self.servers.release(*number);
        }
        frontends.len() + servers.len()
    }

    /// The number of the server at a place of [`Wanted::servers`].
    fn server_at(&self, place: usize) -> u16 {
        // Every wanted server has been given a number before it is wanted here.
        self.servers.of(self.wanted.servers[place].address).unwrap_or_default()
    }

    fn frontend_at(&self, place: usize) -> u16 {
        self.frontends.of(self.wanted.frontends[place].bind).unwrap_or_default()
    }

    /// The place of a server in [`Wanted::servers`]; none of one that is leaving.
    fn place_of(&self, server: u16) -> Option<usize> {
        let address = self.servers.iter().find(|(number, _)| *number == server)?.1;
        self.wanted.servers.iter().position(|wanted| wanted.address == address)
    }

    /// Changes what is wanted of a server, and the rings that it belongs to.
    fn update(&mut self, server: u16, change: impl FnOnce(&mut WantedServer)) -> Result<(), Error> {
        let Some(place) = self.place_of(server) else { return Ok(()) };
        let before = self.wanted.servers[place];
        change(&mut self.wanted.servers[place]);
        if self.wanted.servers[place] == before {
            return Ok(());
        }
        for frontend in 0..self.wanted.frontends.len() {
            if self.wanted.frontends[frontend].servers.contains(&(place as u16)) {
                self.write_ring(frontend)?;
            }
        }
        Ok(())
    }

    /// Enters the allow lists beside those in force, which stay until the next change: a packet under
    /// way may be looking one up.
    fn enter_allow_lists(&mut self, wanted: &mut Wanted) -> Result<(), Error> {
        let in_force: Vec<_> =
            self.maps.setup.get().frontends.iter().map(|frontend| frontend.limits.allow).collect();
        self.maps.allow.retain(&in_force)?;
        for frontend in wanted.frontends.iter_mut().filter(|frontend| !frontend.allow.is_empty()) {
            let list = self.maps.allow.unused()?;
            for (network, bits) in &frontend.allow {
                self.maps.allow.insert(list, (*network).into(), *bits)?;
            }
            frontend.limits.allow = list;
        }
        Ok(())
    }

    /// Writes a new server under its number, and lets its packets find it.
    fn enter_server(&mut self, number: u16) -> Result<(), Error> {
        let Some(place) = self.place_of(number) else { return Ok(()) };
        let entry = entries::server(number, &self.wanted.servers[place], self.wanted.sizes);
        for frontend in 0..MAX_FRONTENDS as u16 {
            self.maps.clear_path(frontend, number)?;
        }
        self.maps.slot_cursors.set(u32::from(number), random_cursor())?;
        self.maps.setup.write_server(number, &entry);
        // `change` has seen that there is a place.
        if let Some(insertion) = self.maps.setup.get().endpoints.insertion(entry.addr, entry.port, number) {
            self.maps.setup.set_endpoint(insertion);
        }
        Ok(())
    }

    /// Writes a frontend as it is wanted; a new one is found by packets only when all of it is there.
    fn bring_up_to_date(&mut self, place: usize, new: &BTreeSet<u16>) -> Result<(), Error> {
        let number = self.frontend_at(place);
        let entry = entries::frontend(number, &self.wanted.frontends[place]);
        if new.contains(&number) {
            for server in 0..MAX_SERVERS as u16 {
                self.maps.clear_path(number, server)?;
            }
            self.maps.occupancy.clear(number);
            self.ring_switches[usize::from(number)] = 0;
            self.maps.setup.write_frontend(number, &entry);
            self.write_ring(place)?;
            entries::link(&mut self.maps.setup, number);
            return Ok(());
        }
        let Frontend { ring, usable, next, .. } = *self.maps.setup.get().frontend(number);
        self.maps.setup.write_frontend(number, &Frontend { ring, usable, next, ..entry });
        self.write_ring(place)
    }

    /// Writes the ring that is not in force and switches to it, if it is another one at all.
    fn write_ring(&mut self, place: usize) -> Result<(), Error> {
        let number = self.frontend_at(place);
        let mut ring = Ring::EMPTY;
        let shares = self.shares(place);
        let len = ring.fill(&shares);
        let in_force = self.maps.setup.get().frontend(number).ring;
        let buffer = match in_force.buffer() ^ 1 {
            // A program that has read an older length must not find the first server in every place.
            _ if len == 0 => in_force.buffer(),
            // The set beside it is written all the same: an agent may have ended between the two.
            _ if self.is_in_force(number, in_force, &ring, len)? => in_force.buffer(),
            other => {
                self.maps.rings.set(ring_index(u32::from(number), other), ring)?;
                other
            }
        };
        let usable = shares.iter().filter(|share| share.weight > 0);
        let usable = usable.fold(Servers::NONE, |servers, share| servers.and(share.server));
        let ring = RingRef::new(buffer, len);
        self.maps.setup.switch_ring(number, ring, usable);
        self.ring_switches[usize::from(number)] += u64::from(ring != in_force);
        Ok(())
    }

    fn is_in_force(&self, number: u16, in_force: RingRef, ring: &Ring, len: u32) -> Result<bool, Error> {
        if in_force.len() != len {
            return Ok(false);
        }
        let there = self.maps.rings.get(ring_index(u32::from(number), in_force.buffer()))?;
        Ok(there.servers == ring.servers)
    }

    /// What each server of a frontend gets of its new connections, by number.
    fn shares(&self, place: usize) -> Vec<Share> {
        let share =
            |(place, weight): (u16, u32)| Share { server: self.server_at(usize::from(place)), weight };
        shares::of(&self.wanted, place).into_iter().map(share).collect()
    }
}

/// Frontends that take no new connections, for as long as this is there: their SYNs pass to the host.
pub struct Closed {
    setup: SetupMemory,
    frontends: Vec<u16>,
}

impl Closed {
    /// Closes the frontends that are open.
    #[must_use]
    pub fn close(mut setup: SetupMemory) -> Self {
        let numbers = entries::frontends_of(setup.get());
        let numbers = numbers.iter().map(|(number, _)| number);
        let frontends: Vec<_> =
            numbers.filter(|number| setup.get().frontend(*number).draining == 0).collect();
        for number in &frontends {
            setup.set_draining(*number, true);
        }
        Self { setup, frontends }
    }

    /// Leaves them closed: the data plane has been taken down.
    pub fn for_good(mut self) {
        self.frontends.clear();
    }
}

impl Drop for Closed {
    fn drop(&mut self) {
        for number in &self.frontends {
            self.setup.set_draining(*number, false);
        }
    }
}

fn addresses(wanted: &Wanted) -> Vec<SocketAddrV4> {
    wanted.servers.iter().map(|server| server.address).collect()
}

fn binds(wanted: &Wanted) -> Vec<SocketAddrV4> {
    wanted.frontends.iter().map(|frontend| frontend.bind).collect()
}

fn random_key() -> HashKey {
    HashKey { mask: rand::random(), multipliers: [rand::random(), rand::random()] }
}

/// A random place to start among a server's slots, so that after a restart the first ports are not
/// again those that the server may hold in TIME_WAIT.
fn random_cursor() -> Cursor {
    Cursor { position: u64::from(rand::random::<u32>()), ..Cursor::default() }
}
