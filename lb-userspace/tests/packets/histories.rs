//! Random histories of a client's connections, through the program and through a model of it.
//!
//! Two ports of one client, three servers: both sides speak, mostly as TCP would and sometimes not;
//! frames are lost before the balancer or after it, come twice and out of order; time passes; servers
//! refuse, keep silent, go down and come back. After each frame what left, and what the program
//! knows, must be what the model says.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddrV4;

use lb_common::counters::PathCounters;
use lb_common::frontend::Timeouts;
use lb_common::reason::Reason;
use lb_common::slot::Slot;
use lb_common::tcp::{Fins, Flags, Seq, State};
use lb_common::time::{Tick, Ticks};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestCaseResult, TestRunner};
use xlb::dataplane::slots::SlotViewMut;

use crate::connection::{Connection, FIN_ACK, RST_ACK, STATES, SYN_ACK, nat_of, syn_to};
use crate::frame::{End, Frame};
use crate::model::{self, CLIENT, Counted, Fate, Model, Opening, Phase, SERVER};
use crate::rig::{FRONTEND, NAT_FIRST, Rig, Verdict, at_our_mac, client, server};

/// Ports of the client, and servers.
const PORTS: usize = 2;
const SERVERS: u16 = 3;

/// Slots of each server: all of them have their own places for copies of SYNs.
const SLOTS: u16 = 1024;

/// TCP options of SYNs, and what becomes of them: none, and Linux's on an Ethernet and with jumbo
/// frames.
const OPTIONS: [&[u8]; 3] = [
    &[],
    &[2, 4, 0x05, 0xb4, 4, 2, 8, 10, 0, 0, 0, 9, 0, 0, 0, 0, 1, 3, 3, 7],
    &[2, 4, 0x23, 0x00, 4, 2, 8, 10, 0, 0, 0, 9, 0, 0, 0, 0, 1, 3, 3, 7],
];
const CLAMPED: [u8; 2] = [0x05, 0xb4];

/// What histories must come by, so that they show something.
const REASONS: [Reason; 7] = [
    Reason::NoConnection,
    Reason::NoServer,
    Reason::ServerDown,
    Reason::LateAnswer,
    Reason::Refused,
    Reason::StalePort,
    Reason::BadFlags,
];

/// Where a frame gets lost, if it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lost {
    No,
    /// Its sender goes on as if it had arrived.
    Before,
    /// Its receiver never hears of it.
    After,
}

/// A segment of either side, as far as it is from the one that would come next.
#[derive(Clone, Debug)]
struct Speech {
    flags: u8,
    seq: i32,
    ack: i32,
    len: usize,
    lost: Lost,
}

impl Speech {
    /// Exactly the next one.
    const fn plain(flags: u8) -> Self {
        Self { flags, seq: 0, ack: 0, len: 0, lost: Lost::No }
    }
}

/// Something that happens. Connections and frames are counted from the last one backwards.
#[derive(Clone, Debug)]
enum Event {
    /// A port's SYN: a new one, or the last one again.
    Syn {
        port: usize,
        anew: bool,
        options: usize,
        len: usize,
        lost: Lost,
    },
    /// A whole handshake.
    Handshake {
        port: usize,
    },
    ByClient {
        port: usize,
        speech: Speech,
    },
    ByServer {
        connection: usize,
        speech: Speech,
    },
    /// A server does not take a connection.
    NotTaken {
        connection: usize,
        refuses: bool,
    },
    /// Both sides say that they have said all, in either order.
    Parting {
        connection: usize,
        server_first: bool,
    },
    /// A frame comes once more, or one that was lost comes late.
    Again {
        frame: usize,
    },
    Time {
        steps: u32,
    },
    Health {
        server: u16,
        up: bool,
    },
    /// The agent resets a connection.
    Reset {
        connection: usize,
    },
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let port = || prop_oneof![3 => Just(0), 1 => Just(1usize)];
    // Mostly the last one.
    let which = || prop_oneof![4 => Just(0), 2 => 0..4usize, 1 => 0..20usize];
    let syn = (
        port(),
        prop::bool::weighted(0.4),
        0..OPTIONS.len(),
        prop_oneof![5 => Just(0), 1 => 1..9usize],
        lost(),
    )
        .prop_map(|(port, anew, options, len, lost)| Event::Syn { port, anew, options, len, lost });
    let event = prop_oneof![
        3 => syn,
        3 => port().prop_map(|port| Event::Handshake { port }),
        1 => (which(), any::<bool>())
            .prop_map(|(connection, server_first)| Event::Parting { connection, server_first }),
        6 => (port(), speech()).prop_map(|(port, speech)| Event::ByClient { port, speech }),
        6 => (which(), speech()).prop_map(|(connection, speech)| Event::ByServer { connection, speech }),
        2 => (which(), any::<bool>()).prop_map(|(connection, refuses)| Event::NotTaken { connection, refuses }),
        2 => which().prop_map(|frame| Event::Again { frame }),
        3 => select(vec![1, 1, 1, 2, 4, 7, 21]).prop_map(|steps| Event::Time { steps }),
        2 => (0..SERVERS, any::<bool>()).prop_map(|(server, up)| Event::Health { server, up }),
        1 => which().prop_map(|connection| Event::Reset { connection }),
    ];
    prop::collection::vec(event, 1..40)
}

fn lost() -> impl Strategy<Value = Lost> {
    prop_oneof![6 => Just(Lost::No), 1 => Just(Lost::Before), 1 => Just(Lost::After)]
}

fn speech() -> impl Strategy<Value = Speech> {
    let usual = select(vec![Flags::ACK, Flags::ACK, FIN_ACK, Flags::RST, RST_ACK, SYN_ACK]);
    let flags = prop_oneof![12 => usual, 1 => any::<u8>()];
    let distance = || prop_oneof![8 => Just(0), 3 => -12..12i32, 1 => any::<i32>()];
    let len = prop_oneof![2 => Just(0), 1 => 1..20usize];
    (flags, distance(), distance(), len, lost()).prop_map(|(flags, seq, ack, len, lost)| Speech {
        flags,
        seq,
        ack,
        len,
        lost,
    })
}

/// What one end of a connection would say next.
#[derive(Clone, Copy, Debug, Default)]
struct Voice {
    isn: u32,
    seq: u32,
    ack: u32,
}

impl Voice {
    fn says(self, from: End, to: End, speech: &Speech) -> Frame {
        let seq = self.seq.wrapping_add_signed(speech.seq);
        let ack = self.ack.wrapping_add_signed(speech.ack);
        // No TCP leaves a number where none counts, but the balancer must not care.
        Frame::new(from, to, speech.flags, seq, ack)
            .payload(&vec![0x5a; speech.len])
            .with(|frame| (frame.tcp.psh, frame.tcp.urg) = (speech.flags & 8 != 0, speech.flags & 32 != 0))
    }

    /// It has said something in its turn.
    fn said(&mut self, frame: &Frame) {
        if frame.tcp.sequence_number == self.seq && !frame.tcp.rst {
            self.seq = frame.end();
        }
    }

    /// It has heard something from its peer.
    fn heard(&mut self, frame: &Frame) {
        if frame.tcp.syn || frame.tcp.sequence_number == self.ack {
            self.ack = frame.end();
        }
    }
}

/// A history, as it happens.
struct History<'a> {
    rig: &'a mut Rig,
    slots: &'a mut SlotViewMut,
    model: Model,
    clients: [End; PORTS],
    /// The ends' voices, those of the servers by connection.
    calling: [Voice; PORTS],
    answering: Vec<Voice>,
    /// The SYN that the program has a copy of, by connection; and the last one of each port.
    copies: Vec<Frame>,
    syns: [Option<Frame>; PORTS],
    /// All frames that either side has sent.
    sent: Vec<Frame>,
    /// What must have been counted.
    reasons: Vec<u64>,
    seen: &'a mut Seen,
}

/// What all histories together have come by: a history that does not get anywhere shows nothing.
#[derive(Debug, Default)]
struct Seen {
    histories: u32,
    frames: u64,
    reasons: BTreeMap<&'static str, u64>,
    states: BTreeMap<&'static str, u64>,
    fates: BTreeMap<&'static str, u64>,
}

/// What a frame is to the model.
fn segment(frame: &Frame) -> model::Segment {
    let tcp = &frame.tcp;
    let bit = |is_set, flag| if is_set { flag } else { 0 };
    model::Segment {
        flags: bit(tcp.fin, model::FIN)
            | bit(tcp.syn, model::SYN)
            | bit(tcp.rst, model::RST)
            | bit(tcp.ack, model::ACK),
        seq: tcp.sequence_number,
        ack: tcp.acknowledgment_number,
        len: frame.payload.len() as u32,
    }
}

/// A SYN's options as they are forwarded.
fn clamped(frame: &Frame) -> Frame {
    let mut options = frame.tcp.options.as_slice().to_vec();
    if frame.tcp.syn && options.first() == Some(&2) {
        options[2..4].copy_from_slice(&CLAMPED);
    }
    frame.clone().options(&options)
}

fn state_of(phase: Phase) -> Option<State> {
    Some(match phase {
        Phase::Asked => State::SynSent,
        Phase::Answered => State::SynReceived,
        Phase::Established => State::Established,
        Phase::Over => State::TimeWait,
        Phase::Dead => State::Closed,
        Phase::Abandoned => State::Abandoned,
        Phase::Reset => State::Reset,
        Phase::Gone => return None,
    })
}

fn slot_of(connection: &model::Connection) -> u32 {
    u32::from(connection.server) * u32::from(SLOTS) + u32::from(connection.nat - NAT_FIRST)
}

impl<'a> History<'a> {
    fn new(rig: &'a mut Rig, slots: &'a mut SlotViewMut, seen: &'a mut Seen) -> Self {
        let number = seen.histories;
        seen.histories += 1;
        let host = (1 + number / 20_000 % 200) as u8;
        let first = 10_000 + (number % 20_000) as u16 * 2;
        Self {
            rig,
            slots,
            model: Model::new(SERVERS),
            clients: [client(host, first), client(host, first + 1)],
            calling: [Voice::default(); PORTS],
            answering: Vec::new(),
            copies: Vec::new(),
            syns: [None, None],
            sent: Vec::new(),
            reasons: vec![0; Reason::ALL.len()],
            seen,
        }
    }

    fn happens(&mut self, event: &Event) -> TestCaseResult {
        match *event {
            Event::Syn { port, anew, options, len, lost } => self.syn(port, anew, options, len, lost),
            Event::Handshake { port } => self.handshake(port),
            Event::ByClient { port, ref speech } => self.client_says(port, speech),
            Event::ByServer { connection, ref speech } => match self.connection(connection) {
                Some(number) => self.server_says(number, speech),
                None => Ok(()),
            },
            Event::NotTaken { connection, refuses } => {
                let Some(number) = self.connection(connection) else { return Ok(()) };
                let (flags, ack) = if refuses { (RST_ACK, 0) } else { (Flags::ACK, 1 << 20) };
                self.server_says(number, &Speech { ack, ..Speech::plain(flags) })
            }
            Event::Parting { connection, server_first } => match self.connection(connection) {
                Some(number) => self.parting(number, server_first),
                None => Ok(()),
            },
            Event::Again { frame } => {
                let Some(at) = self.sent.len().checked_sub(frame + 1) else { return Ok(()) };
                self.delivers(&self.sent[at].clone(), true)
            }
            Event::Time { steps } => {
                self.time(steps * model::STEP);
                Ok(())
            }
            Event::Health { server, up } => self.health(server, up),
            Event::Reset { connection } => {
                self.reset(connection);
                Ok(())
            }
        }
    }

    /// A connection, counted from the last one.
    fn connection(&self, from_last: usize) -> Option<usize> {
        self.model.connections.len().checked_sub(from_last + 1)
    }

    fn syn(&mut self, port: usize, anew: bool, options: usize, len: usize, lost: Lost) -> TestCaseResult {
        let last = self.syns[port].take().filter(|_| !anew);
        let frame = last.unwrap_or_else(|| {
            let isn = self.calling[port].isn.wrapping_add(0x3456_789a);
            self.calling[port] = Voice { isn, seq: isn, ack: 0 };
            syn_to(FRONTEND, self.clients[port], isn).options(OPTIONS[options]).payload(&vec![0x5a; len])
        });
        self.calling[port].said(&frame);
        self.syns[port] = Some(frame.clone());
        self.sends(&frame, lost)
    }

    fn handshake(&mut self, port: usize) -> TestCaseResult {
        let before = self.model.connections.len();
        self.syn(port, true, 1, 0, Lost::No)?;
        if self.model.connections.len() == before {
            return Ok(());
        }
        self.server_says(before, &Speech::plain(SYN_ACK))?;
        self.client_says(port, &Speech::plain(Flags::ACK))
    }

    fn parting(&mut self, number: usize, server_first: bool) -> TestCaseResult {
        let port = self.model.connections[number].client;
        if server_first {
            self.server_says(number, &Speech::plain(FIN_ACK))?;
        }
        self.client_says(port, &Speech::plain(FIN_ACK))?;
        if server_first { Ok(()) } else { self.server_says(number, &Speech::plain(FIN_ACK)) }
    }

    fn client_says(&mut self, port: usize, speech: &Speech) -> TestCaseResult {
        let voice = &mut self.calling[port];
        let frame = voice.says(self.clients[port], at_our_mac(FRONTEND), speech);
        voice.said(&frame);
        self.sends(&frame, speech.lost)
    }

    fn server_says(&mut self, number: usize, speech: &Speech) -> TestCaseResult {
        let model::Connection { server: from, nat, .. } = self.model.connections[number];
        let voice = &mut self.answering[number];
        let frame = voice.says(server(from), at_our_mac(nat_at(nat)), speech);
        voice.said(&frame);
        self.sends(&frame, speech.lost)
    }

    fn sends(&mut self, frame: &Frame, lost: Lost) -> TestCaseResult {
        self.sent.push(frame.clone());
        if lost == Lost::Before { Ok(()) } else { self.delivers(frame, lost == Lost::No) }
    }

    fn time(&mut self, passes: model::Time) {
        self.model.pass(passes);
        for connection in &self.model.connections {
            // Connections of one slot are of one moment at most.
            if connection.phase != Phase::Gone {
                self.slots.change(slot_of(connection), |slot| {
                    slot.last_seen = Tick(slot.last_seen.0.wrapping_sub(passes));
                });
            }
        }
    }

    fn health(&mut self, server: u16, up: bool) -> TestCaseResult {
        self.model.usable.retain(|usable| *usable != server);
        if up {
            self.model.usable.push(server);
        }
        self.rig.control.set_up(server, up).map_err(|error| TestCaseError::fail(error.to_string()))
    }

    fn reset(&mut self, connection: usize) {
        let Some(number) = self.connection(connection) else { return };
        let connection = &mut self.model.connections[number];
        if connection.phase == Phase::Established {
            connection.phase = Phase::Reset;
            self.slots.change(slot_of(connection), |slot| {
                slot.word = slot.word().with(State::Reset, slot.word().fins()).0;
            });
            self.rig.control.maps().occupancy.remove_one(0);
        }
    }

    /// A frame comes to the balancer, and what leaves it to its receiver, if it is heard there.
    fn delivers(&mut self, frame: &Frame, is_heard: bool) -> TestCaseResult {
        let bytes = frame.bytes();
        let (verdict, out) = self.rig.execute(&bytes);
        let asked = self.asked_by(frame);
        let fate = self.judge(frame);
        self.seen.frames += 1;
        *self.seen.fates.entry(name(&fate)).or_default() += 1;
        match fate {
            Fate::Passed(reason) => {
                self.count(reason);
                prop_assert_eq!((verdict, out), (Verdict::Pass, bytes));
            }
            Fate::Dropped(reason) => {
                self.count(reason);
                prop_assert_eq!(verdict, Verdict::Drop);
            }
            Fate::Refused(reason) => {
                self.count(reason);
                prop_assert_eq!((verdict, out), (Verdict::Transmit, Connection::reset_of(frame).bytes()));
            }
            Fate::Forwarded(number, reason) => {
                self.count_some(reason);
                prop_assert_eq!((verdict, out), (Verdict::Transmit, self.forwarded(number, frame)));
                if self.is_challenge(number, frame) {
                    self.copies[number] = frame.clone();
                }
                if is_heard {
                    self.hears(number, frame);
                }
            }
            Fate::Opens(opening, reason) => {
                self.count_some(reason);
                prop_assert_eq!(verdict, Verdict::Transmit);
                let copy = asked.filter(|_| reason.is_some()).map(|asked| self.made(asked));
                self.opens(opening, &copy.unwrap_or_else(|| frame.clone()), &out, is_heard)?;
            }
        }
        self.compare()
    }

    fn judge(&mut self, frame: &Frame) -> Fate {
        let segment = segment(frame);
        let source = frame.tcp.source_port;
        if let Some(port) = self.clients.iter().position(|client| client.socket.port() == source) {
            return self.model.by_client(port, segment);
        }
        let from = frame.ip.source;
        let number = (0..SERVERS).find(|number| server(*number).socket.ip().octets() == from);
        self.model.by_server(number.expect("a server's"), frame.tcp.destination_port, segment)
    }

    /// The connection whose server a frame is from.
    fn asked_by(&self, frame: &Frame) -> Option<usize> {
        let is_its = |connection: &model::Connection| {
            connection.nat == frame.tcp.destination_port
                && server(connection.server).socket.ip().octets() == frame.ip.source
        };
        self.model.connections.iter().rposition(is_its)
    }

    fn count_some(&mut self, reason: Option<Reason>) {
        if let Some(reason) = reason {
            self.count(reason);
        }
    }

    fn count(&mut self, reason: Reason) {
        self.reasons[reason as usize] += 1;
        *self.seen.reasons.entry(reason.name()).or_default() += 1;
    }

    /// Whether a frame is a client's SYN into an established connection.
    fn is_challenge(&self, number: usize, frame: &Frame) -> bool {
        let model::Connection { client, phase, .. } = self.model.connections[number];
        let is_its = frame.tcp.source_port == self.clients[client].socket.port();
        phase == Phase::Established && is_its && frame.tcp.syn && !frame.tcp.ack
    }

    /// A frame of a connection as it leaves.
    fn forwarded(&self, number: usize, frame: &Frame) -> Vec<u8> {
        let connection = &self.model.connections[number];
        let client = self.clients[connection.client];
        let frame = clamped(frame);
        let frame = if frame.tcp.source_port == client.socket.port() {
            frame.forwarded(at_our_mac(nat_at(connection.nat)), server(connection.server))
        } else {
            frame.forwarded(at_our_mac(FRONTEND), client)
        };
        frame.bytes()
    }

    fn hears(&mut self, number: usize, frame: &Frame) {
        let port = self.model.connections[number].client;
        if frame.tcp.source_port == self.clients[port].socket.port() {
            self.answering[number].heard(frame);
        } else {
            self.calling[port].heard(frame);
        }
    }

    /// The SYN that the program makes for the next server from the copy of a connection's.
    fn made(&self, number: usize) -> Frame {
        self.copies[number].clone().payload(b"").with(|syn| {
            syn.ip.identification = 0;
            syn.ip.dont_fragment = true;
            // Only what says something in a SYN: no other flag, and nothing acknowledged.
            (syn.tcp.psh, syn.tcp.urg) = (false, false);
            syn.tcp.acknowledgment_number = 0;
        })
    }

    fn opens(&mut self, opening: Opening, syn: &Frame, out: &[u8], is_heard: bool) -> TestCaseResult {
        let (from, to) = nat_of(out);
        let given = (0..SERVERS).find(|number| server(*number).socket == to);
        prop_assert!(
            given.is_some_and(|given| opening.among.contains(&given)),
            "{:?} got it, not one of {:?}",
            given,
            opening.among
        );
        let number = self.model.opened(opening, given.expect("was looked at"), from.port());
        prop_assert_eq!(out, &self.forwarded(number, syn)[..]);
        self.copies.push(syn.clone());
        let isn = 0x1234_5678_u32.wrapping_mul(number as u32 + 1);
        self.answering.push(Voice { isn, seq: isn, ack: 0 });
        if is_heard {
            self.answering[number].heard(syn);
        }
        Ok(())
    }

    /// Whether the program knows what the model knows.
    fn compare(&mut self) -> TestCaseResult {
        let mut established = 0;
        for connection in &self.model.connections {
            let Some(state) = state_of(connection.phase) else { continue };
            let slot = self.slots.change(slot_of(connection), |slot| *slot).expect("is there");
            established += u64::from(state == State::Established);
            *self.seen.states.entry(state.name()).or_default() += 1;
            compare(connection, state, &slot)?;
        }
        prop_assert_eq!(self.rig.control.maps().occupancy.get(0), established, "established connections");
        Ok(())
    }

    /// Leaves the rig as it was, and says whether everything was counted.
    fn ends(self, reasons: &[u64], traffic: &PathCounters) -> TestCaseResult {
        let counted: Vec<u64> =
            self.rig.reasons().iter().zip(reasons).map(|(after, before)| after - before).collect();
        let after = self.rig.traffic();
        let moved = Counted {
            opened: after.connections - traffic.connections,
            established: after.established - traffic.established,
            refused: after.refused - traffic.refused,
            redispatched: after.redispatched - traffic.redispatched,
        };
        for connection in self.model.connections.iter().filter(|c| c.phase != Phase::Gone) {
            if connection.phase == Phase::Established {
                self.rig.control.maps().occupancy.remove_one(0);
            }
            self.slots.change(slot_of(connection), |slot| {
                slot.word = slot.word().with(State::Free, Fins::NONE).0;
            });
        }
        for server in (0..SERVERS).filter(|server| !self.model.usable.contains(server)) {
            self.rig.control.set_up(server, true).expect("can be written");
        }
        prop_assert_eq!(counted, self.reasons);
        prop_assert_eq!(moved, self.model.counted);
        Ok(())
    }
}

/// What kind of fate it is.
fn name(fate: &Fate) -> &'static str {
    match fate {
        Fate::Passed(_) => "passed",
        Fate::Dropped(_) => "dropped",
        Fate::Forwarded(_, None) => "forwarded",
        Fate::Forwarded(_, Some(_)) => "told after all",
        Fate::Refused(_) => "refused",
        Fate::Opens(_, None) => "opened",
        Fate::Opens(_, Some(_)) => "moved on",
    }
}

fn nat_at(port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(*FRONTEND.ip(), port)
}

fn compare(connection: &model::Connection, state: State, slot: &Slot) -> TestCaseResult {
    prop_assert_eq!(slot.word().state(), state, "{:?}", connection);
    let [client, server] = connection.finished.map(u8::from);
    if state == State::Established || state == State::TimeWait {
        let waits = u8::from(connection.server_waits);
        prop_assert_eq!(slot.word().fins(), Fins(client | server << 1 | waits << 2), "{:?}", connection);
    }
    for side in [CLIENT, SERVER] {
        let expected = (Seq(connection.sent[side]), Seq(connection.acked[side]));
        prop_assert_eq!(
            (slot.sides[side].end, slot.sides[side].ack),
            expected,
            "side {} of {:?}",
            side,
            connection
        );
    }
    Ok(())
}

#[test]
fn the_program_does_what_the_model_says() {
    let mut rig = Rig::with(|wanted| {
        wanted.sizes.nat_ports = SLOTS;
        wanted.frontends[0].timeouts = Timeouts {
            connect: Ticks(model::CONNECT),
            idle: Ticks(model::IDLE),
            time_wait: Ticks(model::TIME_WAIT),
            closed: Ticks(model::CLOSED),
        };
    });
    rig.set_up(|setup| setup.settings.redispatch_after = Ticks(model::REDISPATCH));
    let mut slots = rig.control.maps().slots.view_mut().expect("can be mapped");
    let mut seen = Seen::default();
    let world = RefCell::new((&mut rig, &mut slots, &mut seen));
    let cases = lb_lab::size::choose(2_000, 100_000);
    // What fails becomes a fixture, not a file of seeds.
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(&events(), |events| {
        let (rig, slots, seen) = &mut *world.borrow_mut();
        let (reasons, traffic) = (rig.reasons(), rig.traffic());
        let mut history = History::new(rig, slots, seen);
        let outcome = events.iter().try_for_each(|event| history.happens(event));
        let counted = history.ends(&reasons, &traffic);
        outcome.and(counted)
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
    println!("{seen:#?}");
    for reason in REASONS {
        assert!(seen.reasons.contains_key(reason.name()), "{reason:?} never happened");
    }
    for state in STATES {
        assert!(seen.states.contains_key(state.name()), "nothing was ever {state}");
    }
}
