//! Ports of ours whose last connection the server may still remember, in TIME_WAIT (RFC 6191).

use lb_common::reason::Reason;
use lb_common::reuse::Stamp;
use lb_common::tcp::{Flags, State};
use lb_common::time::Ticks;

use crate::connection::{Connection, FIN_ACK, SYN_ACK, syn};
use crate::frame::{End, Frame};
use crate::rig::{CLIENT, Out, Rig, client};

/// What the client's clock says when it is heard for the last time.
const LAST: u32 = u32::MAX - 2;

/// How long a port rests, and how long the one has rested that it competes with.
const REST: Ticks = Ticks(2);
const OLDER: Ticks = Ticks(50);

/// Another client, of whom nobody is known to have a clock that agrees with the first one's.
const NEWCOMER: End = client(9, 50_000);

/// Options with a timestamp, as Linux sends them.
fn stamp(value: u32) -> Vec<u8> {
    let mut options = vec![1, 1, 8, 10];
    options.extend(value.to_be_bytes());
    options.extend([0; 4]);
    options
}

/// The same in a SYN, behind other options; zero for none.
fn syn_options(value: u32) -> Vec<u8> {
    let mut options = vec![2, 4, 5, 0x0a, 4, 2];
    if value != 0 {
        options.extend([8, 10]);
        options.extend(value.to_be_bytes());
        options.extend([0; 4]);
    }
    options.resize(options.len().next_multiple_of(4), 0);
    options
}

/// The client's next segment, which says what its clock shows.
fn says(rig: &Rig, connection: &mut Connection, flags: u8, clock: u32) {
    let frame = connection.by_client(flags).options(&stamp(clock));
    connection.client_seq = frame.end();
    connection.reaches_server(rig, frame);
}

/// How a connection ends.
#[derive(Clone, Copy, Debug)]
enum Parting {
    ServerFirst,
    ClientFirst,
    /// Both have sent their FIN before they heard the other's.
    AtOnce,
    /// The client's acknowledgement of the server's FIN is missing.
    Unacknowledged,
}

/// Both sides of a connection close it.
fn part(rig: &Rig, connection: &mut Connection, parting: Parting) {
    match parting {
        Parting::ServerFirst => {
            connection.server_sends(rig, FIN_ACK, b"");
            says(rig, connection, FIN_ACK, LAST);
            connection.server_sends(rig, Flags::ACK, b"");
        }
        Parting::ClientFirst => {
            says(rig, connection, FIN_ACK, LAST - 1);
            connection.server_sends(rig, FIN_ACK, b"");
            says(rig, connection, Flags::ACK, LAST);
        }
        Parting::AtOnce => {
            let fin = connection.by_server(FIN_ACK);
            says(rig, connection, FIN_ACK, LAST - 1);
            connection.server_seq = fin.end();
            connection.reaches_client(rig, fin);
            says(rig, connection, Flags::ACK, LAST);
            connection.server_sends(rig, Flags::ACK, b"");
        }
        Parting::Unacknowledged => {
            says(rig, connection, FIN_ACK, LAST);
            connection.server_sends(rig, FIN_ACK, b"");
        }
    }
    assert_eq!(connection.state(rig), State::TimeWait, "{parting:?}");
}

/// Whether a connection that ended so gives its port to a SYN with a number so far after its last one, and
/// a timestamp (zero for none), rather than one that has rested longer but whose server is known to hold it.
fn lets_in(parting: Parting, distance: i32, clock: u32) -> bool {
    let rig = Rig::with_one_server(8);
    let mut crowd: Vec<_> = (0..8).map(|n| Connection::established(&rig, client(1, 40_000 + n))).collect();
    part(&rig, &mut crowd[3], parting);
    part(&rig, &mut crowd[5], Parting::Unacknowledged);
    rig.age(crowd[3].client.socket, REST);
    rig.age(crowd[5].client.socket, OLDER);
    let isn = crowd[3].client_seq.wrapping_add_signed(distance);
    let syn = syn(NEWCOMER).options(&syn_options(clock)).with(|syn| syn.tcp.sequence_number = isn);
    let new = Connection::open_with(&rig, NEWCOMER, &syn);
    assert!([3, 5].map(|old| crowd[old].slot_number(&rig)).contains(&new.slot_number(&rig)));
    new.slot_number(&rig) == crowd[3].slot_number(&rig)
}

#[test]
fn a_port_whose_server_closed_second_is_free_once_all_is_acknowledged() {
    for (distance, clock) in [(-5, 0), (-5, LAST - 9), (5, LAST + 1)] {
        assert!(lets_in(Parting::ClientFirst, distance, clock), "{distance} {clock}");
        assert!(!lets_in(Parting::Unacknowledged, distance, clock), "{distance} {clock}");
    }
}

#[test]
fn a_port_whose_server_waits_is_for_a_newer_timestamp_or_a_later_number() {
    for parting in [Parting::ServerFirst, Parting::AtOnce] {
        for (distance, clock, expected) in [
            (-5, LAST.wrapping_add(7), true),
            (-5, LAST + 1, true),
            (5, LAST, true),
            (0, LAST, false),
            (-5, LAST, false),
            (5, LAST - 1, false),
            (5, 0, true),
            (-5, 0, false),
        ] {
            assert_eq!(lets_in(parting, distance, clock), expected, "{parting:?} {distance} {clock}");
        }
    }
}

#[test]
fn a_client_that_has_no_timestamps_is_judged_by_its_numbers() {
    for (distance, expected) in [(-5, false), (5, true)] {
        let rig = Rig::with_one_server(8);
        let mut crowd: Vec<_> =
            (0..8).map(|n| Connection::established(&rig, client(1, 40_000 + n))).collect();
        for old in [3, 5] {
            crowd[old].server_sends(&rig, FIN_ACK, b"");
            crowd[old].client_sends(&rig, FIN_ACK, b"");
        }
        crowd[3].server_sends(&rig, Flags::ACK, b"");
        rig.age(crowd[3].client.socket, REST);
        rig.age(crowd[5].client.socket, OLDER);
        let isn = crowd[3].client_seq.wrapping_add_signed(distance);
        let syn = syn(NEWCOMER).options(&syn_options(77)).with(|syn| syn.tcp.sequence_number = isn);
        let new = Connection::open_with(&rig, NEWCOMER, &syn);
        assert_eq!(new.slot_number(&rig) == crowd[3].slot_number(&rig), expected, "{distance}");
    }
}

#[test]
fn the_clients_last_timestamp_is_known_once_a_side_has_closed() {
    let rig = Rig::new();
    let mut connection = Connection::open_with(&rig, CLIENT, &syn(CLIENT).options(&syn_options(70)));
    assert_eq!(connection.details(&rig).stamp, Stamp(70));
    connection.server_sends(&rig, SYN_ACK, b"");
    says(&rig, &mut connection, Flags::ACK, 75);
    assert_eq!(connection.details(&rig).stamp, Stamp(70), "nobody needs it yet");
    connection.server_sends(&rig, FIN_ACK, b"");
    // So long ago that it would seem to be yet to come.
    assert_eq!(connection.details(&rig).stamp, Stamp::NONE);
    for (clock, known) in [(80, 80), (79, 80), (81, 81)] {
        says(&rig, &mut connection, Flags::ACK, clock);
        assert_eq!(connection.details(&rig).stamp, Stamp(known), "{clock}");
    }
    // Not one that cannot be the client's.
    let blind = connection.by_client(Flags::ACK).options(&stamp(90));
    let blind = blind.with(|frame: &mut Frame| frame.tcp.acknowledgment_number ^= 1 << 31);
    connection.reaches_server(&rig, blind);
    assert_eq!(connection.details(&rig).stamp, Stamp(81));
    // The server did not want timestamps after all.
    connection.client_sends(&rig, Flags::ACK, b"");
    assert_eq!(connection.details(&rig).stamp, Stamp::NONE);
}

#[test]
fn the_next_server_is_asked_with_the_same_timestamp() {
    let rig = Rig::new();
    let syn = syn(CLIENT).options(&syn_options(70));
    let first = Connection::open_with(&rig, CLIENT, &syn);
    let second = first.moved(&rig, &syn, rig.run(&first.refusal().bytes()), Reason::Refused);
    assert_eq!(second.details(&rig).stamp, Stamp(70));
}

#[test]
fn a_port_rests_for_a_moment() {
    let rig = Rig::with_one_server(2);
    let mut old = Connection::established(&rig, client(1, 40_000));
    Connection::established(&rig, client(1, 40_001));
    part(&rig, &mut old, Parting::ClientFirst);
    let generation = old.slot(&rig).word().generation();
    // With no other, it is taken all the same.
    let new = Connection::open(&rig, NEWCOMER);
    assert_eq!(new.slot_number(&rig), old.slot_number(&rig));
    assert_eq!(new.slot(&rig).word().generation(), generation + 1);

    let rig = Rig::with_one_server(8);
    let mut crowd: Vec<_> = (0..8).map(|n| Connection::established(&rig, client(1, 40_000 + n))).collect();
    part(&rig, &mut crowd[3], Parting::ClientFirst);
    part(&rig, &mut crowd[5], Parting::Unacknowledged);
    rig.age(crowd[5].client.socket, OLDER);
    assert_eq!(Connection::open(&rig, NEWCOMER).slot_number(&rig), crowd[5].slot_number(&rig));
}

#[test]
fn whose_port_connects_anew_leaves_a_port_that_its_server_remembers() {
    let rig = Rig::with_one_server(8);
    let mut crowd: Vec<_> = (0..7).map(|n| Connection::established(&rig, client(1, 40_000 + n))).collect();
    part(&rig, &mut crowd[3], Parting::ServerFirst);
    part(&rig, &mut crowd[5], Parting::Unacknowledged);
    let newer = syn(crowd[3].client).options(&syn_options(LAST.wrapping_add(9)));
    let again = Connection::open_with(&rig, crowd[3].client, &newer);
    assert_ne!(again.slot_number(&rig), crowd[3].slot_number(&rig));
    assert_eq!(crowd[3].state(&rig), State::Left);
    // Its server has nothing to say to the client any more.
    let late = crowd[3].by_server(Flags::ACK);
    assert_eq!(rig.run(&late.bytes()), Out::Passed(Reason::NoConnection));
    // Nor does it take a SYN that it takes for an old one.
    rig.age(crowd[3].client.socket, REST);
    rig.age(crowd[5].client.socket, OLDER);
    let older = syn(NEWCOMER).options(&syn_options(LAST - 9));
    assert_eq!(Connection::open_with(&rig, NEWCOMER, &older).slot_number(&rig), crowd[5].slot_number(&rig));
    let newer = client(9, 50_001);
    let syn = syn(newer).options(&syn_options(LAST + 1));
    assert_eq!(Connection::open_with(&rig, newer, &syn).slot_number(&rig), crowd[3].slot_number(&rig));
}
