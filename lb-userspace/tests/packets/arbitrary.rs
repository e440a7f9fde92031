//! Whatever arrives, what leaves is as sound as what came, and only what must change has changed.

use std::cell::Cell;
use std::fmt::Debug;

use etherparse::IpNumber;
use lb_common::reason::Disposition;
use lb_common::tcp::{Flags, State};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, TestRunner};

use crate::connection::Connection;
use crate::entry::Entry;
use crate::frame::{Frame, ICMP_AT, IP_AT, OPTIONS_AT, QUOTE_AT, TCP_AT};
use crate::icmp::{About, BOTH, ERRORS};
use crate::rig::{CLIENT, OUR_MAC, Out, Rig, client, is_opening, server};

/// How many frames are tried of each kind.
fn count() -> u32 {
    lb_lab::size::or_less(2_000)
}

/// A state that a connection is in, and what comes then.
#[derive(Clone, Debug)]
struct Case {
    state: State,
    by_server: bool,
    flags: u8,
    /// How far the numbers are from the right ones.
    seq: i32,
    ack: i32,
    options: Vec<u8>,
    payload: Vec<u8>,
    ttl: u8,
    /// Bytes that are not what they should be, and bytes behind the packet.
    damage: Vec<(Index, u8)>,
    padding: Vec<u8>,
}

impl Case {
    fn frame(&self, connection: &Connection) -> Vec<u8> {
        let frame =
            if self.by_server { connection.by_server(self.flags) } else { connection.by_client(self.flags) };
        let mut bytes =
            frame.options(&self.options).payload(&self.payload).with(|frame| self.shift(frame)).bytes();
        bytes.extend(&self.padding);
        for (at, byte) in &self.damage {
            *at.get_mut(&mut bytes) = *byte;
        }
        bytes
    }

    fn shift(&self, frame: &mut Frame) {
        let Frame { ip, tcp, .. } = frame;
        ip.time_to_live = self.ttl;
        tcp.sequence_number = tcp.sequence_number.wrapping_add_signed(self.seq);
        tcp.acknowledgment_number = tcp.acknowledgment_number.wrapping_add_signed(self.ack);
    }
}

fn cases() -> impl Strategy<Value = Case> {
    let states = [State::SynSent, State::SynReceived, State::Established, State::TimeWait, State::Closed];
    let flags = [Flags::SYN, Flags::ACK, Flags::RST, Flags::SYN | Flags::ACK, Flags::FIN | Flags::ACK];
    let distance = || prop_oneof![3 => Just(0), 2 => -3..4, 1 => any::<i32>()];
    let bytes = |most| proptest::collection::vec(any::<u8>(), 0..=most);
    // Half of the options begin as a segment size may: at an even or at an odd offset.
    let mss = (0..3usize, any::<u16>(), bytes(32))
        .prop_map(|(nops, mss, rest)| [&vec![1; nops][..], &[2, 4], &mss.to_be_bytes(), &rest].concat());
    let options = prop_oneof![bytes(40), mss];
    let damage = prop_oneof![3 => Just(vec![]), 1 => proptest::collection::vec(any::<(Index, u8)>(), 1..3)];
    let segment =
        (select(states.to_vec()), any::<bool>(), prop_oneof![4 => select(flags.to_vec()), 1 => any::<u8>()]);
    (segment, (distance(), distance()), options, bytes(100), 2..=255u8, damage, bytes(8)).prop_map(
        |((state, by_server, flags), (seq, ack), options, payload, ttl, damage, padding)| Case {
            state,
            by_server,
            flags,
            seq,
            ack,
            options,
            payload,
            ttl,
            damage,
            padding,
        },
    )
}

/// An ICMP message about a packet of a connection, more or less.
#[derive(Clone, Debug)]
struct IcmpCase {
    state: State,
    about: About,
    kind: (u8, u8),
    rest: [u8; 4],
    flags: u8,
    seq: i32,
    payload: Vec<u8>,
    /// How much is quoted, and what stands behind the quote.
    quoted: usize,
    extension: Vec<u8>,
    ttl: u8,
    damage: Vec<(Index, u8)>,
    padding: Vec<u8>,
}

impl IcmpCase {
    fn frame(&self, connection: &Connection) -> Vec<u8> {
        let packet = self.about.packet(connection, self.flags).payload(&self.payload).with(|packet| {
            packet.tcp.sequence_number = packet.tcp.sequence_number.wrapping_add_signed(self.seq);
        });
        let complaint = self.about.complaint(connection, self.kind, &packet, self.quoted);
        let mut bytes = complaint
            .with(|complaint| {
                complaint.rest = self.rest;
                complaint.ip.time_to_live = self.ttl;
                complaint.quote.extend(&self.extension);
            })
            .bytes();
        bytes.extend(&self.padding);
        for (at, byte) in &self.damage {
            *at.get_mut(&mut bytes) = *byte;
        }
        bytes
    }
}

fn icmp_cases() -> impl Strategy<Value = IcmpCase> {
    let states = [State::SynSent, State::SynReceived, State::Established, State::TimeWait, State::Closed];
    let kind = prop_oneof![9 => select(ERRORS.to_vec()), 1 => any::<(u8, u8)>()];
    let seq = prop_oneof![3 => Just(0), 2 => -3..4, 1 => any::<i32>()];
    let bytes = |most| proptest::collection::vec(any::<u8>(), 0..=most);
    let damage = prop_oneof![3 => Just(vec![]), 1 => proptest::collection::vec(any::<(Index, u8)>(), 1..3)];
    let connection = (select(states.to_vec()), select(BOTH.to_vec()));
    let message = (kind, any::<[u8; 4]>(), 2..=255u8);
    let quote = (any::<u8>(), seq, bytes(100), prop_oneof![1 => 0..28usize, 9 => 28..150usize], bytes(16));
    (connection, message, quote, damage, bytes(8)).prop_map(
        |((state, about), (kind, rest, ttl), (flags, seq, payload, quoted, extension), damage, padding)| {
            IcmpCase {
                state,
                about,
                kind,
                rest,
                flags,
                seq,
                payload,
                quoted,
                extension,
                ttl,
                damage,
                padding,
            }
        },
    )
}

/// Whether a rewrite may change the byte at `at`.
fn may_change(frame: &[u8], at: usize) -> bool {
    if frame[IP_AT + 9] == IpNumber::ICMP.0 { may_change_icmp(at) } else { may_change_tcp(frame, at) }
}

/// Outside, MACs, TTL, checksums and addresses; inside, all but TTL, and the ports.
fn may_change_icmp(at: usize) -> bool {
    let quoted_tcp = QUOTE_AT + 20;
    match at {
        0..12 => true,
        _ if at == IP_AT + 8 || (IP_AT + 10..ICMP_AT).contains(&at) => true,
        _ if (ICMP_AT + 2..ICMP_AT + 4).contains(&at) => true,
        _ if (QUOTE_AT + 10..quoted_tcp + 4).contains(&at) => true,
        _ => (quoted_tcp + 16..quoted_tcp + 18).contains(&at),
    }
}

/// Addresses, TTL, checksums, ports; and the MSS of a SYN.
fn may_change_tcp(frame: &[u8], at: usize) -> bool {
    let is_syn = frame[TCP_AT + 13] & Flags::SYN != 0;
    let header_end = TCP_AT + usize::from(frame[TCP_AT + 12] >> 4) * 4;
    match at {
        0..12 => true,
        _ if at == IP_AT + 8 || (IP_AT + 10..TCP_AT + 4).contains(&at) => true,
        _ if (TCP_AT + 16..TCP_AT + 18).contains(&at) => true,
        _ => is_syn && (OPTIONS_AT..header_end).contains(&at),
    }
}

/// What became of a frame that keeps the laws.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Passed,
    Dropped,
    Forwarded,
    /// Its sender got a RST.
    Reset,
    /// The next server got a SYN.
    MovedOn,
}

/// Runs a frame; the rig itself looks at the checksums, at frames that are passed, and at the reasons.
/// Tells what became of it.
pub fn holds(rig: &Rig, frame: &[u8]) -> Result<Kind, TestCaseError> {
    Ok(match rig.run(frame) {
        Out::Passed(_) => Kind::Passed,
        Out::Dropped(_) => Kind::Dropped,
        Out::Answered(reason, sent) if reason.disposition() == Disposition::Reset => is_reset(frame, &sent)?,
        Out::Answered(_, sent) if is_opening(&sent) => is_syn(&sent)?,
        // An answer that the client gets after all is one that is forwarded.
        Out::Answered(_, sent) | Out::Sent(sent) => is_forwarded(frame, &sent)?,
    })
}

/// Nothing has changed but what a rewrite may change.
fn is_forwarded(frame: &[u8], sent: &[u8]) -> Result<Kind, TestCaseError> {
    prop_assert_eq!(sent.len(), frame.len());
    prop_assert_eq!(&sent[6..12], OUR_MAC.0);
    prop_assert_eq!(sent[IP_AT + 8] + 1, frame[IP_AT + 8]);
    for (at, (new, old)) in sent.iter().zip(frame).enumerate() {
        prop_assert!(new == old || may_change(frame, at), "byte {}: {:02x?} became {:02x?}", at, frame, sent);
    }
    Ok(Kind::Forwarded)
}

/// A bare RST goes back the way that the frame came.
fn is_reset(frame: &[u8], sent: &[u8]) -> Result<Kind, TestCaseError> {
    prop_assert_eq!(sent.len(), OPTIONS_AT);
    prop_assert_eq!([&sent[6..12], &sent[..6]].concat(), &frame[..12]);
    prop_assert_eq!([&sent[30..34], &sent[26..30]].concat(), &frame[26..34]);
    prop_assert_eq!([&sent[36..38], &sent[34..36]].concat(), &frame[34..38]);
    prop_assert_eq!(sent[TCP_AT + 13] & !Flags::ACK, Flags::RST);
    prop_assert_eq!(frame[TCP_AT + 13] & Flags::RST, 0, "no RST for a RST");
    Ok(Kind::Reset)
}

/// A SYN without data goes to a server.
fn is_syn(sent: &[u8]) -> Result<Kind, TestCaseError> {
    prop_assert_eq!(&sent[6..12], OUR_MAC.0);
    prop_assert_eq!(sent.len(), TCP_AT + usize::from(sent[TCP_AT + 12] >> 4) * 4);
    prop_assert!((0..3).any(|number| server(number).socket.ip().octets() == sent[30..34]));
    Ok(Kind::MovedOn)
}

fn runner() -> TestRunner {
    // What fails becomes a fixture, not a file of seeds.
    TestRunner::new(Config { cases: count(), failure_persistence: None, ..Config::default() })
}

/// Runs a frame of each case in a connection of its own, and returns how many were forwarded.
fn forwarded<C: Debug>(
    cases: &impl Strategy<Value = C>,
    state: impl Fn(&C) -> State,
    frame: impl Fn(&C, &Connection) -> Vec<u8>,
) -> u32 {
    let rig = Rig::with_slots(4096);
    let opened = Cell::new(0);
    let forwarded = Cell::new(0);
    let outcome = runner().run(cases, |case| {
        let n: u16 = opened.replace(opened.get() + 1);
        let connection = Connection::in_state(&rig, client(1, 10_000 + n), state(&case));
        let kind = holds(&rig, &frame(&case, &connection))?;
        forwarded.set(forwarded.get() + u32::from(kind == Kind::Forwarded));
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
    forwarded.get()
}

#[test]
fn half_valid_frames() {
    let forwarded = forwarded(&cases(), |case| case.state, Case::frame);
    assert!(forwarded > count() / 2, "only {forwarded} were valid enough to say something");
}

#[test]
fn half_valid_errors() {
    let forwarded = forwarded(&icmp_cases(), |case| case.state, IcmpCase::frame);
    assert!(forwarded > count() / 4, "only {forwarded} were valid enough to say something");
}

#[test]
fn arbitrary_bytes() {
    let rig = Rig::new();
    let anything = || proptest::collection::vec(any::<u8>(), Entry::chosen().shortest()..200);
    let behind_our_mac = anything().prop_map(|mut bytes| {
        bytes.splice(..14, [&OUR_MAC.0[..], &CLIENT.mac.0, &[0x08, 0x00]].concat());
        bytes
    });
    let outcome =
        runner().run(&prop_oneof![anything(), behind_our_mac], |frame| holds(&rig, &frame).map(drop));
    outcome.unwrap();
}
