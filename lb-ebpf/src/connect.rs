//! A client's SYN: one more of a connection that it has, or a new connection.
//!
//! Rare beside the packets of established connections, so all of it is kept out of their line: what
//! it would take from their registers costs more than its call costs a SYN.

use aya_ebpf::helpers::generated::bpf_ktime_get_ns;
use lb_common::frontend::Frontend;
use lb_common::index::{Entry, Hash, Tuple};
use lb_common::net::MacWord;
use lb_common::reason::Reason;
use lb_common::ring::RING_LEN;
use lb_common::slot::Details;
use lb_common::tcp::{self, Direction, Fins, OnSyn, Segment, State};

use crate::index::Found;
use crate::slots::{self, SlotRef};
use crate::{Context, atomic, conntrack, index, maps};

/// A SYN and what is known of it.
///
/// All by value: a reference would force what it points to out of registers for the common
/// packets, which never come here.
pub struct Opening {
    /// Setup and time.
    pub context: Context,
    /// Where it is sent.
    pub frontend: &'static Frontend,
    /// Whose it is.
    pub tuple: Tuple,
    /// The tuple's hash.
    pub hash: Hash,
    /// Who sent the frame.
    pub source_mac: MacWord,
    /// The segment.
    pub segment: Segment,
    /// The connection that the tuple has.
    pub known: Found,
}

/// Finds or makes the connection of a SYN.
#[inline(never)]
#[expect(clippy::needless_pass_by_value, reason = "see `Opening`")]
pub fn connect(opening: Opening) -> Result<SlotRef, Reason> {
    let Found { slot, word, .. } = opening.known;
    let slot = if opening.known.is_some() {
        match tcp::on_syn(word.state(), &slot.fields().sides, opening.segment.seq) {
            OnSyn::Replaces if slot.release(word) => open(&opening)?,
            OnSyn::Replaces => return Err(Reason::LostRace),
            OnSyn::Challenge => slot,
            OnSyn::Retransmission => {
                slot.fields().last_seen = opening.context.now;
                conntrack::learn_mac(slot, opening.source_mac);
                slot
            }
        }
    } else {
        open(&opening)?
    };
    conntrack::account(slot, Direction::ToServer, &opening.segment);
    Ok(slot)
}

/// Opens a connection to the next server of the ring.
#[inline(always)]
fn open(opening: &Opening) -> Result<SlotRef, Reason> {
    let Opening { context, frontend, tuple, hash, .. } = opening;
    if !opening.source_mac.is_unicast() {
        return Err(Reason::BadSourceMac);
    }
    let number = next_server(frontend, tuple.frontend())?;
    let server = context.setup.server(number);
    if !server.next_hop.is_unicast() {
        return Err(Reason::NoNextHop);
    }
    let (slot, claimed) = slots::claim(context, server.first_slot, number).ok_or(Reason::NoSlot)?;
    fill(slot, number, opening);
    let entry = Entry::new(hash.tag(), claimed.generation(), slot.number);
    if !index::insert(context, *hash, entry) {
        // Nobody else takes a claimed slot away before its entry is in the index.
        let _ = slot.release(claimed);
        return Err(Reason::IndexFull);
    }
    if !index::is_only(context, *tuple, *hash, entry, &frontend.timeouts) {
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
    Ok(slot)
}

/// The server whose turn it is.
#[inline(always)]
fn next_server(frontend: &Frontend, number: u16) -> Result<u16, Reason> {
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
    Ok(servers[place % RING_LEN])
}

/// Writes everything but the state word into a claimed slot.
#[inline(always)]
fn fill(slot: SlotRef, server: u16, opening: &Opening) {
    let fields = slot.fields();
    fields.last_seen = opening.context.now;
    fields.tuple = opening.tuple;
    fields.sides = tcp::open(&opening.segment);
    fields.client_mac = opening.source_mac.into();
    fields.server = server;
    fields.packets = [0; 2];
    fields.bytes = [0; 2];
}
