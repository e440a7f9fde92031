//! Frames of connections in every state, spoiled in every way: what leaves is as sound as what came,
//! and only what must change has changed.

use std::cell::RefCell;
use std::collections::BTreeMap;

use lb_common::slot::Slot;
use lb_common::tcp::{Fins, Flags, State};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, TestRunner};
use xlb::dataplane::slots::SlotViewMut;

use crate::arbitrary::{Kind as Fate, holds};
use crate::connection::{Connection, FIN_ACK, RST_ACK, STATES, SYN_ACK, syn};
use crate::entry::Entry;
use crate::frame::{End, ICMP_AT, IP_AT, TCP_AT};
use crate::icmp::{BOTH, ERRORS};
use crate::rig::{REDISPATCH_AFTER, Rig, client};

/// Slots of each of three servers.
const SLOTS: u16 = 64;

/// After so many frames there are new connections: the index may have forgotten the old ones.
const FRAMES: u32 = 500;

/// Something that happens to a frame.
#[derive(Clone, Debug)]
enum Damage {
    /// A bit that is another.
    Bit(Index, u8),
    /// A field of a header that has another value: where it is, and how long.
    Field((usize, usize), [u8; 4]),
    /// The end is missing.
    Cut(Index),
    /// There is more.
    More(Vec<u8>),
    /// Part of it is there twice.
    Twice(Index, Index),
}

/// The fields that decide: lengths, fragments, TTL, protocol, addresses, ports, numbers, flags; and
/// what an ICMP error quotes.
const FIELDS: [(usize, usize); 22] = [
    (0, 4),
    (12, 2),
    (IP_AT, 1),
    (IP_AT + 1, 1),
    (IP_AT + 2, 2),
    (IP_AT + 3, 1),
    (IP_AT + 6, 2),
    (IP_AT + 8, 1),
    (IP_AT + 9, 1),
    (IP_AT + 12, 4),
    (IP_AT + 16, 4),
    (TCP_AT, 2),
    (TCP_AT + 2, 2),
    (TCP_AT + 4, 4),
    (TCP_AT + 8, 4),
    (TCP_AT + 12, 1),
    (TCP_AT + 13, 1),
    (TCP_AT + 20, 2),
    (ICMP_AT, 2),
    (ICMP_AT + 8, 1),
    (ICMP_AT + 10, 2),
    (ICMP_AT + 14, 2),
];

impl Damage {
    fn befalls(&self, frame: &mut Vec<u8>) {
        match self {
            Self::Bit(at, bit) => *at.get_mut(frame) ^= 1 << (bit % 8),
            Self::Field((at, length), value) => {
                for (byte, new) in frame.iter_mut().skip(*at).take(*length).zip(value) {
                    *byte = *new;
                }
            }
            Self::Cut(to) => frame.truncate(to.index(frame.len()).max(Entry::chosen().shortest())),
            Self::More(more) => frame.extend(more),
            Self::Twice(from, at) => {
                let part = frame[from.index(frame.len())..].to_vec();
                let at = at.index(frame.len());
                frame.splice(at..at, part);
            }
        }
    }
}

/// A frame of a connection, and what happens to it.
#[derive(Clone, Debug)]
struct Case {
    state: usize,
    kind: Kind,
    flags: u8,
    options: Vec<u8>,
    payload: Vec<u8>,
    damage: Vec<Damage>,
    /// Whether whoever did the damage has mended the checksums.
    is_mended: bool,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Syn,
    ByClient,
    ByServer,
    Refusal,
    /// An error about a packet of either side, and how much it quotes.
    Error {
        about: usize,
        kind: usize,
        quoted: usize,
    },
}

impl Case {
    fn frame(&self, connection: &Connection) -> Vec<u8> {
        let frame = match self.kind {
            Kind::Syn => syn(connection.client),
            Kind::ByClient => connection.by_client(self.flags),
            Kind::ByServer => connection.by_server(self.flags),
            Kind::Refusal => connection.refusal(),
            Kind::Error { about, kind, quoted } => {
                let packet = BOTH[about].packet(connection, self.flags).payload(&self.payload);
                let complaint = BOTH[about].complaint(connection, ERRORS[kind], &packet, quoted);
                return self.spoiled(complaint.bytes());
            }
        };
        self.spoiled(frame.options(&self.options).payload(&self.payload).bytes())
    }

    fn spoiled(&self, mut frame: Vec<u8>) -> Vec<u8> {
        self.damage.iter().for_each(|damage| damage.befalls(&mut frame));
        // Longer ones than a page no test run takes.
        frame.truncate(1514);
        if self.is_mended {
            mend(&mut frame);
        }
        frame
    }
}

/// Makes the checksums of a frame right, as far as it has any.
fn mend(frame: &mut [u8]) -> Option<()> {
    let header = usize::from(frame.get(IP_AT)? & 0xf) * 4;
    let total = usize::from(u16::from_be_bytes([*frame.get(IP_AT + 2)?, *frame.get(IP_AT + 3)?]));
    let ip = frame.get_mut(IP_AT..IP_AT + total)?;
    if header < 20 || total < header {
        return None;
    }
    set_sum(&mut ip[..header], 10, 0)?;
    let (header, body) = ip.split_at_mut(header);
    let length = body.len() as u32;
    match header[9] {
        6 => set_sum(body, 16, sum(&header[12..20]) + 6 + length),
        1 => set_sum(body, 2, 0),
        _ => None,
    }
}

/// Writes the Internet checksum (RFC 1071) of some bytes and something beside them.
fn set_sum(bytes: &mut [u8], at: usize, beside: u32) -> Option<()> {
    bytes.get_mut(at..at + 2)?.fill(0);
    let mut sum = sum(bytes) + beside;
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    bytes[at..at + 2].copy_from_slice(&(!(sum as u16)).to_be_bytes());
    Some(())
}

fn sum(bytes: &[u8]) -> u32 {
    bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0))).sum()
}

fn cases() -> impl Strategy<Value = Case> {
    let flags = select(vec![Flags::SYN, Flags::ACK, Flags::RST, RST_ACK, SYN_ACK, FIN_ACK]);
    let bytes = |most| prop::collection::vec(any::<u8>(), 0..=most);
    let mss = any::<u16>().prop_map(|mss| [&[2, 4], &mss.to_be_bytes()[..], &[4, 2, 1, 1]].concat());
    let options = prop_oneof![2 => Just(vec![]), 2 => mss, 1 => bytes(40)];
    let error = (0..BOTH.len(), 0..ERRORS.len(), 20..120usize)
        .prop_map(|(about, kind, quoted)| Kind::Error { about, kind, quoted });
    let plain = select(vec![Kind::Syn, Kind::ByClient, Kind::ByServer, Kind::Refusal]);
    let kind = prop_oneof![3 => plain, 1 => error];
    let damage = prop_oneof![
        4 => any::<(Index, u8)>().prop_map(|(at, bit)| Damage::Bit(at, bit)),
        4 => (select(FIELDS.to_vec()), any::<[u8; 4]>()).prop_map(|(field, value)| Damage::Field(field, value)),
        1 => any::<Index>().prop_map(Damage::Cut),
        1 => bytes(64).prop_map(Damage::More),
        1 => any::<(Index, Index)>().prop_map(|(from, at)| Damage::Twice(from, at)),
    ];
    let damage = prop::collection::vec(damage, 0..4);
    let frame = (0..STATES.len(), kind, prop_oneof![6 => flags, 1 => any::<u8>()]);
    (frame, options, bytes(100), damage, any::<bool>()).prop_map(
        |((state, kind, flags), options, payload, damage, is_mended)| Case {
            state,
            kind,
            flags,
            options,
            payload,
            damage,
            is_mended,
        },
    )
}

/// A connection in each state, and their slots as they were.
struct Population {
    rig: Rig,
    view: SlotViewMut,
    connections: Vec<Connection>,
    slots: Vec<Slot>,
    frames: u32,
    /// What became of how many.
    fates: BTreeMap<Fate, u32>,
}

impl Population {
    fn new() -> Self {
        let rig = Rig::with_slots(SLOTS);
        let view = rig.control.maps().slots.view_mut().expect("can be mapped");
        Self { rig, view, connections: Vec::new(), slots: Vec::new(), frames: 0, fates: BTreeMap::new() }
    }

    fn slots(&self) -> u32 {
        self.rig.control.wanted().sizes.slots()
    }

    /// New connections in place of the old ones.
    fn renew(&mut self) {
        for number in 0..self.slots() {
            self.view.change(number, |slot| slot.word = slot.word().with(State::Free, Fins::NONE).0);
        }
        let port = 10_000 + (self.frames / FRAMES) as u16 % 40_000;
        let connect = |(host, state)| connect(&self.rig, client(host, port), state);
        self.connections = (1..).zip(STATES).map(connect).collect();
        self.slots = (0..self.slots()).map(|number| self.rig.slot(number)).collect();
    }

    fn tries(&mut self, case: &Case) -> Result<(), TestCaseError> {
        if self.frames.is_multiple_of(FRAMES) {
            self.renew();
        }
        self.frames += 1;
        let frame = case.frame(&self.connections[case.state]);
        let verdict = holds(&self.rig, &frame);
        for (number, slot) in (0..).zip(&self.slots) {
            self.view.change(number, |changed| *changed = *slot);
        }
        *self.fates.entry(verdict?).or_default() += 1;
        Ok(())
    }
}

fn connect(rig: &Rig, client: End, state: State) -> Connection {
    match state {
        State::Abandoned => {
            let first = Connection::open(rig, client);
            rig.age(client.socket, REDISPATCH_AFTER);
            Connection::open(rig, client);
            first
        }
        State::Reset => {
            let connection = Connection::established(rig, client);
            rig.reset(client.socket);
            connection
        }
        state => Connection::in_state(rig, client, state),
    }
}

#[test]
fn spoiled_frames() {
    let population = RefCell::new(Population::new());
    let count = lb_lab::size::count(20_000, 1_000_000);
    // What fails becomes a fixture, not a file of seeds.
    let config = Config { cases: count, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(&cases(), |case| population.borrow_mut().tries(&case));
    outcome.unwrap_or_else(|error| panic!("{error}"));
    let fates = &population.borrow().fates;
    println!("{fates:?}");
    for fate in [Fate::Passed, Fate::Dropped, Fate::Forwarded, Fate::Reset, Fate::MovedOn] {
        assert!(fates.get(&fate).is_some_and(|times| times * 200 > count), "{fate:?} is too rare: {fates:?}");
    }
}
