//! Slots: who holds one how long, and who gets it next.

use lb_common::reason::Reason;
use lb_common::tcp::{Flags, State};
use lb_common::time::Ticks;

use crate::connection::{Connection, FIN_ACK};
use crate::frame::End;
use crate::rig::{A_WHILE, CLIENT, Out, Rig, TIMEOUTS, client};

/// How long a connection of each state lives without a packet.
const LIFETIMES: [(State, Ticks); 5] = [
    (State::SynSent, TIMEOUTS.connect),
    (State::SynReceived, TIMEOUTS.connect),
    (State::Established, TIMEOUTS.idle),
    (State::TimeWait, TIMEOUTS.time_wait),
    (State::Closed, TIMEOUTS.closed),
];

/// A little less than a lifetime.
const fn almost(lifetime: Ticks) -> Ticks {
    Ticks(lifetime.0 - A_WHILE.0)
}

/// A little more than a lifetime.
const fn after(lifetime: Ticks) -> Ticks {
    Ticks(lifetime.0 + 1)
}

/// Another client than [`CLIENT`].
const NEWCOMER: End = client(9, 50_000);

/// Connections that hold every slot of a rig with one server.
pub fn fill(rig: &Rig) -> Vec<Connection> {
    let slots = rig.control.wanted().sizes.slots_of_server() as u16;
    (0..slots).map(|n| Connection::established(rig, client(1, 40_000 + n))).collect()
}

#[test]
fn each_state_is_found_for_its_lifetime_and_no_longer() {
    for (state, lifetime) in LIFETIMES {
        let rig = Rig::new();
        let connection = Connection::in_state(&rig, CLIENT, state);
        rig.age(CLIENT.socket, almost(lifetime));
        // A packet that says nothing new, so that the age stays.
        let stray = connection.by_client(Flags::ACK).with(|frame| frame.tcp.acknowledgment_number = 1);
        connection.reaches_server(&rig, stray);
        assert_eq!(connection.state(&rig), state);
        rig.age(CLIENT.socket, after(A_WHILE));
        connection.is_unknown(&rig);
    }
}

#[test]
fn a_slot_is_reused_when_its_connection_has_expired() {
    for (state, lifetime) in LIFETIMES {
        let rig = Rig::with_one_server(1);
        let old = Connection::in_state(&rig, CLIENT, state);
        let generation = old.slot(&rig).word().generation();
        rig.age(CLIENT.socket, after(lifetime));
        let mut new = Connection::established(&rig, NEWCOMER);
        assert_eq!(new.slot_number(&rig), old.slot_number(&rig));
        assert_eq!(new.slot(&rig).word().generation(), generation + 1, "{state}");
        new.works(&rig);
    }
}

#[test]
fn with_all_slots_held_there_is_none() {
    let rig = Rig::with_one_server(4);
    let crowd = fill(&rig);
    let before = rig.traffic();
    assert_eq!(Connection::try_open(&rig, NEWCOMER).err(), Some(Out::Dropped(Reason::NoSlot)));
    assert_eq!(rig.traffic(), before);
    for mut connection in crowd {
        connection.works(&rig);
    }
}

/// Brings an established connection to a state from which others may take its slot.
fn bring_to(rig: &Rig, connection: &mut Connection, state: State) {
    match state {
        State::TimeWait => {
            connection.client_sends(rig, FIN_ACK, b"");
            connection.server_sends(rig, FIN_ACK, b"");
        }
        State::Closed => connection.client_sends(rig, Flags::RST, b""),
        _ => unreachable!("{state} is no end"),
    }
}

#[test]
fn who_is_missed_the_least_gives_way_first() {
    let rig = Rig::with_one_server(8);
    let mut crowd: Vec<_> = (0..4).map(|n| Connection::established(&rig, client(1, 40_000 + n))).collect();
    bring_to(&rig, &mut crowd[1], State::TimeWait);
    bring_to(&rig, &mut crowd[2], State::Closed);
    let half_open = [State::SynReceived, State::SynSent, State::SynSent]
        .into_iter()
        .zip(2..)
        .map(|(state, host)| Connection::in_state(&rig, client(host, 40_000), state));
    crowd.extend(half_open);
    crowd.push(Connection::established(&rig, client(5, 40_000)));
    rig.age(crowd[3].client.socket, after(TIMEOUTS.idle));
    // The second of the half-open ones is the oldest.
    for (old, age) in [(4, 20), (5, 80), (6, 50)] {
        rig.age(crowd[old].client.socket, Ticks(age));
    }

    let holders = [3, 2, 1, 5, 6, 4].map(|old: usize| crowd[old].slot_number(&rig));
    for (port, slot) in (50_001..).zip(holders) {
        // Established, so that none gives way to the next.
        let new = Connection::established(&rig, client(9, port));
        assert_eq!(new.slot_number(&rig), slot, "newcomer {port}");
    }
    assert_eq!(Connection::try_open(&rig, client(9, 50_000)).err(), Some(Out::Dropped(Reason::NoSlot)));
    for old in [0, 7] {
        crowd[old].works(&rig);
    }
}

#[test]
fn a_flood_does_not_push_out_who_is_established() {
    let rig = Rig::with_one_server(16);
    let mut settled: Vec<_> = (0..8).map(|n| Connection::established(&rig, client(1, 40_000 + n))).collect();
    for n in 0..200 {
        Connection::open(&rig, client(2, 10_000 + n));
        if n % 20 == 0 {
            // A real client gets in, because its handshake takes no longer than a round trip.
            settled.push(Connection::established(&rig, client(3, 40_000 + n)));
            settled.pop().expect("was pushed").works(&rig);
            rig.age(client(3, 40_000 + n).socket, after(TIMEOUTS.idle));
        }
    }
    for connection in &mut settled {
        connection.works(&rig);
    }
}

#[test]
fn whose_slot_was_taken_is_unknown() {
    for state in [State::SynSent, State::SynReceived, State::TimeWait, State::Closed] {
        let rig = Rig::with_one_server(1);
        let old = Connection::in_state(&rig, CLIENT, state);
        let mut new = Connection::established(&rig, NEWCOMER);
        assert_eq!(rig.run(&old.by_client(Flags::ACK).bytes()), Out::Passed(Reason::NoConnection), "{state}");
        assert_eq!(Connection::try_open(&rig, CLIENT).err(), Some(Out::Dropped(Reason::NoSlot)), "{state}");
        new.works(&rig);
    }
}

/// A connection that ends, and whose slot is free again; returns the slot.
fn comes_and_goes(rig: &Rig, port: u16) -> u32 {
    let mut connection = Connection::established(rig, client(1, port));
    connection.client_sends(rig, Flags::RST, b"");
    rig.age(connection.client.socket, after(TIMEOUTS.closed));
    connection.slot_number(rig)
}

#[test]
fn slots_are_taken_in_rotation() {
    let rig = Rig::with_one_server(4);
    let first = comes_and_goes(&rig, 40_000);
    for n in 1..12 {
        // All are free again, yet each rests as long as possible.
        assert_eq!(comes_and_goes(&rig, 40_000 + n), (first + u32::from(n)) % 4);
    }
}

#[test]
fn a_block_of_held_slots_is_no_wall() {
    let rig = Rig::with_one_server(64);
    let mut held: Vec<_> = (0..40).map(|n| Connection::established(&rig, client(2, 40_000 + n))).collect();
    // The rotation comes round to the block, and through it.
    for port in 40_000..40_064 {
        comes_and_goes(&rig, port);
    }
    for connection in &mut held {
        connection.works(&rig);
    }
}

#[test]
fn a_stale_tuple_never_reaches_the_slots_new_connection() {
    let rig = Rig::with_one_server(1);
    let mut old = Connection::established(&rig, CLIENT);
    old.works(&rig);
    rig.age(CLIENT.socket, after(TIMEOUTS.idle));
    let mut new = Connection::established(&rig, NEWCOMER);
    let before = new.slot(&rig);
    for flags in [Flags::ACK, Flags::RST, FIN_ACK] {
        assert_eq!(rig.run(&old.by_client(flags).bytes()), Out::Passed(Reason::NoConnection));
    }
    let after = new.slot(&rig);
    assert_eq!((after.word, after.packets, after.sides), (before.word, before.packets, before.sides));
    new.works(&rig);
}

#[test]
fn a_slot_survives_the_wrap_of_its_generation() {
    let rig = Rig::with_one_server(1);
    Connection::open(&rig, CLIENT);
    let mut view = rig.control.maps().slots.view_mut().expect("can be mapped");
    view.change_used(|slot| slot.word |= 0xffff_0000);
    rig.age(CLIENT.socket, after(TIMEOUTS.connect));
    let mut new = Connection::established(&rig, NEWCOMER);
    assert_eq!(new.slot(&rig).word().generation(), 1);
    new.works(&rig);
}
