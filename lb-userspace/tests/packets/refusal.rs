//! A server refuses a connection, and the next one gets its SYN, without the client's knowledge.

use lb_common::reason::Reason;
use lb_common::server::Cursor;
use lb_common::syn::{MAX_OFFERS, SYNS};
use lb_common::tcp::{Flags, State};

use crate::connection::{Connection, FIN_ACK, RST_ACK, SYN_ACK, syn};
use crate::frame::Frame;
use crate::rig::{CLIENT, NAT_FIRST, Out, REDISPATCH_AFTER, Rig, client, server};

/// What Linux offers in a SYN over jumbo frames: MSS, SACK permitted, timestamps, NOP, window scale.
const OPTIONS: [u8; 20] = [2, 4, 0x23, 0x00, 4, 2, 8, 10, 0, 0, 0, 9, 0, 0, 0, 0, 1, 3, 3, 7];

/// A rig in which connections to two servers can have the copies of their SYNs in one place.
pub fn rig_of_many_slots() -> Rig {
    Rig::with_slots(SYNS as u16)
}

/// Another connection's SYN takes the place of the copy of this one's.
pub fn forget_syn(rig: &mut Rig, connection: &Connection) -> Connection {
    let position = u64::from(connection.nat.port() - NAT_FIRST);
    for server in 0..3 {
        let cursor = Cursor { position, ..Cursor::default() };
        rig.control.maps_mut().slot_cursors.set(server, cursor).expect("can be written");
    }
    let other = Connection::open(rig, client(77, 40_000));
    assert_ne!(other.server, connection.server);
    assert_eq!(other.slot_number(rig) % SYNS, connection.slot_number(rig) % SYNS);
    other
}

/// The connection's server refuses, and the SYN goes on.
#[track_caller]
fn refused(rig: &Rig, connection: &Connection, syn: &Frame) -> Connection {
    connection.moved(rig, syn, rig.run(&connection.refusal().bytes()), Reason::Refused)
}

/// So many servers, with a slot for each client of a test.
fn servers(count: u16) -> Rig {
    Rig::with(|wanted| {
        wanted.sizes.max_servers = u32::from(count);
        wanted.servers = (0..count)
            .map(|number| {
                let end = server(number);
                let mut server = wanted.servers[0];
                (server.address, server.next_hop) = (end.socket, Some(end.mac));
                server
            })
            .collect();
        wanted.frontends[0].servers = (0..count).collect();
    })
}

#[test]
fn the_next_server_gets_it_as_the_client_sent_it() {
    let rig = Rig::new();
    let syn = syn(CLIENT).with(|frame| {
        frame.ip.time_to_live = 57;
        frame.ip.dscp = 46.try_into().expect("six bits");
        frame.tcp.window_size = 29_200;
    });
    let first = Connection::open_with(&rig, CLIENT, &syn);
    let mut second = refused(&rig, &first, &syn);
    assert_eq!((first.server, second.server), (0, 1));
    assert_eq!((first.state(&rig), second.state(&rig)), (State::Free, State::SynSent));
    second.server_sends(&rig, SYN_ACK, b"");
    second.client_sends(&rig, Flags::ACK, b"");
    second.works(&rig);
    second.client_sends(&rig, FIN_ACK, b"");
    second.server_sends(&rig, FIN_ACK, b"");
    assert_eq!(second.state(&rig), State::TimeWait);
}

#[test]
fn all_options_go_along_with_the_segment_size_that_fits() {
    for length in (0..=40).step_by(4) {
        let rig = Rig::new();
        let options = |mss: [u8; 2]| {
            let mut options = OPTIONS.to_vec();
            options[2..4].copy_from_slice(&mss);
            options.resize(40, 1);
            options[..length].to_vec()
        };
        let sent = syn(CLIENT).options(&options([0x23, 0x00]));
        let arrives = syn(CLIENT).options(&options([0x05, 0xb4]));
        assert!(matches!(rig.run(&sent.bytes()), Out::Sent(_)));
        // A SYN without options finds out where that one went.
        let first = Connection::open_with(&rig, CLIENT, &syn(CLIENT));
        refused(&rig, &first, &arrives);
    }
}

#[test]
fn a_refusal_may_be_longer_or_shorter_than_the_syn() {
    let rig = Rig::new();
    let syn = |port| syn(client(1, port)).options(&[1; 40]);
    for (port, payload) in [(40_000, 0), (40_001, 6), (40_002, 40), (40_003, 1000)] {
        let first = Connection::open_with(&rig, client(1, port), &syn(port));
        let refusal = first.refusal().payload(&vec![0xee; payload]);
        first.moved(&rig, &syn(port), rig.run(&refusal.bytes()), Reason::Refused);
    }
}

#[test]
fn each_server_is_asked_once_and_then_the_client_is_told() {
    let rig = Rig::new();
    let mut connection = Connection::open(&rig, CLIENT);
    let mut asked = vec![connection.server];
    while asked.len() < 3 {
        connection = refused(&rig, &connection, &syn(CLIENT));
        asked.push(connection.server);
    }
    asked.sort_unstable();
    assert_eq!(asked, [0, 1, 2]);
    let refusal = connection.refusal();
    let told = Out::Answered(Reason::Refused, connection.at_client(refusal.clone()).bytes());
    assert_eq!(rig.run(&refusal.bytes()), told);
    assert_eq!(connection.state(&rig), State::Closed);

    for server in 0..3 {
        let path = rig.path(0, server);
        let is_last = server == connection.server;
        assert_eq!((path.connections, path.refused), (1, 1), "server {server}");
        assert_eq!(path.redispatched, u64::from(!is_last), "server {server}");
        assert_eq!(path.packets, [1, u64::from(is_last)], "what reached whom: server {server}");
    }
    // Afterwards the client begins anew, with any server.
    Connection::established(&rig, CLIENT).works(&rig);
}

#[test]
fn without_another_server_the_client_is_told_at_once() {
    let mut rig = Rig::new();
    let connection = Connection::open(&rig, CLIENT);
    for other in (0..3).filter(|server| *server != connection.server) {
        rig.control.set_up(other, false).expect("can be written");
    }
    let refusal = connection.refusal();
    let told = Out::Answered(Reason::Refused, connection.at_client(refusal.clone()).bytes());
    assert_eq!(rig.run(&refusal.bytes()), told);
    assert_eq!((rig.traffic().refused, rig.traffic().redispatched), (1, 0));
}

#[test]
fn who_went_down_meanwhile_is_not_asked() {
    let mut rig = Rig::new();
    let first = Connection::open(&rig, CLIENT);
    rig.control.set_up(1, false).expect("can be written");
    assert_eq!(refused(&rig, &first, &syn(CLIENT)).server, 2);
}

#[test]
fn a_server_of_little_weight_is_asked_too() {
    let rig = Rig::with(|wanted| wanted.servers[0].weight = 256);
    let first = Connection::open(&rig, CLIENT);
    assert_eq!(first.server, 0);
    assert_ne!(refused(&rig, &first, &syn(CLIENT)).server, 0);
}

#[test]
fn data_of_a_syn_is_left_to_the_client() {
    // RFC 7413 §4.2.2: what is not acknowledged, the client sends again.
    let rig = Rig::new();
    let syn = syn(CLIENT).payload(b"early");
    let first = Connection::open_with(&rig, CLIENT, &syn);
    let mut second = refused(&rig, &first, &syn);
    second.server_sends(&rig, SYN_ACK, b"");
    second.client_sends(&rig, Flags::ACK, b"early");
    second.works(&rig);
    assert_eq!(second.state(&rig), State::Established);
}

#[test]
fn data_that_come_again_with_the_syn_may_be_taken() {
    let rig = Rig::new();
    let syn = syn(CLIENT).payload(b"early");
    let first = Connection::open_with(&rig, CLIENT, &syn);
    let mut second = refused(&rig, &first, &syn);
    second.client_seq = syn.end();
    second.reaches_server(&rig, syn);
    second.server_sends(&rig, SYN_ACK, b"");
    second.client_sends(&rig, Flags::ACK, b"");
    second.works(&rig);
    assert_eq!(second.state(&rig), State::Established);
}

#[test]
fn a_syn_that_is_not_known_any_more_has_to_come_again() {
    let mut rig = rig_of_many_slots();
    let first = Connection::open(&rig, CLIENT);
    forget_syn(&mut rig, &first);
    assert_eq!(rig.run(&first.refusal().bytes()), Out::Dropped(Reason::Refused));
    let mut second = Connection::established(&rig, CLIENT);
    assert_ne!(second.server, first.server);
    second.works(&rig);
}

#[test]
fn a_copy_is_never_taken_for_anothers() {
    let mut rig = rig_of_many_slots();
    let first = Connection::open_with(&rig, CLIENT, &syn(CLIENT).options(&[1; 40]));
    let other = forget_syn(&mut rig, &first);
    assert_eq!(rig.run(&first.refusal().bytes()), Out::Dropped(Reason::Refused));
    refused(&rig, &other, &syn(other.client));
}

#[test]
fn a_syn_is_not_offered_for_ever() {
    let rig = servers(u16::from(MAX_OFFERS) + 2);
    let mut connection = Connection::open(&rig, CLIENT);
    for _ in 1..MAX_OFFERS {
        connection = refused(&rig, &connection, &syn(CLIENT));
    }
    assert_eq!(rig.run(&connection.refusal().bytes()), Out::Dropped(Reason::Refused));
    assert_eq!(rig.traffic().connections, u64::from(MAX_OFFERS));
    // When the client sends it again, it is the turn of those that have not refused.
    let ninth = Connection::open(&rig, CLIENT);
    let tenth = refused(&rig, &ninth, &syn(CLIENT));
    let told = Out::Answered(Reason::Refused, tenth.at_client(tenth.refusal()).bytes());
    assert_eq!(rig.run(&tenth.refusal().bytes()), told);
    for server in 0..u16::from(MAX_OFFERS) + 2 {
        assert_eq!(rig.path(0, server).refused, 1, "server {server}");
    }
}

#[test]
fn a_refusal_of_what_was_accepted_or_given_to_another_moves_nothing() {
    let rig = Rig::new();
    let first = Connection::open(&rig, CLIENT);
    let second = refused(&rig, &first, &syn(CLIENT));
    // The network has doubled it.
    assert_eq!(rig.run(&first.refusal().bytes()), Out::Passed(Reason::NoConnection));
    assert_eq!(second.state(&rig), State::SynSent);

    let mut accepted = Connection::in_state(&rig, client(2, 40_000), State::SynReceived);
    accepted.server_sends(&rig, RST_ACK, b"");
    assert_eq!(accepted.state(&rig), State::Closed);
}

#[test]
fn a_refusal_that_comes_twice_is_hidden_twice() {
    let mut rig = rig_of_many_slots();
    let first = Connection::open(&rig, CLIENT);
    forget_syn(&mut rig, &first);
    for _ in 0..2 {
        assert_eq!(rig.run(&first.refusal().bytes()), Out::Dropped(Reason::Refused));
    }
    assert_eq!(rig.traffic().refused, 1, "it is one refusal");
}

#[test]
fn a_syn_may_go_on_to_a_slot_whose_copy_has_the_same_place() {
    let mut rig = rig_of_many_slots();
    let first = Connection::open(&rig, CLIENT);
    let position = u64::from(first.nat.port() - NAT_FIRST);
    for server in 0..3 {
        let cursor = Cursor { position, ..Cursor::default() };
        rig.control.maps_mut().slot_cursors.set(server, cursor).expect("can be written");
    }
    let second = refused(&rig, &first, &syn(CLIENT));
    assert_eq!(second.slot_number(&rig) % SYNS, first.slot_number(&rig) % SYNS);
    let third = refused(&rig, &second, &syn(CLIENT));
    let mut asked = [first.server, second.server, third.server];
    asked.sort_unstable();
    assert_eq!(asked, [0, 1, 2], "who has refused is still known");
}

#[test]
fn what_a_syn_offers_goes_along() {
    let rig = Rig::new();
    // Explicit congestion notification, RFC 3168.
    let syn = syn(CLIENT).with(|frame| (frame.tcp.ece, frame.tcp.cwr) = (true, true));
    let first = Connection::open_with(&rig, CLIENT, &syn);
    refused(&rig, &first, &syn);
}

#[test]
fn a_connection_began_with_its_first_attempt() {
    let rig = Rig::new();
    let first = Connection::open(&rig, CLIENT);
    let began = first.details(&rig).opened_at;
    let second = refused(&rig, &first, &syn(CLIENT));
    assert_eq!(second.details(&rig).opened_at, began);
    rig.age(CLIENT.socket, REDISPATCH_AFTER);
    let third = Connection::open(&rig, CLIENT);
    assert_ne!(third.server, second.server);
    assert_eq!(third.details(&rig).opened_at, began);
}
