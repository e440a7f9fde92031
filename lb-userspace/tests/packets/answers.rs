//! Frames that the balancer itself makes, byte by byte.

use std::net::{Ipv4Addr, SocketAddrV4};

use lb_common::admission::AllowList;
use lb_common::net::Mac;
use lb_common::reason::{Disposition, Reason};
use lb_common::tcp::Flags;

use crate::connection::{Connection, SYN_ACK, syn};
use crate::frame::{End, is_sound};
use crate::rewrites::bytes;
use crate::rig::{CLIENT, Out, Rig};
use crate::silence;

/// Something that happens, and the frame that is sent in place of the last one.
struct Fixture {
    description: &'static str,
    reason: Reason,
    /// What happens, and the frame after it.
    frame: fn(&mut Rig) -> Vec<u8>,
    /// The frame that leaves: Ethernet, IP, TCP, its options.
    sent: [&'static str; 4],
}

/// The reasons that have a fixture here.
pub const REASONS: &[Reason] = &[
    Reason::NoServer,
    Reason::NotAllowed,
    Reason::ServerDown,
    Reason::LateAnswer,
    Reason::Refused,
    Reason::StalePort,
];

/// A client behind the router.
const REMOTE: End =
    End { mac: Mac([2, 0, 0, 0, 0, 1]), socket: SocketAddrV4::new(Ipv4Addr::new(10, 0, 2, 162), 51_234) };

/// What Linux offers in a SYN over jumbo frames: MSS, SACK permitted, timestamps, NOP, window scale.
const JUMBO_OPTIONS: [u8; 20] = [2, 4, 0x23, 0x00, 4, 2, 8, 10, 0, 0, 0, 9, 0, 0, 0, 0, 1, 3, 3, 7];

fn all_down(rig: &mut Rig) {
    for server in 0..3 {
        rig.control.set_up(server, false).expect("can be written");
    }
}

#[expect(clippy::too_many_lines, reason = "it is a table")]
fn fixtures() -> Vec<Fixture> {
    vec![
        Fixture {
            description: "a SYN while no server is up",
            reason: Reason::NoServer,
            frame: |rig| {
                all_down(rig);
                syn(CLIENT).options(&JUMBO_OPTIONS).bytes()
            },
            sent: [
                "020000000101 02000000000a 0800",
                "45 00 0028 0000 4000 40 06 ada0 c612000a c6120101",
                "192b 9c40 00000000 fffffff1 50 14 0000 6d43 0000",
                "",
            ],
        },
        Fixture {
            description: "a padded SYN with data and a service class, from behind the router",
            reason: Reason::NotAllowed,
            frame: |rig| {
                rig.set_up(|setup| setup.frontends[0].limits.allow = AllowList(1));
                let syn = syn(REMOTE).payload(b"early");
                let mut bytes = syn.with(|frame| frame.ip.dscp = 46.try_into().expect("six bits")).bytes();
                bytes.resize(64, 0xee);
                bytes
            },
            sent: [
                "020000000001 02000000000a 0800",
                "45 00 0028 0000 4000 40 06 6812 c612000a 0a0002a2",
                "192b c822 00000000 fffffff6 50 14 0000 fbcd 0000",
                "",
            ],
        },
        Fixture {
            description: "a client's data to a server that is down",
            reason: Reason::ServerDown,
            frame: |rig| {
                let connection = Connection::established(rig, CLIENT);
                rig.reset(CLIENT.socket);
                connection.by_client(Flags::ACK).payload(b"hello").bytes()
            },
            sent: [
                "020000000101 02000000000a 0800",
                "45 00 0028 0000 4000 40 06 ada0 c612000a c6120101",
                "192b 9c40 004c4b41 00000000 50 04 0000 21b8 0000",
                "",
            ],
        },
        Fixture {
            description: "data of a server that was down",
            reason: Reason::ServerDown,
            frame: |rig| {
                let connection = Connection::established(rig, CLIENT);
                rig.reset(CLIENT.socket);
                connection.by_server(Flags::ACK).payload(&[0; 1000]).bytes()
            },
            sent: [
                "02000000000b 02000000000a 0800",
                "45 00 0028 0000 4000 40 06 ae96 c612000a c612000b",
                "2800 192b fffffff1 00000000 50 04 0000 e289 0000",
                "",
            ],
        },
        Fixture {
            description: "the SYN-ACK of a server that answers too late",
            reason: Reason::LateAnswer,
            frame: |rig| silence::abandoned(rig).by_server(SYN_ACK).options(&JUMBO_OPTIONS).bytes(),
            sent: [
                "02000000000b 02000000000a 0800",
                "45 00 0028 0000 4000 40 06 ae96 c612000a c612000b",
                "2800 192b fffffff1 00000000 50 04 0000 e289 0000",
                "",
            ],
        },
        Fixture {
            description: "a refusal of a SYN with data, whose MSS is too large, from behind the router",
            reason: Reason::Refused,
            frame: |rig| {
                let syn = syn(REMOTE).options(&JUMBO_OPTIONS).payload(b"early").with(|frame| {
                    frame.ip.dscp = 46.try_into().expect("six bits");
                    frame.ip.time_to_live = 57;
                    frame.tcp.window_size = 29_200;
                });
                assert!(matches!(rig.run(&syn.bytes()), Out::Sent(_)));
                Connection::open(rig, REMOTE).refusal().bytes()
            },
            sent: [
                "02000000000c 02000000000a 0800",
                "45 b8 003c 0000 4000 38 06 b5c9 c612000a c612000c",
                "2800 192b fffffff0 00000000 a0 02 7210 0890 0000",
                "020405b4 0402 080a0000000900000000 01 030307",
            ],
        },
        Fixture {
            description: "a refusal of a SYN without options",
            reason: Reason::Refused,
            frame: |rig| Connection::open(rig, CLIENT).refusal().bytes(),
            sent: [
                "02000000000c 02000000000a 0800",
                "45 00 0028 0000 4000 3f 06 af95 c612000a c612000c",
                "2800 192b fffffff0 00000000 50 02 faf0 e79a 0000",
                "",
            ],
        },
        Fixture {
            description: "a refusal by the only server: its own RST",
            reason: Reason::Refused,
            frame: |rig| {
                let connection = Connection::open(rig, CLIENT);
                all_down(rig);
                connection.refusal().bytes()
            },
            sent: [
                "020000000101 02000000000a 0800",
                "45 00 0028 1234 4000 3f 06 9c6c c612000a c6120101",
                "192b 9c40 00000000 fffffff1 50 14 faf0 7252 0000",
                "",
            ],
        },
        Fixture {
            description: "the challenge ACK of a server that knows an older connection",
            reason: Reason::StalePort,
            frame: |rig| {
                assert!(matches!(rig.run(&syn(CLIENT).options(&JUMBO_OPTIONS).bytes()), Out::Sent(_)));
                Connection::open(rig, CLIENT).challenge().bytes()
            },
            sent: [
                "02000000000c 02000000000a 0800",
                "45 00 003c 0000 4000 3f 06 af81 c612000a c612000c",
                "2800 192b fffffff0 00000000 a0 02 faf0 7faf 0000",
                "020405b4 0402 080a0000000900000000 01 030307",
            ],
        },
    ]
}

#[test]
fn every_byte_is_as_it_should_be() {
    for Fixture { description, reason, frame, sent } in fixtures() {
        // Each server has one slot, so that every byte is known beforehand.
        let mut rig = Rig::with_slots(1);
        let frame = frame(&mut rig);
        let expected = bytes(&sent.concat());
        assert_eq!(is_sound(&frame), Ok(true), "{description}: the input");
        assert_eq!(is_sound(&expected), Ok(true), "{description}: the fixture");
        assert_eq!(rig.run(&frame), Out::Answered(reason, expected), "{description}");
    }
}

#[test]
fn every_reason_that_answers_has_a_fixture() {
    let has_fixture = |reason: &Reason| fixtures().iter().any(|fixture| fixture.reason == *reason);
    assert!(REASONS.iter().all(has_fixture));
    let answers = |reason: &&Reason| matches!(reason.disposition(), Disposition::Reset | Disposition::Retry);
    assert!(Reason::ALL.iter().filter(answers).all(has_fixture));
}
