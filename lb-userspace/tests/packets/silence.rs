//! A server does not answer: a client's SYN that comes again goes to another one.

use std::collections::HashSet;

use lb_common::index::BUCKET_ENTRIES;
use lb_common::reason::Reason;
use lb_common::syn::MAX_OFFERS;
use lb_common::tcp::{Flags, State};
use lb_common::time::Ticks;

use crate::connection::{Connection, SYN_ACK, syn};
use crate::rig::{A_WHILE, CLIENT, Out, REDISPATCH_AFTER, Rig, TIMEOUTS};

/// The client sends its SYN again after so long; where it goes.
fn again(rig: &Rig, after: Ticks) -> Connection {
    rig.age(CLIENT.socket, after);
    Connection::open(rig, CLIENT)
}

/// A connection whose SYN has gone to another server.
pub fn abandoned(rig: &Rig) -> Connection {
    let first = Connection::open(rig, CLIENT);
    again(rig, REDISPATCH_AFTER);
    assert_eq!(first.state(rig), State::Abandoned);
    first
}

#[test]
fn another_server_gets_the_next_syn() {
    let rig = Rig::new();
    let first = Connection::open(&rig, CLIENT);
    let mut second = again(&rig, REDISPATCH_AFTER);
    assert_ne!(second.server, first.server);
    assert_eq!((first.state(&rig), second.state(&rig)), (State::Abandoned, State::SynSent));
    let path = |connection: &Connection| rig.path(0, connection.server);
    assert_eq!((path(&first).redispatched, path(&first).refused, path(&first).packets), (1, 0, [1, 0]));
    assert_eq!(
        (path(&second).redispatched, path(&second).connections, path(&second).packets),
        (0, 1, [1, 0])
    );
    second.server_sends(&rig, SYN_ACK, b"");
    second.client_sends(&rig, Flags::ACK, b"");
    second.works(&rig);
}

#[test]
fn a_syn_that_comes_again_too_soon_goes_to_the_same() {
    let rig = Rig::new();
    let first = Connection::open(&rig, CLIENT);
    let same = again(&rig, Ticks(REDISPATCH_AFTER.0 - A_WHILE.0));
    assert_eq!((same.server, same.nat), (first.server, first.nat));
    // From then on it counts anew.
    assert_eq!(again(&rig, Ticks(REDISPATCH_AFTER.0 - A_WHILE.0)).nat, first.nat);
    assert_eq!((rig.traffic().connections, rig.traffic().redispatched), (1, 0));
}

#[test]
fn who_has_answered_keeps_the_connection() {
    let rig = Rig::new();
    let first = Connection::in_state(&rig, CLIENT, State::SynReceived);
    let same = again(&rig, REDISPATCH_AFTER);
    assert_eq!(same.nat, first.nat);
    assert_eq!(same.state(&rig), State::SynReceived);
}

#[test]
fn each_other_server_has_its_turn_and_then_those_again_that_are_usable() {
    let mut rig = Rig::new();
    let mut asked: Vec<u16> = vec![Connection::open(&rig, CLIENT).server];
    for _ in 0..2 {
        asked.push(again(&rig, REDISPATCH_AFTER).server);
    }
    let [down, usable, last] = asked[..] else { panic!("three servers") };
    asked.sort_unstable();
    assert_eq!(asked, [0, 1, 2]);
    // The last one has died, and so has the first; it was the network that lost the second's SYN.
    for server in [down, last] {
        rig.control.set_up(server, false).expect("can be written");
    }
    assert_eq!(again(&rig, REDISPATCH_AFTER).server, usable);
    assert_eq!(rig.traffic().redispatched, 3);
}

#[test]
fn the_only_server_gets_it_again() {
    let rig = Rig::with_one_server(4);
    let first = Connection::open(&rig, CLIENT);
    let same = again(&rig, REDISPATCH_AFTER);
    assert_eq!(same.nat, first.nat);
    assert_eq!((rig.traffic().connections, rig.traffic().redispatched), (1, 0));
}

#[test]
fn who_has_refused_is_not_asked_again() {
    let rig = Rig::new();
    let first = Connection::open(&rig, CLIENT);
    let second = first.moved(&rig, &syn(CLIENT), rig.run(&first.refusal().bytes()), Reason::Refused);
    let third = again(&rig, REDISPATCH_AFTER);
    let mut asked = [first.server, second.server, third.server];
    asked.sort_unstable();
    assert_eq!(asked, [0, 1, 2]);
}

#[test]
fn a_late_answer_is_refused_and_never_reaches_the_client() {
    let rig = Rig::new();
    let first = abandoned(&rig);
    for late in [first.by_server(SYN_ACK), first.by_server(Flags::ACK).payload(b"late")] {
        let reset = Connection::reset_of(&late).bytes();
        assert_eq!(rig.run(&late.bytes()), Out::Answered(Reason::LateAnswer, reset));
    }
    // The client's packets belong to the new one.
    let [_, (number, _)] = rig.slots_of(CLIENT.socket)[..] else { panic!("two slots") };
    let before = rig.slot(number).packets;
    let Out::Sent(_) = rig.run(&first.by_client(Flags::ACK).bytes()) else { panic!("not forwarded") };
    assert_ne!((first.slot(&rig).packets, rig.slot(number).packets), (before, before));
}

#[test]
fn attempts_that_were_given_up_fill_nobodys_buckets() {
    let rig = Rig::new();
    let mut slots = HashSet::new();
    let mut connection = Connection::open(&rig, CLIENT);
    // All of them live: the client's two buckets have sixteen places.
    for _ in 0..=TIMEOUTS.connect.0 / REDISPATCH_AFTER.0 {
        for _ in 1..MAX_OFFERS {
            slots.insert((connection.server, connection.nat));
            let out = rig.run(&connection.challenge().bytes());
            connection = connection.moved(&rig, &syn(CLIENT), out, Reason::StalePort);
        }
        slots.insert((connection.server, connection.nat));
        rig.age(CLIENT.socket, REDISPATCH_AFTER);
        connection = Connection::open(&rig, CLIENT);
    }
    assert!(slots.len() > 2 * BUCKET_ENTRIES, "{slots:?}");
    connection.server_sends(&rig, SYN_ACK, b"");
    connection.client_sends(&rig, Flags::ACK, b"");
    connection.works(&rig);
}
