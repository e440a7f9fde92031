//! Rewritten frames, byte by byte.

use std::net::{Ipv4Addr, SocketAddrV4};

use lb_common::counters::PathCounters;
use lb_common::net::Mac;
use lb_common::tcp::{Flags, State};

use crate::connection::{CLIENT_ISN, Connection, FIN_ACK, RST_ACK, SERVER_ISN, SYN_ACK};
use crate::frame::{End, Frame, is_sound};
use crate::rig::{CLIENT, FRONTEND, NAT_FIRST, Out, Rig, at_our_mac, server};

/// A frame that is forwarded.
struct Fixture {
    description: &'static str,
    /// The state of the connection that there is before; none before the first SYN.
    before: Option<State>,
    frame: Vec<u8>,
    /// The frame that leaves: Ethernet, IP, TCP, its options, payload.
    sent: [&'static str; 5],
    after: State,
    /// What is counted for the frame, between the frontend and the first server.
    counted: PathCounters,
}

/// A client behind the router.
const REMOTE: End =
    End { mac: Mac([2, 0, 0, 0, 0, 1]), socket: SocketAddrV4::new(Ipv4Addr::new(10, 0, 2, 162), 51_234) };

/// The only NAT port: each server has one slot, so that every byte is known beforehand.
const NAT: SocketAddrV4 = SocketAddrV4::new(*FRONTEND.ip(), NAT_FIRST);

/// What Linux offers in a SYN: MSS, SACK permitted, timestamps, NOP, window scale.
const LAN_OPTIONS: [u8; 20] = [2, 4, 0x05, 0xb4, 4, 2, 8, 10, 0, 0, 0, 9, 0, 0, 0, 0, 1, 3, 3, 7];
const JUMBO_OPTIONS: [u8; 20] = [2, 4, 0x23, 0x00, 4, 2, 8, 10, 0, 0, 0, 9, 0, 0, 0, 0, 1, 3, 3, 7];

const fn next(isn: u32) -> u32 {
    isn.wrapping_add(1)
}

fn by(client: End, flags: u8) -> Frame {
    Frame::new(client, at_our_mac(FRONTEND), flags, next(CLIENT_ISN), next(SERVER_ISN))
}

fn opening(client: End) -> Frame {
    Frame::new(client, at_our_mac(FRONTEND), Flags::SYN, CLIENT_ISN, 0)
}

fn by_server(flags: u8) -> Frame {
    Frame::new(server(0), at_our_mac(NAT), flags, next(SERVER_ISN), next(CLIENT_ISN))
}

fn answering(flags: u8) -> Frame {
    Frame::new(server(0), at_our_mac(NAT), flags, SERVER_ISN, next(CLIENT_ISN))
}

/// A packet to the server with so many bytes of payload.
fn up(bytes: u64) -> PathCounters {
    PathCounters { packets: [1, 0], bytes: [bytes, 0], ..PathCounters::default() }
}

/// A packet to the client with so many bytes of payload.
fn down(bytes: u64) -> PathCounters {
    PathCounters { packets: [0, 1], bytes: [0, bytes], ..PathCounters::default() }
}

/// A frame that was padded to Ethernet's least length.
fn padded(frame: &Frame) -> Vec<u8> {
    let mut bytes = frame.bytes();
    bytes.resize(60, 0xee);
    bytes
}

#[expect(clippy::too_many_lines, reason = "it is a table")]
fn fixtures() -> Vec<Fixture> {
    vec![
        Fixture {
            description: "a SYN from the LAN",
            before: None,
            frame: opening(CLIENT).options(&LAN_OPTIONS).bytes(),
            sent: [
                "02000000000b 02000000000a 0800",
                "45 00 003c 1234 4000 3f 06 9d4e c612000a c612000b",
                "2800 192b fffffff0 00000000 a0 02 faf0 7fb0 0000",
                "020405b4 0402 080a0000000900000000 01 030307",
                "",
            ],
            after: State::SynSent,
            counted: PathCounters { connections: 1, ..up(0) },
        },
        Fixture {
            description: "a SYN from behind the router, whose MSS is too large",
            before: None,
            frame: opening(REMOTE).options(&JUMBO_OPTIONS).bytes(),
            sent: [
                "02000000000b 02000000000a 0800",
                "45 00 003c 1234 4000 3f 06 9d4e c612000a c612000b",
                "2800 192b fffffff0 00000000 a0 02 faf0 7fb0 0000",
                "020405b4 0402 080a0000000900000000 01 030307",
                "",
            ],
            after: State::SynSent,
            counted: PathCounters { connections: 1, ..up(0) },
        },
        Fixture {
            description: "a SYN with data (RFC 7413) from a client that is a server",
            before: None,
            frame: opening(server(1)).payload(b"early").bytes(),
            sent: [
                "02000000000b 02000000000a 0800",
                "45 00 002d 1234 4000 3f 06 9d5d c612000a c612000b",
                "2800 192b fffffff0 00000000 50 02 faf0 96c8 0000",
                "",
                "6561726c79",
            ],
            after: State::SynSent,
            counted: PathCounters { connections: 1, ..up(5) },
        },
        Fixture {
            description: "a retransmitted SYN",
            before: Some(State::SynSent),
            frame: opening(CLIENT).options(&LAN_OPTIONS).bytes(),
            sent: [
                "02000000000b 02000000000a 0800",
                "45 00 003c 1234 4000 3f 06 9d4e c612000a c612000b",
                "2800 192b fffffff0 00000000 a0 02 faf0 7fb0 0000",
                "020405b4 0402 080a0000000900000000 01 030307",
                "",
            ],
            after: State::SynSent,
            counted: up(0),
        },
        Fixture {
            description: "a SYN-ACK whose MSS is too large",
            before: Some(State::SynSent),
            frame: answering(SYN_ACK).options(&JUMBO_OPTIONS).bytes(),
            sent: [
                "020000000101 02000000000a 0800",
                "45 00 003c 1234 4000 3f 06 9c58 c612000a c6120101",
                "192b 9c40 004c4b40 fffffff1 a0 12 faf0 bedc 0000",
                "020405b4 0402 080a0000000900000000 01 030307",
                "",
            ],
            after: State::SynReceived,
            counted: down(0),
        },
        Fixture {
            description: "the ACK that establishes",
            before: Some(State::SynReceived),
            frame: by(CLIENT, Flags::ACK).bytes(),
            sent: [
                "02000000000b 02000000000a 0800",
                "45 00 0028 1234 4000 3f 06 9d62 c612000a c612000b",
                "2800 192b fffffff1 004c4b41 50 10 faf0 9bff 0000",
                "",
                "",
            ],
            after: State::Established,
            counted: PathCounters { established: 1, ..up(0) },
        },
        Fixture {
            description: "the same, padded by Ethernet",
            before: Some(State::SynReceived),
            frame: padded(&by(CLIENT, Flags::ACK)),
            sent: [
                "02000000000b 02000000000a 0800",
                "45 00 0028 1234 4000 3f 06 9d62 c612000a c612000b",
                "2800 192b fffffff1 004c4b41 50 10 faf0 9bff 0000",
                "",
                "eeeeeeeeeeee",
            ],
            after: State::Established,
            counted: PathCounters { established: 1, ..up(0) },
        },
        Fixture {
            description: "a client's data, an odd number of bytes",
            before: Some(State::Established),
            frame: by(CLIENT, Flags::ACK).payload(b"hello").bytes(),
            sent: [
                "02000000000b 02000000000a 0800",
                "45 00 002d 1234 4000 3f 06 9d5d c612000a c612000b",
                "2800 192b fffffff1 004c4b41 50 10 faf0 5828 0000",
                "",
                "68656c6c6f",
            ],
            after: State::Established,
            counted: up(5),
        },
        Fixture {
            description: "a server's data",
            before: Some(State::Established),
            frame: by_server(Flags::ACK).payload(b"world!").bytes(),
            sent: [
                "020000000101 02000000000a 0800",
                "45 00 002e 1234 4000 3f 06 9c66 c612000a c6120101",
                "192b 9c40 004c4b41 fffffff1 50 10 faf0 d8c5 0000",
                "",
                "776f726c6421",
            ],
            after: State::Established,
            counted: down(6),
        },
        Fixture {
            description: "a client's FIN",
            before: Some(State::Established),
            frame: by(CLIENT, FIN_ACK).bytes(),
            sent: [
                "02000000000b 02000000000a 0800",
                "45 00 0028 1234 4000 3f 06 9d62 c612000a c612000b",
                "2800 192b fffffff1 004c4b41 50 11 faf0 9bfe 0000",
                "",
                "",
            ],
            after: State::Established,
            counted: up(0),
        },
        Fixture {
            description: "a server's FIN with its last data",
            before: Some(State::Established),
            frame: by_server(FIN_ACK).payload(b"bye").bytes(),
            sent: [
                "020000000101 02000000000a 0800",
                "45 00 002b 1234 4000 3f 06 9c69 c612000a c6120101",
                "192b 9c40 004c4b41 fffffff1 50 11 faf0 5f4b 0000",
                "",
                "627965",
            ],
            after: State::Established,
            counted: down(3),
        },
        Fixture {
            description: "a client's RST",
            before: Some(State::Established),
            frame: by(CLIENT, RST_ACK).bytes(),
            sent: [
                "02000000000b 02000000000a 0800",
                "45 00 0028 1234 4000 3f 06 9d62 c612000a c612000b",
                "2800 192b fffffff1 004c4b41 50 14 faf0 9bfb 0000",
                "",
                "",
            ],
            after: State::Closed,
            counted: up(0),
        },
        Fixture {
            description: "a server's RST",
            before: Some(State::Established),
            frame: by_server(RST_ACK).bytes(),
            sent: [
                "020000000101 02000000000a 0800",
                "45 00 0028 1234 4000 3f 06 9c6c c612000a c6120101",
                "192b 9c40 004c4b41 fffffff1 50 14 faf0 26c5 0000",
                "",
                "",
            ],
            after: State::Closed,
            counted: down(0),
        },
        Fixture {
            description: "an ACK in TIME-WAIT",
            before: Some(State::TimeWait),
            frame: by(CLIENT, Flags::ACK).bytes(),
            sent: [
                "02000000000b 02000000000a 0800",
                "45 00 0028 1234 4000 3f 06 9d62 c612000a c612000b",
                "2800 192b fffffff1 004c4b41 50 10 faf0 9bff 0000",
                "",
                "",
            ],
            after: State::TimeWait,
            counted: up(0),
        },
    ]
}

/// The bytes that hexadecimal digits stand for.
pub fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(|byte| *byte != b' ').collect();
    let byte = |pair: &[u8]| {
        let pair = std::str::from_utf8(pair).expect("ASCII");
        u8::from_str_radix(pair, 16).expect("hexadecimal digits")
    };
    digits.chunks(2).map(byte).collect()
}

#[test]
fn every_byte_is_as_it_should_be() {
    for Fixture { description, before, frame, sent, after, counted } in fixtures() {
        let rig = Rig::with_slots(1);
        if let Some(state) = before {
            Connection::in_state(&rig, CLIENT, state);
        }
        let traffic = rig.traffic();
        let expected = bytes(&sent.concat());
        assert_eq!(is_sound(&frame), Ok(true), "{description}: the input");
        assert_eq!(is_sound(&expected), Ok(true), "{description}: the fixture");
        assert_eq!(rig.run(&frame), Out::Sent(expected), "{description}");
        // The first server's only slot.
        assert_eq!(rig.slot(0).word().state(), after, "{description}");

        let mut total = traffic;
        total.add(&counted);
        assert_eq!((rig.traffic(), rig.path(0, 0)), (total, total), "{description}");
    }
}
