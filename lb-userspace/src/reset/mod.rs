//! Ends the connections of a server that is down, so that its clients notice at once.
//!
//! The program runs only when a packet comes, and an idle client sends none. So the agent sends the
//! first RST, from a raw socket, and marks the slot: whatever either side still sends is answered
//! by the program, with the very number that the sender expects.

mod segment;
mod socket;

use std::collections::BTreeMap;

use lb_common::ending::{Ending, How};
use lb_common::frontend::Frontend;
use lb_common::setup::Setup;
use lb_common::slot::Slot;
use lb_common::tcp::{Direction, Fins, Seq, State};
use lb_common::time::Tick;

use self::segment::Reset;
use self::socket::{RawSocket, Sender};
use crate::clock;
use crate::dataplane::Error;
use crate::dataplane::maps::Maps;
use crate::dataplane::slots::SlotStates;

/// Ends connections.
pub struct Resetter {
    /// Every client is told, at most once a connection; what waits is bounded by these.
    to_clients: Sender,
    /// What waits for a dead server's neighbour entry must not hold up clients.
    to_servers: RawSocket,
}

/// How many connections of a server were ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// Those that were reset.
    pub reset: u64,
    /// Attempts to connect that were given up: the client's next SYN goes to another server.
    pub given_up: u64,
}

impl Resetter {
    /// Opens raw sockets, in the network namespace of the calling thread; must be called in a tokio
    /// runtime.
    pub fn new() -> Result<Self, Error> {
        let to_clients = RawSocket::open().and_then(Sender::start).map_err(Error::RawSocket)?;
        let to_servers = RawSocket::open().map_err(Error::RawSocket)?;
        Ok(Self { to_clients, to_servers })
    }

    /// Ends all connections of a server, and tells of those that had begun; `now` is the data plane's time. What
    /// was ended before an error stays so, and its clients are told.
    pub fn end_all(
        &self,
        maps: &Maps,
        server: u16,
        now: Tick,
        how: How,
        mut tell: impl FnMut(Ending),
    ) -> (Ended, Result<(), Error>) {
        let setup = maps.setup.get();
        let mut ended = Ended::default();
        let mut to_clients = Vec::new();
        let mut windows = maps.slots.state_windows(setup.slots_of(server));
        let outcome = windows.try_for_each(|states| {
            let states = states?;
            for number in states.view().numbers() {
                let details = states.view().details(number);
                let Some(slot) = end(&states, setup, number, now) else { continue };
                if slot.word().state() == State::SynSent {
                    ended.given_up += 1;
                    continue;
                }
                if slot.word().state() == State::Established {
                    maps.occupancy.remove_one(slot.tuple.frontend());
                    if let Some(details) = details {
                        tell(Ending::of(&slot, &details, how, clock::monotonic().as_nanos() as u64));
                    }
                }
                ended.reset += 1;
                let [client, server] = resets(setup, number, &slot);
                to_clients.extend(client);
                // A dead server need not be told; one that lives is answered when it speaks.
                server.for_each(|reset| drop(self.to_servers.send(&reset)));
            }
            Ok(())
        });
        self.to_clients.send(in_turns(to_clients));
        (ended, outcome)
    }
}

/// Marks a live connection as ended, and returns it as it was.
fn end(states: &SlotStates, setup: &Setup, number: u32, now: Tick) -> Option<Slot> {
    // A packet that comes in between changes the state at most a few times.
    for _ in 0..8 {
        let slot = states.view().get(number)?;
        let word = slot.word();
        let state = match word.state() {
            State::Established | State::SynReceived => State::Reset,
            State::SynSent => State::Abandoned,
            _ => return None,
        };
        if !word.is_live(slot.last_seen, now, &setup.frontend(slot.tuple.frontend()).timeouts) {
            return None;
        }
        // From now on for as long as either side may still speak, however long both were silent.
        states.touch(number, now);
        if states.swap(number, word, word.with(state, Fins::NONE)) {
            return Some(slot);
        }
    }
    None
}

/// The packets that end a connection, to the client and to the server.
fn resets(setup: &Setup, number: u32, slot: &Slot) -> [impl Iterator<Item = Reset> + use<>; 2] {
    let [client, server] = slot.sides;
    let to_client = to_client(setup.frontend(slot.tuple.frontend()), slot);
    let to_server = to_server(setup, number, slot);
    let numbers = [(to_client, server.end, client.ack), (to_server, client.end, server.ack)];
    numbers.map(|(template, sent, acknowledged)| {
        expected(sent, acknowledged).map(move |seq| Reset { seq, ..template })
    })
}

/// The numbers that a receiver may expect next: that after all that was sent to it, or, if something
/// of that was lost, at least its own last acknowledgement, which makes it tell the number (RFC 5961
/// §3.2), and the program answers that.
fn expected(sent: Seq, acknowledged: Seq) -> impl Iterator<Item = Seq> {
    [Some(sent), (acknowledged != sent).then_some(acknowledged)].into_iter().flatten()
}

fn to_client(frontend: &Frontend, slot: &Slot) -> Reset {
    Reset {
        source: (frontend.addr, frontend.port),
        destination: (slot.tuple.addr(), slot.tuple.port()),
        seq: slot.sides[Direction::ToClient as usize].end,
    }
}

fn to_server(setup: &Setup, number: u32, slot: &Slot) -> Reset {
    let server = setup.server(slot.server());
    let source = setup.nat_endpoint(number, slot.ends);
    Reset { source, destination: (server.addr, server.port), seq: Seq(0) }
}

/// Has the receivers take turns: one that does not answer ARP then delays the others only by its turns.
fn in_turns(packets: Vec<Reset>) -> Vec<Reset> {
    let mut turns = BTreeMap::new();
    let mut numbered: Vec<_> = packets
        .into_iter()
        .map(|packet| {
            let turn = turns.entry(packet.receiver()).or_insert(0);
            *turn += 1;
            (*turn, packet)
        })
        .collect();
    numbered.sort_by_key(|(turn, _)| *turn);
    numbered.into_iter().map(|(_, packet)| packet).collect()
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use lb_common::net::Port;

    use super::*;

    #[test]
    fn receivers_take_turns() {
        let packet = |(host, seq)| Reset {
            source: (Ipv4Addr::new(198, 18, 0, 10).into(), Port::new(6443)),
            destination: (Ipv4Addr::new(198, 18, 0, host).into(), Port::new(40_000)),
            seq: Seq(seq),
        };
        let packets = [(101, 1), (101, 2), (101, 3), (102, 4), (103, 5), (102, 6)].map(packet);
        let expected = [(101, 1), (102, 4), (103, 5), (101, 2), (102, 6), (101, 3)].map(packet);
        assert_eq!(in_turns(packets.to_vec()), expected);
    }

    #[test]
    fn one_number_is_enough_when_nothing_is_under_way() {
        assert_eq!(expected(Seq(7), Seq(7)).collect::<Vec<_>>(), [Seq(7)]);
        assert_eq!(expected(Seq(9), Seq(7)).collect::<Vec<_>>(), [Seq(9), Seq(7)]);
    }
}
