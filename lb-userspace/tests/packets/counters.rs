//! Packets and payload bytes are counted once, where they belong.

use lb_common::counters::PathCounters;
use lb_common::tcp::Flags;

use crate::connection::{Connection, FIN_ACK};
use crate::rig::{CLIENT, Rig, client};

#[test]
fn a_connection_counts_for_its_slot_and_its_path() {
    let rig = Rig::new();
    let mut connection = Connection::established(&rig, CLIENT);
    connection.client_sends(&rig, Flags::ACK, &[1; 1000]);
    connection.client_sends(&rig, Flags::ACK, &[2; 7]);
    connection.server_sends(&rig, Flags::ACK, &[3; 1448]);
    connection.client_sends(&rig, FIN_ACK, b"");

    let (slot, details) = (connection.slot(&rig), connection.details(&rig));
    assert_eq!([slot.packets(&details, 0), slot.packets(&details, 1)], [5, 2]);
    assert_eq!(slot.bytes, [1007, 1448]);
    let expected = PathCounters {
        packets: [5, 2],
        bytes: [1007, 1448],
        connections: 1,
        established: 1,
        ..PathCounters::default()
    };
    assert_eq!(rig.path(0, connection.server), expected);
    assert_eq!(rig.traffic(), expected, "and nowhere else");
}

#[test]
fn each_server_has_its_own() {
    let rig = Rig::new();
    for (host, size) in [(1, 10), (2, 20), (3, 30)] {
        let mut connection = Connection::established(&rig, client(host, 40_000));
        connection.server_sends(&rig, Flags::ACK, &vec![0; size]);
        assert_eq!(rig.path(0, connection.server).bytes, [0, size as u64]);
    }
    assert_eq!(rig.traffic().bytes, [0, 60]);
    assert_eq!(rig.traffic().connections, 3);
}

#[test]
fn padding_behind_the_packet_is_no_payload() {
    let rig = Rig::new();
    let connection = Connection::established(&rig, CLIENT);
    let mut frame = connection.by_client(Flags::ACK).bytes();
    frame.resize(60, 0);
    rig.run(&frame);
    assert_eq!(connection.slot(&rig).bytes, [0, 0]);
}

#[test]
fn packet_counts_go_on_beyond_32_bits() {
    let rig = Rig::new();
    let mut connection = Connection::established(&rig, CLIENT);
    let mut view = rig.control.maps().slots.view_mut().expect("can be mapped");
    view.change_used(|slot| slot.packets = [u32::MAX; 2]);
    connection.works(&rig);
    connection.works(&rig);
    let (slot, details) = (connection.slot(&rig), connection.details(&rig));
    assert_eq!([slot.packets(&details, 0), slot.packets(&details, 1)], [(1 << 32) + 1; 2]);
}
