//! Where frames to a client go is learned from its own.

use lb_common::net::Mac;
use lb_common::tcp::Flags;

use crate::connection::{Connection, SYN_ACK, syn};
use crate::frame::End;
use crate::rig::{CLIENT, Rig};

const ROUTER: Mac = Mac([2, 0, 0, 0, 0, 1]);
const STANDBY_ROUTER: Mac = Mac([2, 0, 0, 0, 0, 2]);

/// Addresses that no frame to one host goes to: zero, a multicast group, all.
const NOT_UNICAST: [Mac; 3] = [Mac([0; 6]), Mac([1, 0, 0x5e, 0, 0, 1]), Mac([0xff; 6])];

#[test]
fn frames_to_the_client_go_where_its_own_came_from() {
    let rig = Rig::new();
    let mut connection = Connection::established(&rig, End { mac: ROUTER, ..CLIENT });
    connection.works(&rig);

    // Another router takes over (VRRP): its first frame moves the way back.
    connection.client.mac = STANDBY_ROUTER;
    connection.client_sends(&rig, Flags::ACK, b"");
    assert_eq!(Mac::from(connection.slot(&rig).ends.client_mac()), STANDBY_ROUTER);
    connection.works(&rig);
}

#[test]
fn a_blind_frame_teaches_nothing() {
    let rig = Rig::new();
    let mut connection = Connection::established(&rig, CLIENT);
    let blind = connection.by_client(Flags::ACK).with(|frame| {
        frame.eth.source = STANDBY_ROUTER.0;
        frame.tcp.acknowledgment_number ^= 1 << 30;
    });
    connection.reaches_server(&rig, blind);
    assert_eq!(Mac::from(connection.slot(&rig).ends.client_mac()), CLIENT.mac);
    connection.works(&rig);
}

#[test]
fn a_retransmitted_syn_moves_it_too() {
    let rig = Rig::new();
    let mut connection = Connection::open(&rig, End { mac: ROUTER, ..CLIENT });
    connection.client.mac = STANDBY_ROUTER;
    connection.reaches_server(&rig, syn(connection.client));
    connection.server_sends(&rig, SYN_ACK, b"");
}

#[test]
fn groups_and_nobody_are_not_learned() {
    for mac in NOT_UNICAST {
        let rig = Rig::new();
        let mut connection = Connection::established(&rig, CLIENT);
        let frame = connection.by_client(Flags::ACK).with(|frame| frame.eth.source = mac.0);
        connection.reaches_server(&rig, frame);
        assert_eq!(Mac::from(connection.slot(&rig).ends.client_mac()), CLIENT.mac);
        connection.works(&rig);
    }
}
