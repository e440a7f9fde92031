//! Finds the connection of a packet and keeps its state.

use aya_ebpf::helpers::generated::{bpf_jiffies64, bpf_ktime_get_ns};
use lb_common::counters::PathCounters;
use lb_common::ending::How;
use lb_common::event::Failure;
use lb_common::frontend::Frontend;
use lb_common::index::Tuple;
use lb_common::net::{Addr, Mac, MacWord, Port};
use lb_common::reason::Reason;
use lb_common::reuse::Stamp;
use lb_common::server::Server;
use lb_common::slot::{Slot, Word};
use lb_common::tcp::{self, Direction, Effect, Fins, Flags, Segment, State};
use lb_common::time::Tick;

use crate::packet::{Frame, Packet};
use crate::parse::{self, Headers};
use crate::rewrite::Rewrite;
use crate::slots::{self, SlotRef, clear};
use crate::{Context, admission, classify, connect, ending, index, maps, retry};

/// How often a change of state is tried against others'.
const TRIES: usize = 4;

/// A packet to a frontend: follows its connection, or opens one.
#[inline(always)]
pub fn from_client(
    context: &Context,
    frontend: &'static Frontend,
    frame: &impl Frame,
    packet: &Packet,
    headers: &Headers,
) -> Result<Rewrite, Reason> {
    if Flags(headers.tcp.flags).is_opening() {
        let slot = connect::connect(frame, frontend.number)?;
        return to_server(context, SlotRef::get(slot).ok_or(Reason::NoSlot)?);
    }
    let tuple = Tuple::new(parse::source(headers.ip), parse::port(headers.tcp.source), frontend.number);
    let hash = tuple.hash(&context.setup.settings.hash_key);
    let known = index::find(context, tuple, hash, &frontend.timeouts);
    // Before anything else is held against the packet: it may be a session of another program.
    if !known.is_some() {
        return Err(Reason::NoConnection);
    }
    if known.word.state().is_given_up() {
        return Err(Reason::ServerDown);
    }
    let segment = parse::segment(packet, headers)?;
    let plausible = follow(context, known.slot, known.word, Direction::ToServer, &segment);
    if plausible {
        let source_mac = Mac(headers.eth.src_addr).into();
        if known.slot.fields().ends.client_mac() != source_mac {
            learn_mac(known.slot, source_mac);
        }
        if known.word.fins().has(Fins::SERVER_WAITS) {
            learn_stamp(known.slot, parse::stamp(packet, headers.tcp.header_len()));
        }
    }
    to_server(context, known.slot)
}

/// What a packet of a connection's client is to become.
#[inline(always)]
pub fn to_server(context: &Context, slot: SlotRef) -> Result<Rewrite, Reason> {
    let server = context.setup.server(slot.fields().server());
    let next_hop = server.next_hop;
    if !next_hop.is_unicast() {
        return Err(Reason::NoNextHop);
    }
    let (source, source_port) = context.setup.nat_endpoint(slot.number, slot.fields().ends);
    Ok(Rewrite { next_hop, source, source_port, destination: server.addr, destination_port: server.port })
}

/// A packet from a server to the NAT range: follows its connection.
#[inline(always)]
pub fn from_server(
    context: &Context,
    server: &Server,
    packet: &Packet,
    headers: &Headers,
) -> Result<Rewrite, Reason> {
    let (slot, mut word) = at_nat(context, server, classify::destination(headers.ip, headers.tcp.dest))?;
    let segment = parse::segment(packet, headers)?;
    let is_common = segment.flags.0 & (Flags::SYN | Flags::RST) == 0;
    if !is_common || !matches!(word.state(), State::Established) {
        word = unless_refused(slot, word, &segment)?;
    }
    follow(context, slot, word, Direction::ToClient, &segment);
    if !matches!(word.state(), State::Established) && slot.head().0.state().is_given_up() {
        // Given to another server, or reset, while this packet was followed.
        return Err(Reason::LateAnswer);
    }
    Ok(to_client(context.setup.frontend(slot.fields().tuple.frontend()), slot))
}

/// The slot of a server's connection by the address and port of ours, which is one of the NAT range.
#[inline(always)]
pub fn slot_of(context: &Context, server: &Server, (addr, port): (Addr, Port)) -> Result<SlotRef, Reason> {
    let settings = &context.setup.settings;
    let nat = classify::nat_of(context.setup, addr);
    if nat == classify::NO_NAT {
        return Err(Reason::OtherAddress);
    }
    let place = settings.slot_of(nat, port.number().wrapping_sub(settings.nat_first));
    SlotRef::get(server.first_slot.wrapping_add(place)).ok_or(Reason::NoConnection)
}

/// The same, if a connection holds it.
#[inline(always)]
pub fn at_nat(context: &Context, server: &Server, nat: (Addr, Port)) -> Result<(SlotRef, Word), Reason> {
    let slot = slot_of(context, server, nat)?;
    let (word, last_seen) = slot.head();
    let frontend = context.setup.frontend(slot.fields().tuple.frontend());
    if word.state() == State::Claimed || !word.is_live(last_seen, context.now, &frontend.timeouts) {
        return Err(Reason::NoConnection);
    }
    Ok((slot, word))
}

/// What a packet of a connection's server is to become.
#[inline(always)]
#[must_use]
pub fn to_client(frontend: &Frontend, slot: SlotRef) -> Rewrite {
    let fields = slot.fields();
    Rewrite {
        next_hop: fields.ends.client_mac(),
        source: frontend.addr,
        source_port: frontend.port,
        destination: fields.tuple.addr(),
        destination_port: fields.tuple.port(),
    }
}

/// Stops a server's answers that the client is not to see while another server may take its
/// connection, and those to a connection that was given up. Returns the slot's state.
#[inline(never)]
fn unless_refused(slot: SlotRef, word: Word, segment: &Segment) -> Result<Word, Reason> {
    let fields = slot.fields();
    let word =
        if matches!(word.state(), State::Established) { begun_anew(slot, word, segment) } else { word };
    match word.state() {
        State::Abandoned => Err(Reason::LateAnswer),
        State::Reset => Err(Reason::ServerDown),
        state if tcp::is_stale_answer(state, &fields.sides, segment) => Err(Reason::StalePort),
        state if tcp::is_refusal(state, &fields.sides, segment) => {
            if state == State::SynSent && slot.swap(word, word.with(State::Closed, Fins::NONE)) {
                let (frontend, server) = (fields.tuple.frontend(), fields.server());
                count(fields, |path| path.refused += 1);
                maps::report(frontend, server, Failure::Refused);
            }
            Err(Reason::Refused)
        }
        _ => Ok(word),
    }
}

/// Both ends have forgotten an established connection, the client first: its SYN, which went to the
/// server as a challenge, opens it anew in its slot. Returns the slot's state.
///
/// A function of its own: in [`unless_refused`], which returns nothing in a register, LLVM would have so few
/// left that it keeps a pointer to the stack in `r0`, and the verifier lets no function return one.
#[inline(never)]
fn begun_anew(slot: SlotRef, word: Word, segment: &Segment) -> Word {
    let Some(details) = slot.details() else { return word };
    let (isn, fields) = (details.challenged, slot.fields());
    if !tcp::is_answer_anew(isn, segment) {
        return word;
    }
    // Before the state: by the time of the former connection the new one would look expired.
    // SAFETY: the helper has no preconditions.
    fields.last_seen = Tick::from_jiffies(unsafe { bpf_jiffies64() });
    let opened = word.with(State::SynSent, Fins::NONE);
    if !slot.swap(word, opened) {
        return word;
    }
    ending::tell(slot, How::Forgotten);
    fields.sides = tcp::open(isn, isn.plus(1));
    fields.packets = [0; 2];
    fields.bytes.iter_mut().for_each(clear);
    // The SYN's timestamp is not known; until one is, a number after the last is asked for.
    slots::begin(details, 0, Stamp::NONE);
    admission::count(fields.tuple.frontend(), -1);
    count(fields, |path| path.connections += 1);
    opened
}

/// A SYN meets an established connection. Its server gets it, and answers with a challenge ACK if it
/// knows the connection (RFC 5961 §4); if it does not, [`begun_anew`] has to know this SYN.
#[inline(always)]
pub fn challenge(slot: SlotRef, segment: &Segment) {
    if let Some(details) = slot.details() {
        details.challenged = segment.seq;
    }
    account(slot, Direction::ToServer, segment.payload);
}

/// The client's frames tell where to send ours; a router that takes over (VRRP) moves them.
#[inline(never)]
pub fn learn_mac(slot: SlotRef, seen: MacWord) {
    if seen.is_unicast() {
        let fields = slot.fields();
        fields.ends = fields.ends.with_client_mac(seen);
    }
}

/// The timestamp of a SYN may be so long ago that later ones look earlier.
#[inline(always)]
fn forget_stamp(slot: SlotRef) {
    if let Some(details) = slot.details() {
        details.stamp = Stamp::NONE;
    }
}

/// The last that the client says of its clock decides who may use the port next, if the server is to wait.
#[inline(never)]
fn learn_stamp(slot: SlotRef, stamp: Stamp) {
    if let Some(details) = slot.details() {
        details.stamp = details.stamp.then(stamp);
    }
}

/// Follows a segment of a connection: sequence numbers, time, counters, and the state if it
/// changes. Tells whether the segment was plausible.
#[inline(always)]
fn follow(context: &Context, slot: SlotRef, word: Word, direction: Direction, segment: &Segment) -> bool {
    let effect = judge(slot, word, direction, segment);
    let fields = slot.fields();
    if effect.plausible {
        fields.last_seen = context.now;
    }
    if effect.state != word.state() || effect.fins != word.fins() {
        change_state(Change { slot, word, effect, direction, segment: *segment });
    }
    account(slot, direction, segment.payload);
    effect.plausible
}

/// A change of state that a segment makes. One value, because a BPF function takes no more than
/// five words of arguments.
struct Change {
    slot: SlotRef,
    word: Word,
    effect: Effect,
    direction: Direction,
    segment: Segment,
}

/// Stores a new state. Should another packet have stored one first, this one is judged again: its
/// sequence numbers are in already, so the same verdict comes out on top of the other's.
#[inline(never)]
#[expect(
    clippy::needless_pass_by_value,
    reason = "a reference would put the common packets' values on the stack"
)]
fn change_state(change: Change) {
    let Change { slot, mut word, mut effect, direction, segment } = change;
    for _ in 0..TRIES {
        if slot.swap(word, word.with(effect.state, effect.fins)) {
            if word.fins() == Fins::NONE && effect.fins != Fins::NONE {
                forget_stamp(slot);
            }
            note(slot, (word.state(), effect.state));
            if word.state() == State::Established && effect.state != State::Established {
                ending::tell(slot, how(effect.state, direction));
            }
            return;
        }
        let generation = word.generation();
        (word, _) = slot.head();
        if word.generation() != generation {
            return;
        }
        effect = judge(slot, word, direction, &segment);
        if (effect.state, effect.fins) == (word.state(), word.fins()) {
            return;
        }
    }
}

/// How an established connection has ended that a packet in this direction brought to `state`.
#[inline(always)]
fn how(state: State, direction: Direction) -> How {
    match (state, direction) {
        (State::TimeWait, _) => How::Finished,
        (_, Direction::ToServer) => How::ClientReset,
        (_, Direction::ToClient) => How::ServerReset,
    }
}

/// Notes when a connection was answered, and counts it when it is established and when it is over.
#[inline(always)]
fn note(slot: SlotRef, (before, after): (State, State)) {
    let fields = slot.fields();
    let Some(details) = slot.details() else { return };
    match (before, after) {
        (_, State::SynReceived) => {
            // SAFETY: the helper has no preconditions.
            let now = unsafe { bpf_ktime_get_ns() };
            details.answered_after = micros_between(details.opened_at, now);
            details.redispatched = retry::redispatched(slot);
        }
        (State::SynReceived, State::Established) => {
            count(fields, |path| path.established += 1);
            admission::count(fields.tuple.frontend(), 1);
        }
        (State::Established, State::TimeWait | State::Closed) => {
            admission::count(fields.tuple.frontend(), -1);
        }
        _ => {}
    }
}

/// The microseconds between two times in ns, at least one and as many as fit.
#[inline(always)]
fn micros_between(before: u64, after: u64) -> u32 {
    let micros = after.saturating_sub(before) / 1_000;
    micros.clamp(1, u64::from(u32::MAX)) as u32
}

/// What the segment does to the connection, with the sender's side brought up to date.
#[inline(always)]
fn judge(slot: SlotRef, word: Word, direction: Direction, segment: &Segment) -> Effect {
    let fields = slot.fields();
    let [client, server] = &mut fields.sides;
    let (sender, receiver) = match direction {
        Direction::ToServer => (client, server),
        Direction::ToClient => (server, client),
    };
    tcp::follow((word.state(), word.fins()), direction, sender, receiver, segment)
}

/// Counts a packet with so many bytes of payload to the connection, and to its frontend and server.
#[inline(always)]
pub fn account(slot: SlotRef, direction: Direction, payload: u32) {
    let fields = slot.fields();
    let i = direction as usize;
    fields.packets[i] = fields.packets[i].wrapping_add(1);
    if fields.packets[i] == 0 {
        carry(slot, i);
    }
    let bytes = u64::from(payload);
    fields.bytes[i] += bytes;
    count(fields, |path| {
        path.packets[i] += 1;
        path.bytes[i] += bytes;
    });
}

/// Changes the counters of a connection's frontend and server.
#[inline(always)]
fn count(fields: &Slot, change: impl FnOnce(&mut PathCounters)) {
    maps::count_path(fields.tuple.frontend(), fields.server(), change);
}

/// The low 32 bits of a packet counter have wrapped.
#[inline(never)]
fn carry(slot: SlotRef, direction: usize) {
    if let Some(details) = slot.details() {
        let high = &mut details.packets_high[direction & 1];
        *high = high.wrapping_add(1);
    }
}
