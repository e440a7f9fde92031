//! A client's SYN: one more of a connection that it has, or a new connection.
//!
//! Rare beside the packets of established connections, so all of it is kept out of their line: what
//! it would take from their registers costs more than its call costs a SYN.

use aya_ebpf::helpers::generated::bpf_ktime_get_ns;
use lb_common::event::Failure;
use lb_common::frontend::Frontend;
use lb_common::index::{Entry, Tuple};
use lb_common::net::MacWord;
use lb_common::reason::Reason;
use lb_common::ring::RING_LEN;
use lb_common::server::Servers;
use lb_common::slot::{Details, Word};
use lb_common::tcp::{self, Direction, Fins, OnSyn, Segment, State};
use lb_common::time::Tick;

use crate::packet::Packet;
use crate::slots::{self, SlotRef};
use crate::{Context, admission, atomic, conntrack, index, maps, retry};

/// A SYN and what is known of it.
///
/// By value: a reference would force what it points to out of registers for the common packets,
/// which never come here. As little as possible: it is on the stack, of which all functions that
/// call each other have 512 bytes together.
pub struct Opening {
    /// The packet.
    pub packet: Packet,
    /// Whose it is.
    pub tuple: Tuple,
    /// Who sent the frame.
    pub source_mac: MacWord,
    /// The segment.
    pub segment: Segment,
}

/// The number of a slot: a result with it fits a register, one with a [`SlotRef`] the stack.
pub type SlotNumber = u32;

/// Finds or makes the connection of a SYN; `slot` and `word` are those that its tuple has.
#[inline(never)]
#[expect(clippy::needless_pass_by_value, reason = "see `Opening`")]
pub fn connect(opening: Opening, slot: SlotRef, word: Word) -> Result<SlotNumber, Reason> {
    let context = Context::now().ok_or(Reason::NoServer)?;
    let frontend = context.setup.frontend(opening.tuple.frontend());
    if !slot.is_some() {
        return first(&context, frontend, &opening);
    }
    match tcp::on_syn(word.state(), &slot.fields().sides, opening.segment.seq) {
        OnSyn::Replaces if slot.release(word) => return first(&context, frontend, &opening),
        OnSyn::Replaces => return Err(Reason::LostRace),
        OnSyn::Challenge => {}
        OnSyn::Retransmission => return again(&context, frontend, &opening, slot, word),
    }
    conntrack::account(slot, Direction::ToServer, &opening.segment);
    Ok(slot.number)
}

/// The first SYN of a connection.
#[inline(always)]
fn first(context: &Context, frontend: &Frontend, opening: &Opening) -> Result<SlotNumber, Reason> {
    if frontend.draining != 0 {
        return Err(Reason::Draining);
    }
    if !frontend.limits.is_none() {
        admission::admit(&frontend.limits, frontend.number, opening.tuple.addr())?;
    }
    offer(context, opening, next_server(frontend, Servers::NONE)?, Servers::NONE)
}

/// A SYN that has come before. If its server has not answered for long enough, another gets it.
#[inline(always)]
fn again(
    context: &Context,
    frontend: &Frontend,
    opening: &Opening,
    slot: SlotRef,
    word: Word,
) -> Result<SlotNumber, Reason> {
    let fields = slot.fields();
    let waited = fields.last_seen.age(context.now);
    if word.state() == State::SynSent && waited >= context.setup.settings.redispatch_after {
        let silent = fields.server;
        let tried = retry::tried(slot).and(silent);
        // Without another server the silent one gets it again.
        if let Ok(other) = next_server(frontend, tried)
            && slot.swap(word, word.with(State::Abandoned, Fins::NONE))
        {
            maps::count_path(frontend.number, silent, |path| path.redispatched += 1);
            maps::report(frontend.number, silent, Failure::Silent);
            return offer(context, opening, other, tried);
        }
    }
    fields.last_seen = context.now;
    conntrack::learn_mac(slot, opening.source_mac);
    conntrack::account(slot, Direction::ToServer, &opening.segment);
    Ok(slot.number)
}

/// Opens a connection to a server, with a copy of the SYN for the next one in case it refuses.
#[inline(always)]
fn offer(context: &Context, opening: &Opening, server: u16, tried: Servers) -> Result<SlotNumber, Reason> {
    let slot = SlotRef::get(open(context, opening, server)?).ok_or(Reason::NoSlot)?;
    retry::keep(&opening.packet, slot, tried.and(server));
    conntrack::account(slot, Direction::ToServer, &opening.segment);
    Ok(slot.number)
}

/// Opens a connection to a server.
#[inline(never)]
pub fn open(context: &Context, opening: &Opening, number: u16) -> Result<SlotNumber, Reason> {
    let tuple = opening.tuple;
    if !opening.source_mac.is_unicast() {
        return Err(Reason::BadSourceMac);
    }
    let server = context.setup.server(number);
    if !server.next_hop.is_unicast() {
        return Err(Reason::NoNextHop);
    }
    let (slot, claimed) = slots::claim(context, server.first_slot, number).ok_or(Reason::NoSlot)?;
    fill(slot, number, context.now, opening);
    let hash = tuple.hash(&context.setup.settings.hash_key);
    let entry = Entry::new(hash.tag(), claimed.generation(), slot.number);
    if !index::insert(context, hash, entry) {
        // Nobody else takes a claimed slot away before its entry is in the index.
        let _ = slot.release(claimed);
        return Err(Reason::IndexFull);
    }
    let timeouts = &context.setup.frontend(tuple.frontend()).timeouts;
    if !index::is_only(context, tuple, hash, entry, timeouts) {
        let _ = slot.release(claimed);
        return Err(Reason::LostRace);
    }
    if !slot.swap(claimed, claimed.with(State::SynSent, Fins::NONE)) {
        return Err(Reason::LostRace);
    }
    maps::count_path(tuple.frontend(), number, |path| path.connections += 1);
    // Behind the last atomic operation: each of them waits until all stores before it have reached
    // the cache, and this one's line is not in it.
    if let Some(details) = slot.details() {
        // SAFETY: the helper has no preconditions.
        let opened_at = unsafe { bpf_ktime_get_ns() };
        *details = Details { opened_at, answered_at: 0, closed_at: 0, packets_high: [0; 2] };
    }
    Ok(slot.number)
}

/// The server whose turn it is, of those that were not tried.
#[inline(always)]
pub fn next_server(frontend: &Frontend, tried: Servers) -> Result<u16, Reason> {
    let number = frontend.number;
    // SAFETY: a field of a whole element of the map; volatile, because the agent switches rings by
    // this one word and both its parts must come from the same look.
    let ring = unsafe { (&raw const frontend.ring).read_volatile() };
    if ring.is_empty() {
        return Err(Reason::NoServer);
    }
    let cursor = maps::ring_cursor(u32::from(number)).ok_or(Reason::NoServer)?;
    // SAFETY: an element of the map, changed only by this operation and at start.
    let turn = unsafe { atomic::fetch_add_u64(&raw mut (*cursor).position, 1) };
    let place = (turn % u64::from(ring.len())) as usize;
    let servers = &maps::ring(u32::from(number), ring.buffer()).ok_or(Reason::NoServer)?.servers;
    for next in 0..NEIGHBOURS {
        let server = servers[(place + next) % RING_LEN];
        if !tried.contains(server) {
            return Ok(server);
        }
    }
    // One of little weight, whose turn is far away.
    frontend.usable.without(tried).first().ok_or(Reason::NoServer)
}

/// How far along the ring a server is searched that was not tried.
const NEIGHBOURS: usize = 8;

/// Writes everything but the state word into a claimed slot.
#[inline(always)]
fn fill(slot: SlotRef, server: u16, now: Tick, opening: &Opening) {
    let fields = slot.fields();
    fields.last_seen = now;
    fields.tuple = opening.tuple;
    fields.sides = tcp::open(&opening.segment);
    fields.client_mac = opening.source_mac.into();
    fields.server = server;
    fields.packets = [0; 2];
    fields.bytes = [0; 2];
}
