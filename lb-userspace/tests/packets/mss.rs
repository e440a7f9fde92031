//! The maximum segment size that SYN and SYN-ACK announce is lowered to what our interface carries.

use lb_common::tcp::Flags;

use crate::connection::{Connection, SYN_ACK, syn};
use crate::frame::{Frame, OPTIONS_AT};
use crate::rig::{CLIENT, Out, Rig, client};

/// TCP options before and after, with an MTU of 1500.
struct Fixture {
    description: &'static str,
    options: &'static [u8],
    forwarded: &'static [u8],
}

const FIXTURES: &[Fixture] = &[
    Fixture { description: "none", options: &[], forwarded: &[] },
    Fixture { description: "larger", options: &[2, 4, 0x23, 0x28], forwarded: &[2, 4, 0x05, 0xb4] },
    Fixture { description: "one more", options: &[2, 4, 0x05, 0xb5], forwarded: &[2, 4, 0x05, 0xb4] },
    Fixture { description: "equal", options: &[2, 4, 0x05, 0xb4], forwarded: &[2, 4, 0x05, 0xb4] },
    Fixture { description: "smaller", options: &[2, 4, 0x02, 0x18], forwarded: &[2, 4, 0x02, 0x18] },
    Fixture {
        description: "as Linux sends it over jumbo frames",
        options: &[2, 4, 0x23, 0x00, 4, 2, 8, 10, 1, 2, 3, 4, 0, 0, 0, 0, 1, 3, 3, 7],
        forwarded: &[2, 4, 0x05, 0xb4, 4, 2, 8, 10, 1, 2, 3, 4, 0, 0, 0, 0, 1, 3, 3, 7],
    },
    Fixture {
        description: "at an odd offset",
        options: &[1, 2, 4, 0xff, 0xff, 1, 1, 0],
        forwarded: &[1, 2, 4, 0x05, 0xb4, 1, 1, 0],
    },
    Fixture {
        description: "at an odd offset behind another option, with bytes that carry over",
        options: &[3, 3, 7, 2, 4, 0x06, 0x00, 0],
        forwarded: &[3, 3, 7, 2, 4, 0x05, 0xb4, 0],
    },
    Fixture {
        description: "the last four of forty bytes",
        options: &[
            1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
            1, 1, 1, 1, 2, 4, 0x23, 0x28,
        ],
        forwarded: &[
            1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
            1, 1, 1, 1, 2, 4, 0x05, 0xb4,
        ],
    },
    Fixture {
        description: "behind the end of the options",
        options: &[0, 2, 4, 0x23, 0x28, 0, 0, 0],
        forwarded: &[0, 2, 4, 0x23, 0x28, 0, 0, 0],
    },
    Fixture {
        description: "behind an option of length zero",
        options: &[8, 0, 1, 1, 2, 4, 0x23, 0x28],
        forwarded: &[8, 0, 1, 1, 2, 4, 0x23, 0x28],
    },
    Fixture {
        description: "behind an option that is longer than the header",
        options: &[8, 200, 1, 1, 2, 4, 0x23, 0x28],
        forwarded: &[8, 200, 1, 1, 2, 4, 0x23, 0x28],
    },
    Fixture {
        description: "inside another option",
        options: &[254, 8, 2, 4, 0x23, 0x28, 0, 0],
        forwarded: &[254, 8, 2, 4, 0x23, 0x28, 0, 0],
    },
    Fixture {
        description: "cut off by the end of the header, with what looks like it in the payload",
        options: &[1, 1, 2, 4],
        forwarded: &[1, 1, 2, 4],
    },
];

/// What may follow a cut-off option: the segment size that must not be touched there.
const PAYLOAD: [u8; 2] = [0x23, 0x28];

fn announcing(frame: Frame, options: &[u8]) -> Frame {
    frame.options(options).payload(&PAYLOAD)
}

#[test]
fn a_syn_is_clamped() {
    let rig = Rig::new();
    for (port, Fixture { description, options, forwarded }) in (40_000..).zip(FIXTURES) {
        let syn = syn(client(1, port));
        let sent = rig.run(&announcing(syn.clone(), options).bytes());
        // A retransmission finds out where the first one went.
        let connection = Connection::open_with(&rig, client(1, port), &syn);
        let expected = connection.at_server(announcing(syn, forwarded));
        assert_eq!(sent, Out::Sent(expected.bytes()), "{description}");
    }
}

#[test]
fn a_syn_ack_is_clamped() {
    let rig = Rig::new();
    let connection = Connection::open(&rig, CLIENT);
    for Fixture { description, options, forwarded } in FIXTURES {
        let sent = rig.run(&announcing(connection.by_server(SYN_ACK), options).bytes());
        let expected = connection.at_client(announcing(connection.by_server(SYN_ACK), forwarded));
        assert_eq!(sent, Out::Sent(expected.bytes()), "{description}");
    }
}

#[test]
fn only_segments_with_syn_are_looked_at() {
    let rig = Rig::new();
    let connection = Connection::established(&rig, CLIENT);
    let options = [2, 4, 0x23, 0x28];
    connection.reaches_server(&rig, connection.by_client(Flags::ACK).options(&options));
    connection.reaches_client(&rig, connection.by_server(Flags::ACK).options(&options));
}

#[test]
fn the_limit_follows_the_mtu() {
    for (mtu, mss) in [(1500, 1460_u16), (1280, 1240), (9000, 8960)] {
        let rig = Rig::with(|wanted| wanted.mtu = mtu);
        let Out::Sent(sent) = rig.run(&syn(CLIENT).options(&[2, 4, 0xff, 0xff]).bytes()) else {
            panic!("the SYN was not forwarded");
        };
        assert_eq!(sent[OPTIONS_AT..], [&[2, 4], &mss.to_be_bytes()[..]].concat());
    }
}
