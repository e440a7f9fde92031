//! Connections that were reset because their server is down.

use lb_common::reason::Reason;
use lb_common::tcp::{Flags, State};
use lb_common::time::Ticks;

use crate::connection::{Connection, FIN_ACK, RST_ACK, SYN_ACK, syn};
use crate::frame::Frame;
use crate::rig::{CLIENT, Out, Rig, TIMEOUTS};

/// A connection that has carried data, of a server that is down.
fn reset(rig: &Rig) -> Connection {
    let mut connection = Connection::established(rig, CLIENT);
    connection.works(rig);
    rig.reset(CLIENT.socket);
    connection
}

#[track_caller]
fn is_answered(rig: &Rig, frame: &Frame) {
    let answer = Connection::reset_of(frame).bytes();
    assert_eq!(rig.run(&frame.bytes()), Out::Answered(Reason::ServerDown, answer));
}

#[test]
fn either_side_that_goes_on_is_told() {
    let rig = Rig::new();
    let connection = reset(&rig);
    let traffic = rig.traffic();
    for by in [Connection::by_client, Connection::by_server] {
        is_answered(&rig, &by(&connection, Flags::ACK));
        is_answered(&rig, &by(&connection, Flags::ACK).payload(b"are you there?"));
        is_answered(&rig, &by(&connection, FIN_ACK).options(&[1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2]));
    }
    is_answered(&rig, &connection.by_server(SYN_ACK));
    assert_eq!((connection.state(&rig), rig.traffic()), (State::Reset, traffic));
}

#[test]
fn the_answer_fits_what_the_client_expects() {
    // Its challenge ACK (RFC 5961 §3.2) says which number a RST must have.
    let rig = Rig::new();
    let connection = reset(&rig);
    let challenge = connection.by_client(Flags::ACK);
    let Out::Answered(Reason::ServerDown, answer) = rig.run(&challenge.bytes()) else { panic!("no answer") };
    assert_eq!(answer[38..42], connection.server_seq.to_be_bytes());
}

#[test]
fn no_reset_is_answered_with_another() {
    let rig = Rig::new();
    let connection = reset(&rig);
    for frame in [
        connection.by_client(Flags::RST),
        connection.by_client(RST_ACK),
        connection.by_server(Flags::RST),
        connection.by_server(RST_ACK),
    ] {
        assert_eq!(rig.run(&frame.bytes()), Out::Dropped(Reason::ServerDown));
    }
}

#[test]
fn no_answer_goes_to_a_group() {
    let rig = Rig::new();
    let connection = reset(&rig);
    let frame = connection.by_client(Flags::ACK).with(|frame| frame.eth.source = [1, 0, 0x5e, 0, 0, 1]);
    assert_eq!(rig.run(&frame.bytes()), Out::Dropped(Reason::ServerDown));
}

#[test]
fn the_client_may_connect_again_at_once_even_by_the_same_port() {
    let mut rig = Rig::new();
    let old = reset(&rig);
    rig.control.set_up(old.server, false).expect("can be written");
    let mut new = Connection::established(&rig, CLIENT);
    assert_ne!(new.server, old.server);
    assert_eq!(old.state(&rig), State::Free);
    new.works(&rig);
    // Of the old server nothing reaches the client any more.
    assert_eq!(rig.run(&old.by_server(Flags::ACK).bytes()), Out::Passed(Reason::NoConnection));
}

#[test]
fn the_slot_is_held_for_what_is_still_under_way() {
    let rig = Rig::new();
    let connection = reset(&rig);
    rig.age(CLIENT.socket, Ticks(TIMEOUTS.time_wait.0 + 1));
    connection.is_unknown(&rig);
    assert_eq!(rig.run(&connection.by_server(Flags::ACK).bytes()), Out::Passed(Reason::NoConnection));
    assert!(matches!(rig.run(&syn(CLIENT).bytes()), Out::Sent(_)));
}
