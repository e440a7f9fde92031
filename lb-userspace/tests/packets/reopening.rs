//! A client's SYN for a tuple that has a connection already.

use lb_common::reason::Reason;
use lb_common::tcp::{Fins, Flags, State};

use crate::connection::{CLIENT_ISN, Connection, FIN_ACK, SERVER_ISN, SYN_ACK, syn, syn_to};
use crate::rig::{A_WHILE, CLIENT, FRONTEND, Rig, client};

const OTHER_ISN: u32 = 77_000;

#[test]
fn the_same_syn_again_goes_to_the_same_server() {
    for state in [State::SynSent, State::SynReceived] {
        let rig = Rig::new();
        let first = Connection::in_state(&rig, CLIENT, state);
        rig.age(CLIENT.socket, A_WHILE);
        let before = first.slot(&rig);
        first.reaches_server(&rig, syn(CLIENT));
        first.reaches_server(&rig, syn(CLIENT));
        let slots = rig.slots_of(CLIENT.socket);
        let [(number, slot)] = &slots[..] else { panic!("one connection, not {slots:?}") };
        assert_eq!((*number, slot.word), (first.slot_number(&rig), before.word));
        assert!(slot.last_seen.0.wrapping_sub(before.last_seen.0) > 0, "a sign of life");
        assert_eq!(rig.traffic().connections, 1);
        // The ring has not moved.
        assert_eq!(Connection::open(&rig, client(2, 40_000)).server, first.server + 1);
    }
}

#[test]
fn the_same_syn_without_its_data_is_still_the_same() {
    // The server took the data (RFC 7413), its SYN-ACK got lost, and the client falls back.
    let rig = Rig::new();
    let mut connection = Connection::open_with(&rig, CLIENT, &syn(CLIENT).payload(b"early"));
    connection.server_sends(&rig, SYN_ACK, b"");
    connection.reaches_server(&rig, syn(CLIENT));
    assert_eq!((connection.state(&rig), rig.traffic().connections), (State::SynReceived, 1));
}

/// The state of a connection's slot once another has its tuple.
fn once_replaced(state: State) -> State {
    if state == State::TimeWait { State::Left } else { State::Free }
}

#[test]
fn another_syn_replaces_a_connection_that_is_over_or_half_open() {
    for state in [State::SynSent, State::SynReceived, State::TimeWait, State::Closed] {
        let rig = Rig::new();
        let old = Connection::in_state(&rig, CLIENT, state);
        let mut new = Connection::open_with(&rig, CLIENT, &syn_to(FRONTEND, CLIENT, OTHER_ISN));
        assert_eq!(new.server, old.server + 1, "{state}: the next server's turn");
        assert_eq!(old.state(&rig), once_replaced(state), "{state}");
        assert_eq!(new.state(&rig), State::SynSent, "{state}");
        assert_eq!(rig.slots_of(CLIENT.socket).len(), 1, "{state}");
        assert_eq!(rig.traffic().connections, 2);
        new.server_sends(&rig, SYN_ACK, b"");
        new.client_sends(&rig, Flags::ACK, b"");
        new.works(&rig);
        assert_eq!(new.state(&rig), State::Established, "{state}");
    }
}

#[test]
fn a_connection_that_is_over_is_replaced_even_by_the_same_number() {
    for state in [State::TimeWait, State::Closed] {
        let rig = Rig::new();
        let old = Connection::in_state(&rig, CLIENT, state);
        let new = Connection::open(&rig, CLIENT);
        assert_eq!((new.server, old.state(&rig)), (old.server + 1, once_replaced(state)), "{state}");
    }
}

#[test]
fn a_syn_on_an_established_connection_is_the_servers_to_answer() {
    for isn in [CLIENT_ISN, OTHER_ISN] {
        let rig = Rig::new();
        let mut connection = Connection::established(&rig, CLIENT);
        rig.age(CLIENT.socket, A_WHILE);
        let before = connection.slot(&rig);
        connection.reaches_server(&rig, syn_to(FRONTEND, CLIENT, isn));
        let after = connection.slot(&rig);
        assert_eq!((after.word, after.sides, after.last_seen), (before.word, before.sides, before.last_seen));
        assert_eq!(rig.traffic().connections, 1);
        // The challenge ACK goes back, and the connection on.
        connection.server_sends(&rig, Flags::ACK, b"");
        connection.works(&rig);
    }
}

/// Client and server have lost their memory of a connection, and the client begins anew by its ports.
fn forgotten(rig: &Rig) -> Connection {
    let mut connection = Connection::established(rig, CLIENT);
    connection.server_sends(rig, FIN_ACK, b"");
    let again = syn_to(FRONTEND, CLIENT, OTHER_ISN);
    connection.reaches_server(rig, again.clone());
    (connection.client_seq, connection.server_seq) = (again.end(), SERVER_ISN.wrapping_mul(7));
    connection
}

#[test]
fn a_server_that_has_forgotten_a_connection_may_begin_it_anew() {
    let rig = Rig::new();
    let mut connection = forgotten(&rig);
    let number = connection.slot_number(&rig);
    connection.server_sends(&rig, SYN_ACK, b"");
    assert_eq!(connection.state(&rig), State::SynReceived);
    assert_eq!(rig.control.maps().occupancy.get(0), 0);
    connection.client_sends(&rig, Flags::ACK, b"");
    connection.works(&rig);
    assert_eq!((connection.state(&rig), connection.slot_number(&rig)), (State::Established, number));
    assert_eq!((rig.traffic().connections, rig.traffic().established), (2, 2));
    assert_eq!(rig.control.maps().occupancy.get(0), 1);
    // It is followed: its end is seen.
    connection.client_sends(&rig, FIN_ACK, b"");
    assert_eq!(connection.slot(&rig).word().fins(), Fins::CLIENT);
    connection.server_sends(&rig, FIN_ACK, b"");
    assert_eq!(connection.state(&rig), State::TimeWait);
}

#[test]
fn a_server_that_refuses_to_begin_anew_is_not_heard() {
    let rig = Rig::new();
    let connection = forgotten(&rig);
    let again = syn_to(FRONTEND, CLIENT, OTHER_ISN);
    let mut moved = connection.moved(&rig, &again, rig.run(&connection.refusal().bytes()), Reason::Refused);
    assert_ne!(moved.server, connection.server);
    assert_eq!(connection.state(&rig), State::Free);
    moved.server_sends(&rig, SYN_ACK, b"");
    moved.client_sends(&rig, Flags::ACK, b"");
    moved.works(&rig);
}

#[test]
fn the_answer_to_an_older_syn_begins_nothing_anew() {
    let rig = Rig::new();
    let mut connection = Connection::established(&rig, CLIENT);
    connection.reaches_server(&rig, syn_to(FRONTEND, CLIENT, OTHER_ISN));
    let before = connection.slot(&rig);
    // The network has doubled the first.
    let old = connection.by_server(SYN_ACK).with(|frame| frame.tcp.sequence_number = SERVER_ISN);
    connection.reaches_client(&rig, old);
    let after = connection.slot(&rig);
    assert_eq!((after.word, after.sides), (before.word, before.sides));
    connection.works(&rig);
}
