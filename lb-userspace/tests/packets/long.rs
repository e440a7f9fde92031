//! Frames longer than an Ethernet carries: what the host's GRO has merged, or what a sender on the same
//! machine has left to be cut.

use lb_common::reason::Reason;
use lb_common::tcp::Flags;

use crate::connection::Connection;
use crate::frame::OPTIONS_AT;
use crate::rig::{CLIENT, Out, Rig};

/// Payloads from the first that is too long for an Ethernet to what a test run takes.
const LENGTHS: [usize; 3] = [1461, 2920, 3300];

#[test]
fn a_long_frame_is_forwarded_whole() {
    let rig = Rig::new();
    let mut connection = Connection::established(&rig, CLIENT);
    for length in LENGTHS {
        let payload: Vec<u8> = (0..length).map(|at| at as u8).collect();
        connection.client_sends(&rig, Flags::ACK, &payload);
        connection.server_sends(&rig, Flags::ACK, &payload);
    }
    let sum = LENGTHS.iter().sum::<usize>() as u64;
    assert_eq!(connection.slot(&rig).bytes, [sum; 2]);
}

#[test]
fn a_long_frame_is_answered_with_a_short_one() {
    let rig = Rig::new();
    let connection = Connection::established(&rig, CLIENT);
    rig.reset(CLIENT.socket);
    for length in LENGTHS {
        let frame = connection.by_client(Flags::ACK).payload(&vec![7; length]).bytes();
        let Out::Answered(Reason::ServerDown, reset) = rig.run(&frame) else {
            panic!("{length} bytes were not answered");
        };
        assert_eq!(reset.len(), OPTIONS_AT);
    }
}
