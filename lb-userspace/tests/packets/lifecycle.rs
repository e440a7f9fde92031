//! Connections from the first SYN to the last ACK.

use lb_common::slot::Ends;
use lb_common::tcp::{Fins, Flags, Seq, State};

use crate::connection::{CLIENT_ISN, Connection, FIN_ACK, RST_ACK, SERVER_ISN, SYN_ACK};
use crate::rig::{CLIENT, Rig, client};

#[test]
fn a_handshake_establishes() {
    let rig = Rig::new();
    let mut connection = Connection::open(&rig, CLIENT);
    let slot = connection.slot(&rig);
    assert_eq!(slot.word().state(), State::SynSent);
    assert_eq!((slot.ends, slot.sides[0].end), (Ends::new(CLIENT.mac.into(), 0), Seq(CLIENT_ISN).plus(1)));
    let details = connection.details(&rig);
    assert!(details.opened_at > 0);
    assert_eq!(details.answered_after, 0);

    connection.server_sends(&rig, SYN_ACK, b"");
    let slot = connection.slot(&rig);
    assert_eq!((slot.word().state(), slot.sides[1].end), (State::SynReceived, Seq(SERVER_ISN).plus(1)));
    let details = connection.details(&rig);
    assert!(details.answered_after > 0);

    connection.client_sends(&rig, Flags::ACK, b"");
    assert_eq!(connection.state(&rig), State::Established);
    connection.works(&rig);
    assert_eq!(connection.slot(&rig).word().fins(), Fins::NONE);
}

#[test]
fn both_fins_in_either_order_end_in_time_wait() {
    let rig = Rig::new();
    let mut first = Connection::established(&rig, client(1, 40_001));
    first.client_sends(&rig, FIN_ACK, b"last words");
    assert_eq!(first.slot(&rig).word().fins(), Fins::CLIENT);
    // One side may still send for as long as it likes.
    assert_eq!(first.state(&rig), State::Established);
    first.server_sends(&rig, Flags::ACK, b"more");
    first.server_sends(&rig, FIN_ACK, b"");
    assert_eq!(first.state(&rig), State::TimeWait);
    first.client_sends(&rig, Flags::ACK, b"");

    let mut second = Connection::established(&rig, client(1, 40_002));
    second.server_sends(&rig, FIN_ACK, b"");
    assert_eq!(second.slot(&rig).word().fins(), Fins::SERVER_WAITS);
    second.client_sends(&rig, FIN_ACK, b"");
    assert_eq!(second.state(&rig), State::TimeWait);
    second.server_sends(&rig, Flags::ACK, b"");

    for (connection, fins) in [(first, Fins::BOTH), (second, Fins::SERVER_WAITS.and(Fins::CLIENT))] {
        let slot = connection.slot(&rig);
        assert_eq!((slot.word().state(), slot.word().fins()), (State::TimeWait, fins));
    }
}

#[test]
fn a_retransmitted_fin_ends_nothing_twice() {
    let rig = Rig::new();
    let mut connection = Connection::established(&rig, CLIENT);
    let fin = connection.by_client(FIN_ACK);
    connection.client_sends(&rig, FIN_ACK, b"");
    connection.reaches_server(&rig, fin);
    assert_eq!(connection.state(&rig), State::Established);
    assert_eq!(connection.slot(&rig).word().fins(), Fins::CLIENT);
}

#[test]
fn a_reset_closes_and_still_passes_what_is_under_way() {
    let rig = Rig::new();
    let mut by_client = Connection::established(&rig, client(1, 40_001));
    by_client.client_sends(&rig, Flags::RST, b"");
    let mut by_server = Connection::established(&rig, client(1, 40_002));
    by_server.server_sends(&rig, RST_ACK, b"");
    for mut connection in [by_client, by_server] {
        assert_eq!(connection.state(&rig), State::Closed);
        connection.works(&rig);
        assert_eq!(connection.state(&rig), State::Closed);
    }
}
