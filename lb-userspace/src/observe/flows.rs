//! Everything about the connections of one client, those too that are over but not forgotten.

use std::time::Duration;

use lb_common::net::{Mac, MacWord, socket_addr};
use lb_common::ring::ring_index;
use lb_common::server::Servers;
use lb_common::slot::{Details, Slot};
use lb_common::syn::Owner;
use lb_common::tcp::{Direction, Fins, State};

use super::{Observer, state};
use crate::clock;
use crate::dataplane::Error;
use crate::stats::ClientFilter;
use crate::why::{Choice, Flow};

/// A slot and what belongs to it.
struct Held {
    number: u32,
    slot: Slot,
    details: Details,
}

impl Observer {
    /// The connections of these clients whose slots nobody else has taken; the latest first, and those that
    /// are over behind the others.
    pub fn flows(&self, clients: ClientFilter) -> Result<Vec<Flow>, Error> {
        let mut held = Vec::new();
        let is_wanted = |slot: &Slot| {
            let client = socket_addr(slot.tuple.addr(), slot.tuple.port());
            !matches!(slot.word().state(), State::Free | State::Claimed) && clients.contains(client)
        };
        for view in self.maps.slots.detailed_windows(self.maps.slots.numbers()) {
            let view = view?;
            let wanted = view.used().filter(|(_, slot)| is_wanted(slot));
            held.extend(
                wanted
                    .filter_map(|(number, slot)| Some(Held { number, slot, details: view.details(number)? })),
            );
        }
        let mut flows = Vec::new();
        for one in &held {
            flows.extend(self.flow(one, &held)?);
        }
        flows.sort_by_key(|flow| (!flow.is_live, flow.age));
        Ok(flows)
    }

    /// What there is to know of a connection; none if its frontend or server has no name any more.
    fn flow(&self, one: &Held, all: &[Held]) -> Result<Option<Flow>, Error> {
        let Held { number, slot, details } = one;
        let status = (self.status.frontend(slot.tuple.frontend()), self.status.server(slot.server()));
        let (Some(frontend), Some(server)) = status else { return Ok(None) };
        let word = slot.word();
        let (nat_addr, nat_port) = self.maps.setup.get().nat_endpoint(*number, slot.ends);
        let next_hop = self.server_setup(server.number).next_hop;
        let [to_server, to_client] = [Direction::ToServer as usize, Direction::ToClient as usize];
        let idle = clock::jiffy().duration(slot.last_seen.age(self.now_tick));
        Ok(Some(Flow {
            client: socket_addr(slot.tuple.addr(), slot.tuple.port()),
            frontend: frontend.name.clone(),
            bind: frontend.bind,
            backend: server.backend.clone(),
            server: server.name.clone(),
            server_address: server.address,
            server_state: state(server),
            nat: socket_addr(nat_addr, nat_port),
            client_mac: Mac::from(slot.ends.client_mac()).to_string(),
            server_mac: Some(next_hop).filter(MacWord::is_unicast).map(|mac| Mac::from(mac).to_string()),
            slot: *number,
            generation: word.generation(),
            state: word.state(),
            is_live: word.state() != State::Left && self.is_live(slot),
            client_closed: word.fins().has(Fins::CLIENT),
            server_closed: word.fins().has(Fins::SERVER),
            choice: self.choice(one, all)?,
            age: self.since(details.opened_at),
            idle,
            answered_after: answered_after(details),
            // What ends a connection is its last packet.
            closed: (!word.state().is_open()).then_some(idle),
            lives_for: self.lives_for(slot),
            redispatch_after: clock::jiffy().duration(self.maps.setup.get().settings.redispatch_after),
            packets_to_server: slot.packets(details, to_server),
            packets_to_client: slot.packets(details, to_client),
            bytes_to_server: slot.bytes[to_server],
            bytes_to_client: slot.bytes[to_client],
        }))
    }

    /// Why it went to its server, as far as the maps still tell.
    fn choice(&self, one: &Held, all: &[Held]) -> Result<Choice, Error> {
        let Held { number, slot, details } = one;
        let (frontend, server) = (slot.tuple.frontend(), slot.server());
        // The copy of its SYN knows it for as long as no other's takes its place, and the slots of the
        // attempts before it have the same beginning.
        let copy = self.maps.syn(Owner::new(*number, slot.word().generation()))?;
        let tried = copy.map_or(Servers::NONE, |copy| copy.tried);
        let is_earlier = |other: &&Held| {
            let ended = matches!(other.slot.word().state(), State::Abandoned | State::Closed);
            let (of_same, at_same) =
                (other.slot.tuple == slot.tuple, other.details.opened_at == details.opened_at);
            ended && of_same && at_same && other.number != *number && details.opened_at > 0
        };
        let is_ended = matches!(slot.word().state(), State::Abandoned | State::Closed);
        let earlier = all.iter().filter(is_earlier).filter(|_| !is_ended);
        let tried = earlier.fold(tried, |tried, other| tried.and(other.slot.server()));
        let tried = tried.without(Servers::NONE.and(server));
        let names = self.status.servers.iter().filter(|other| tried.contains(other.number));
        let (turns, turns_of_all, servers) = self.turns(frontend, server)?;
        Ok(Choice { tried: names.map(|other| other.name.clone()).collect(), turns, turns_of_all, servers })
    }

    /// How many turns a server has in the ring of a frontend that is in force, how many there are, and for how many
    /// servers.
    fn turns(&self, frontend: u16, server: u16) -> Result<(u32, u32, u32), Error> {
        let in_force = self.setup(frontend).ring;
        let ring = self.maps.rings.get(ring_index(u32::from(frontend), in_force.buffer()))?;
        let turns = ring.servers.iter().take(in_force.len() as usize);
        let own = turns.clone().filter(|turn| **turn == server).count() as u32;
        let servers = turns.fold(Servers::NONE, |servers, turn| servers.and(*turn));
        let count = self.status.servers.iter().filter(|other| servers.contains(other.number)).count();
        Ok((own, in_force.len(), count as u32))
    }

    /// How long the connection lives if no packet comes.
    fn lives_for(&self, slot: &Slot) -> Duration {
        let timeouts = &self.setup(slot.tuple.frontend()).timeouts;
        let (lifetime, age) = (timeouts.of(slot.word().state()), slot.last_seen.age(self.now_tick));
        clock::jiffy().duration(lifetime).saturating_sub(clock::jiffy().duration(age))
    }

    fn since(&self, nanos: u64) -> Duration {
        self.now.saturating_sub(Duration::from_nanos(nanos))
    }
}

fn answered_after(details: &Details) -> Option<Duration> {
    (details.answered_after > 0).then(|| Duration::from_micros(details.answered_after.into()))
}
