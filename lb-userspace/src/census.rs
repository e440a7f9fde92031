//! How many connections hold a slot, by server, frontend and state.

use std::collections::BTreeMap;

use lb_common::frontend::MAX_FRONTENDS;
use lb_common::server::MAX_SERVERS;
use lb_common::slot::Slot;
use lb_common::tcp::State;

/// More than any state's number.
const STATES: usize = 16;
const _: () = assert!((State::Left as usize) < STATES);

/// A count for each of them, in a plain table: a million slots are counted in the time that it takes to look at
/// them.
pub struct Census(Vec<u64>);

impl Default for Census {
    fn default() -> Self {
        Self(vec![0; MAX_SERVERS as usize * MAX_FRONTENDS as usize * STATES])
    }
}

impl Census {
    /// Counts a slot that is held.
    pub fn add(&mut self, slot: &Slot) {
        let state = slot.word().state();
        self.0[place(slot.server(), slot.tuple.frontend()) + state as usize] += 1;
    }

    /// How many there are of a frontend.
    #[must_use]
    pub fn of_frontend(&self, frontend: u16) -> u64 {
        let servers = 0..MAX_SERVERS as u16;
        servers.flat_map(|server| self.states(server, frontend)).sum()
    }

    /// How many of a frontend's have begun and not ended.
    #[must_use]
    pub fn open_of_frontend(&self, frontend: u16) -> u64 {
        (0..MAX_SERVERS as u16).map(|server| open(self.states(server, frontend))).sum()
    }

    /// How many of a server's have begun and not ended.
    #[must_use]
    pub fn open_of_server(&self, server: u16) -> u64 {
        (0..MAX_FRONTENDS as u16).map(|frontend| open(self.states(server, frontend))).sum()
    }

    /// How many there are of a server, by state; states without any are left out.
    #[must_use]
    pub fn of_server(&self, server: u16) -> BTreeMap<String, u64> {
        let mut states = BTreeMap::new();
        for frontend in 0..MAX_FRONTENDS as u16 {
            for (state, count) in (0..).zip(self.states(server, frontend)).filter(|(_, count)| **count > 0) {
                *states.entry(State::from_bits(state).name().to_owned()).or_default() += count;
            }
        }
        states
    }

    fn states(&self, server: u16, frontend: u16) -> &[u64] {
        &self.0[place(server, frontend)..][..STATES]
    }
}

/// How many are in a state between the first packet and the last.
fn open(states: &[u64]) -> u64 {
    let counted = (0..).zip(states).filter(|(state, _)| State::from_bits(*state).is_open());
    counted.map(|(_, count)| count).sum()
}

/// Where the states of a server and a frontend are; numbers that cannot be are taken for others.
const fn place(server: u16, frontend: u16) -> usize {
    let (server, frontend) = (server as u32 % MAX_SERVERS, frontend as u32 % MAX_FRONTENDS);
    (server * MAX_FRONTENDS + frontend) as usize * STATES
}

#[cfg(test)]
mod tests {
    use lb_common::index::Tuple;
    use lb_common::net::{Addr, MacWord, Port};
    use lb_common::slot::{Ends, Word};
    use lb_common::tcp::Fins;
    use zerocopy::FromZeros;

    use super::*;

    #[test]
    fn each_slot_counts_once_for_its_server_and_its_frontend() {
        let mut census = Census::default();
        let slots = [
            (0, 0, State::Established),
            (0, 15, State::Established),
            (0, 15, State::Reset),
            (63, 0, State::SynSent),
        ];
        for (server, frontend, state) in slots {
            let slot = Slot {
                word: Word(1 << 16).with(state, Fins::NONE).0,
                tuple: Tuple::new(Addr::default(), Port::default(), frontend),
                ends: Ends::new(MacWord::default(), server),
                ..Slot::new_zeroed()
            };
            census.add(&slot);
        }
        assert_eq!([0, 15, 1].map(|frontend| census.of_frontend(frontend)), [2, 2, 0]);
        let states = |server| census.of_server(server).into_iter().collect::<Vec<_>>();
        assert_eq!(states(0), [("ESTAB".to_owned(), 2), ("RESET".to_owned(), 1)]);
        assert_eq!(states(63), [("SYN-SENT".to_owned(), 1)]);
        assert_eq!(states(1), []);
        assert_eq!([0, 15, 1].map(|frontend| census.open_of_frontend(frontend)), [2, 1, 0]);
        assert_eq!([0, 63, 1].map(|server| census.open_of_server(server)), [2, 1, 0]);
    }
}
