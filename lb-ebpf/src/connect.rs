//! A client's SYN: one more of a connection that it has, or a new connection.
//!
//! Rare beside the packets of established connections, so all of it is kept out of their line: what
//! it would take from their registers costs more than its call costs a SYN.

use lb_common::ending::How;
use lb_common::event::Failure;
use lb_common::frontend::{Frontend, RingRef};
use lb_common::index::{Entry, Tuple};
use lb_common::net::{Mac, MacWord};
use lb_common::reason::Reason;
use lb_common::reuse::Stamp;
use lb_common::ring::RING_LEN;
use lb_common::server::Servers;
use lb_common::slot::{Ends, Word};
use lb_common::tcp::{self, Direction, Fins, OnSyn, Segment, Seq, State};
use lb_common::time::Tick;

use crate::packet::Frame;
use crate::parse;
use crate::slots::{self, Claim, NOT_CLAIMED, SlotNumber, SlotRef, WordAnd, clear};
use crate::{Context, admission, atomic, conntrack, ending, index, maps, retry};

/// A SYN and what is known of it.
struct Opening<'f, F> {
    context: Context,
    frame: &'f F,
    frontend: &'static Frontend,
    tuple: Tuple,
    source_mac: MacWord,
    segment: Segment,
}

/// Finds or makes the connection of a SYN to a frontend.
///
/// All of it is looked up again: more arguments would force common packets, which never come here, to
/// keep more on the stack.
#[inline(never)]
pub fn connect(frame: &impl Frame, frontend: u16) -> Result<SlotNumber, Reason> {
    let context = Context::now().ok_or(Reason::NoServer)?;
    let packet = frame.packet();
    let headers = parse::headers(&packet).ok_or(Reason::Truncated)?;
    let segment = parse::segment(&packet, &headers)?;
    let source_mac = Mac(headers.eth.src_addr).into();
    if !parse::source(headers.ip).is_source() {
        return Err(Reason::BadSource);
    }
    let tuple = Tuple::new(parse::source(headers.ip), parse::port(headers.tcp.source), frontend);
    let frontend = context.setup.frontend(frontend);
    foresee(&context, frontend);
    let hash = tuple.hash(&context.setup.settings.hash_key);
    let known = index::find(&context, tuple, hash, &frontend.timeouts);
    let opening = Opening { context, frame, frontend, tuple, source_mac, segment };
    let mut refused = Servers::NONE;
    if known.is_some() {
        let (slot, word) = (known.slot, known.word);
        let fields = slot.fields();
        match tcp::on_syn(word.state(), &fields.sides, segment.seq) {
            OnSyn::Challenge => {
                retry::keep(frame, slot.number, Servers::NONE.and(fields.server()));
                conntrack::challenge(slot, &segment);
                return Ok(slot.number);
            }
            OnSyn::Retransmission => return opening.again(slot, word),
            OnSyn::Replaces => {}
        }
        if tcp::is_refused(word.state(), &fields.sides, segment.seq) {
            refused = retry::tried(slot).and(fields.server());
        }
        if word.state() == State::SynSent {
            ending::tell(slot, How::GivenUp);
        }
        // From then on it is another's.
        if !slot.leave(word) {
            return Err(Reason::LostRace);
        }
    }
    opening.first(refused)
}

impl<F: Frame> Opening<'_, F> {
    /// The first SYN of a connection, or one that has come again after servers have refused it.
    #[inline(always)]
    fn first(&self, refused: Servers) -> Result<SlotNumber, Reason> {
        let Self { frontend, tuple, .. } = self;
        if frontend.draining != 0 {
            return Err(Reason::Draining);
        }
        if !frontend.limits.is_none() {
            admission::admit(frontend.number, tuple.addr())?;
        }
        // When all have refused, they are asked again.
        let tried = if frontend.usable.without(refused).is_empty() { Servers::NONE } else { refused };
        let server = next_server(frontend, tried);
        if server == Err(Reason::NoServer) {
            ending::tell_no_server(*tuple);
        }
        self.offer(server?, tried, 0)
    }

    /// A SYN that has come before. If its server has not answered for long enough, another gets it.
    #[inline(always)]
    fn again(&self, slot: SlotRef, word: Word) -> Result<SlotNumber, Reason> {
        let Self { context, frontend, .. } = self;
        let fields = slot.fields();
        let waited = fields.last_seen.age(context.now);
        if word.state() == State::SynSent && waited >= context.setup.settings.redispatch_after {
            let silent = fields.server();
            let tried = retry::tried(slot).and(silent);
            // When all were tried, the others are again: it may have been the network. Without any other
            // the silent one gets it once more.
            let is_new = !frontend.usable.without(tried).is_empty();
            let tried = if is_new { tried } else { Servers::NONE.and(silent) };
            let since = slot.details().map_or(0, |details| details.opened_at);
            if let Ok(other) = next_server(frontend, tried)
                && slot.swap(word, word.with(State::Abandoned, Fins::NONE))
            {
                maps::count_path(frontend.number, silent, |path| path.redispatched += 1);
                maps::report(frontend.number, silent, Failure::Silent);
                return self.offer(other, tried, since);
            }
        }
        fields.last_seen = context.now;
        tcp::repeat(&mut fields.sides, &self.segment);
        conntrack::learn_mac(slot, self.source_mac);
        conntrack::account(slot, Direction::ToServer, self.segment.payload);
        Ok(slot.number)
    }

    /// Opens a connection to a server, with a copy of the SYN for the next one in case it refuses.
    #[inline(always)]
    fn offer(&self, server: u16, tried: Servers, since: u64) -> Result<SlotNumber, Reason> {
        let ends = Ends::new(self.source_mac, server);
        let packet = self.frame.packet();
        let headers = parse::headers(&packet).ok_or(Reason::Truncated)?;
        let stamp = parse::stamp(&packet, headers.tcp.header_len());
        let number = open(self.tuple, ends, Isn::of(&self.segment), since, stamp)?;
        let slot = SlotRef::get(number).ok_or(Reason::NoSlot)?;
        retry::keep(self.frame, number, tried.and(server));
        conntrack::account(slot, Direction::ToServer, self.segment.payload);
        Ok(number)
    }
}

/// The numbers of a SYN, in one register.
#[derive(Clone, Copy)]
pub struct Isn(u64);

impl Isn {
    /// Those of a SYN with so many bytes of data.
    #[inline(always)]
    #[must_use]
    pub const fn new(first: Seq, end: Seq) -> Self {
        Self((end.0 as u64) << 32 | first.0 as u64)
    }

    #[inline(always)]
    const fn of(syn: &Segment) -> Self {
        Self::new(syn.seq, syn.end())
    }

    #[inline(always)]
    const fn first(self) -> Seq {
        Seq(self.0 as u32)
    }

    #[inline(always)]
    const fn end(self) -> Seq {
        Seq((self.0 >> 32) as u32)
    }
}

/// Opens a connection between two ends for a client's SYN; `since` is when the client's attempts began,
/// in ns, and zero for now.
///
/// In two steps, each a function of its own, as in [`retry::retry`].
#[inline(always)]
pub fn open(tuple: Tuple, ends: Ends, isn: Isn, since: u64, stamp: Stamp) -> Result<SlotNumber, Reason> {
    if !ends.client_mac().is_unicast() {
        return Err(Reason::BadSourceMac);
    }
    let setup = maps::setup().ok_or(Reason::NoServer)?;
    if !setup.server(ends.server()).next_hop.is_unicast() {
        return Err(Reason::NoNextHop);
    }
    let claim = slots::claim(ends.server(), isn.first(), stamp);
    if claim == NOT_CLAIMED {
        return Err(Reason::NoSlot);
    }
    let entered = enter_slot(claim.0, tuple.bits(), ends.bits(), isn.0);
    Reason::from_number(entered, ENTERING_FAILS)?;
    let number = claim.number();
    // Behind the last atomic operation: each of them waits until all stores before it have reached
    // the cache, and this one's line is not in it.
    if let Some(details) = maps::details(number) {
        // SAFETY: a whole element of the map.
        slots::begin(unsafe { &mut *details }, since, stamp);
    }
    Ok(number)
}

/// Why [`enter`] fails.
const ENTERING_FAILS: [Reason; 4] = [Reason::NoServer, Reason::NoSlot, Reason::IndexFull, Reason::LostRace];

/// [`enter`], global to the kernel, so that the verifier follows it once; see [`slots::claim`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn enter_slot(claim: u64, tuple: u64, ends: u64, isn: u64) -> u32 {
    let (tuple, ends) = (Tuple::from_bits(tuple), Ends::from_bits(ends));
    Reason::to_number(enter(WordAnd(claim), tuple, ends, Isn(isn)))
}

/// Makes a claimed slot the connection of a SYN, unless it has one already.
#[inline(always)]
fn enter(claim: Claim, tuple: Tuple, ends: Ends, isn: Isn) -> Result<(), Reason> {
    let context = &Context::now().ok_or(Reason::NoServer)?;
    let (slot, claimed) = (SlotRef::get(claim.number()).ok_or(Reason::NoSlot)?, claim.word());
    let first_slot = context.setup.server(ends.server()).first_slot;
    let nat = context.setup.settings.nat_of(slot.number.wrapping_sub(first_slot));
    fill(slot, tuple, ends.with_nat(nat), isn, context.now);
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
    maps::count_path(tuple.frontend(), ends.server(), |path| path.connections += 1);
    Ok(())
}

/// The server whose turn it is, of those that were not tried.
#[inline(always)]
pub fn next_server(frontend: &Frontend, tried: Servers) -> Result<u16, Reason> {
    let ring = ring(frontend);
    if ring.is_empty() {
        return Err(Reason::NoServer);
    }
    let cursor = maps::ring_cursor(u32::from(frontend.number)).ok_or(Reason::NoServer)?;
    // SAFETY: an element of the map, changed only by this operation and at start.
    let turn = unsafe { atomic::fetch_add_u64(&raw mut (*cursor).position, 1) };
    let (servers, place) = at_turn(frontend, ring, turn).ok_or(Reason::NoServer)?;
    for next in 0..NEIGHBOURS {
        let server = servers[(place + next) % RING_LEN];
        if !tried.contains(server) {
            return Ok(server);
        }
    }
    // One of little weight, whose turn is far away.
    frontend.usable.without(tried).first().ok_or(Reason::NoServer)
}

/// Touches the slot that a new connection is likely to get.
///
/// Neither its memory nor the index's is in a cache, as a rule. So the one is fetched while the search
/// waits for the other; the atomic operations in between would keep the processor from doing that by
/// itself. Nothing depends on what is read here.
#[inline(always)]
fn foresee(context: &Context, frontend: &Frontend) {
    let Some(cursor) = maps::ring_cursor(u32::from(frontend.number)) else { return };
    // SAFETY: an element of the map.
    let turn = unsafe { slots::position(cursor) };
    if let Some((servers, place)) = at_turn(frontend, ring(frontend), turn) {
        slots::foresee(context, servers[place % RING_LEN]);
    }
}

/// The ring that is in force.
#[inline(always)]
fn ring(frontend: &Frontend) -> RingRef {
    // SAFETY: a field of a whole element of the map; volatile, because the agent switches rings by
    // this one word and both its parts must come from the same look.
    unsafe { (&raw const frontend.ring).read_volatile() }
}

/// A frontend's ring, and the place in it whose turn it is.
#[inline(always)]
fn at_turn(frontend: &Frontend, ring: RingRef, turn: u64) -> Option<(&'static [u16; RING_LEN], usize)> {
    let place = turn.checked_rem(u64::from(ring.len()))? as usize;
    Some((&maps::ring(u32::from(frontend.number), ring.buffer())?.servers, place))
}

/// How far along the ring a server is searched that was not tried.
const NEIGHBOURS: usize = 8;

/// Writes everything but the state word into a claimed slot.
#[inline(always)]
fn fill(slot: SlotRef, tuple: Tuple, ends: Ends, isn: Isn, now: Tick) {
    let fields = slot.fields();
    fields.last_seen = now;
    fields.tuple = tuple;
    fields.sides = tcp::open(isn.first(), isn.end());
    fields.ends = ends;
    fields.packets = [0; 2];
    fields.bytes.iter_mut().for_each(clear);
}
