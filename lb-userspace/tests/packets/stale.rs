//! A server knows an older connection by the same addresses and ports: the SYN goes on by others.

use lb_common::reason::Reason;
use lb_common::tcp::{Flags, State};

use crate::connection::{Connection, SYN_ACK, syn};
use crate::frame::Frame;
use crate::refusal;
use crate::rig::{CLIENT, Out, Rig};

/// A server's answers that acknowledge something else than the SYN.
fn answers(connection: &Connection) -> Vec<Frame> {
    let acknowledging = |flags, by: i32| {
        connection.by_server(flags).with(|frame| {
            let ack = &mut frame.tcp.acknowledgment_number;
            *ack = ack.wrapping_add_signed(by);
        })
    };
    vec![
        connection.challenge(),
        // Of an older SYN and of a newer one.
        acknowledging(SYN_ACK, -1),
        acknowledging(SYN_ACK, 1),
        acknowledging(Flags::ACK, i32::MIN).payload(b"old news"),
    ]
}

#[test]
fn the_syn_goes_on_and_the_late_answer_is_refused() {
    for number in 0..4 {
        let rig = Rig::new();
        let first = Connection::open(&rig, CLIENT);
        let stale = answers(&first).remove(number);
        let mut second = first.moved(&rig, &syn(CLIENT), rig.run(&stale.bytes()), Reason::StalePort);
        assert_ne!((second.server, second.nat), (first.server, first.nat), "{number}");
        assert_eq!((first.state(&rig), second.state(&rig)), (State::Abandoned, State::SynSent));
        let path = rig.path(0, first.server);
        assert_eq!((path.refused, path.redispatched), (0, 1), "{number}");

        // Whatever the first one still says never reaches the client.
        for late in [first.by_server(SYN_ACK), stale] {
            let reset = Connection::reset_of(&late).bytes();
            assert_eq!(rig.run(&late.bytes()), Out::Answered(Reason::LateAnswer, reset), "{number}");
        }
        second.server_sends(&rig, SYN_ACK, b"");
        second.client_sends(&rig, Flags::ACK, b"");
        second.works(&rig);
    }
}

#[test]
fn the_same_server_may_take_it_on_another_port() {
    let rig = Rig::with_one_server(4);
    let first = Connection::open(&rig, CLIENT);
    let second = first.moved(&rig, &syn(CLIENT), rig.run(&first.challenge().bytes()), Reason::StalePort);
    assert_eq!(second.server, first.server);
    assert_ne!(second.nat.port(), first.nat.port());
}

#[test]
fn a_syn_that_is_not_known_any_more_leaves_the_answer_to_the_client() {
    let mut rig = refusal::rig_of_many_slots();
    let connection = Connection::open(&rig, CLIENT);
    refusal::forget_syn(&mut rig, &connection);
    let stale = connection.challenge();
    let told = Out::Answered(Reason::StalePort, connection.at_client(stale.clone()).bytes());
    assert_eq!(rig.run(&stale.bytes()), told);
    assert_eq!(connection.state(&rig), State::SynSent);
    // The client answers with a RST, which ends the old connection.
    let reset = Connection::reset_of(&connection.at_client(stale));
    let reset = reset.with(|frame| frame.eth.source = connection.client.mac.0);
    connection.reaches_server(&rig, reset);
    assert_eq!(connection.state(&rig), State::SynSent);
}

#[test]
fn without_a_usable_server_the_answer_goes_to_the_client() {
    let mut rig = Rig::new();
    let connection = Connection::open(&rig, CLIENT);
    for server in 0..3 {
        rig.control.set_up(server, false).expect("can be written");
    }
    let stale = connection.challenge();
    let told = Out::Answered(Reason::StalePort, connection.at_client(stale.clone()).bytes());
    assert_eq!(rig.run(&stale.bytes()), told);
}

#[test]
fn once_the_server_has_answered_nothing_is_stale() {
    let rig = Rig::new();
    let connection = Connection::in_state(&rig, CLIENT, State::SynReceived);
    connection.reaches_client(&rig, connection.challenge());
    assert_eq!(connection.state(&rig), State::SynReceived);
}
