//! A server does not take a connection: the client's SYN goes on to the next one at once, in the
//! frame of the answer that the client is not to see.

use lb_common::ending::How;
use lb_common::reason::Reason;
use lb_common::server::Servers;
use lb_common::slot::Ends;
use lb_common::syn::{MAX_OFFERS, MAX_OPTIONS, Owner, Syn};
use lb_common::tcp::{Direction, Fins, Flags, Seq, State};

use crate::classify::{self, Ours};
use crate::connect::{self, Isn};
use crate::packet::{Frame, Packet, TcpHdr};
use crate::parse::{self, TCP_OFFSET};
use crate::slots::{SlotNumber, SlotRef};
use crate::{Context, Verdict, answer, atomic, conntrack, ending, maps, rewrite};

/// Keeps a copy of a SYN that was just given to a server.
#[inline(never)]
pub fn keep(frame: &impl Frame, slot: SlotNumber, tried: Servers) {
    let Some(slot) = SlotRef::get(slot) else { return };
    let owner = owner(slot);
    let packet = frame.packet();
    let (Some(place), Some(headers)) = (maps::syn(owner), parse::headers(&packet)) else { return };
    // SAFETY: a whole element of the map.
    if !unsafe { take(place, owner_of(place)) } {
        return;
    }
    // SAFETY: as above, and nobody else writes it.
    let copy = unsafe { &mut *place };
    let length = headers.tcp.header_len() - TcpHdr::LEN;
    copy.tried = tried;
    copy.window = u16::from_ne_bytes(headers.tcp.window);
    copy.options_len = length as u8;
    copy.ttl = headers.ip.ttl;
    copy.tos = headers.ip.tos;
    copy.flags = kept_flags(headers.tcp.flags);
    copy.offers = 1;
    for i in 0..MAX_OPTIONS / 4 {
        if i * 4 >= length {
            break;
        }
        let Some(word) = packet.header::<[u8; 4]>(TCP_OFFSET + TcpHdr::LEN + i * 4) else {
            // SAFETY: as above.
            return unsafe { set_owner(place, Owner::NOBODY) };
        };
        copy.options[i] = u32::from_ne_bytes(*word);
    }
    // SAFETY: as above.
    unsafe { set_owner(place, owner) };
}

/// Takes a copy away from an owner, to be written: whoever still reads it sees so before it sees anything
/// of what is written. Tells whether it did; nobody does whose place another CPU is writing.
///
/// # Safety
///
/// `copy` is a whole element of the map.
#[inline(always)]
unsafe fn take(copy: *mut Syn, owner: Owner) -> bool {
    // SAFETY: the caller's promise; the owner is aligned, and written elsewhere only by `set_owner`.
    owner != Owner::BUSY
        && unsafe { atomic::swap_u64((&raw mut (*copy).owner).cast(), owner.word(), Owner::BUSY.word()) }
}

/// Whose a copy is.
///
/// # Safety
///
/// As [`take`].
#[inline(always)]
unsafe fn owner_of(copy: *const Syn) -> Owner {
    // SAFETY: the caller's promise; volatile, because other CPUs change it.
    unsafe { (&raw const (*copy).owner).read_volatile() }
}

/// Those of a SYN's flags that say something: SYN, and the two that offer ECN.
#[inline(always)]
const fn kept_flags(flags: u8) -> u8 {
    flags & (Flags::SYN | Flags::ECE | Flags::CWR)
}

/// Says whose a copy is; volatile, so that it comes after what was written of the rest. Its owner reads
/// it when a server answers, long after that.
///
/// # Safety
///
/// As [`take`].
#[inline(always)]
unsafe fn set_owner(copy: *mut Syn, owner: Owner) {
    // SAFETY: the caller's promise.
    unsafe { (&raw mut (*copy).owner).write_volatile(owner) };
}

#[inline(always)]
fn owner(slot: SlotRef) -> Owner {
    Owner::new(slot.number, slot.head().0.generation())
}

/// The servers that a connection's SYN was offered to, as far as that is known.
#[inline(always)]
#[must_use]
pub fn tried(slot: SlotRef) -> Servers {
    copy(slot).map_or(Servers::NONE, |copy| copy.tried)
}

/// How often a connection that no server has answered yet was offered to another one, as far as that is
/// known.
#[inline(always)]
#[must_use]
pub fn redispatched(slot: SlotRef) -> u32 {
    tried(slot).len().saturating_sub(1)
}

/// The copy of a connection's SYN, if no other has taken its place.
#[inline(always)]
fn copy(slot: SlotRef) -> Option<&'static Syn> {
    let owner = owner(slot);
    // SAFETY: as in `keep`.
    let copy = unsafe { &*maps::syn(owner)? };
    (copy.owner == owner).then_some(copy)
}

/// Whether a copy is still whose it was before it was read.
#[inline(always)]
fn is_still(copy: *const Syn, owner: Owner) -> bool {
    // An addition of nothing, because it is ordered behind all that was read.
    // SAFETY: as in `copy`; the owner is aligned, and changed atomically or by one store.
    unsafe { atomic::fetch_add_u64((&raw const (*copy).owner).cast_mut().cast(), 0) == owner.word() }
}

/// Offers a connection to the next server, after an answer that the client is not to see.
///
/// Where there is no other server, the client gets the answer after all. Where the SYN cannot be
/// made again, because its copy is gone or the frame cannot grow, nobody gets anything, and the
/// client's next SYN goes to the next server.
///
/// In three steps, each a function of its own: functions that call each other have 512 bytes of stack
/// together, and all in one would need more. Once the frame has the length of the SYN, what it said
/// is gone; from there on only slots tell who is who.
#[inline(always)]
pub fn retry(frame: &impl Frame, reason: Reason) -> Verdict {
    let next = choose(frame, reason);
    if next == Next::CLIENT {
        return Verdict::Transmit;
    }
    if next == Next::NOBODY {
        return Verdict::Drop;
    }
    match open(next) {
        Some(slot) if send(frame, slot) => Verdict::Transmit,
        _ => Verdict::Drop,
    }
}

/// Who gets the next packet: a server a SYN, instead of the one whose slot it is.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Next(u64);

impl Next {
    /// The client: the answer was rewritten for it.
    const CLIENT: Self = Self(u64::MAX);
    /// Nobody.
    const NOBODY: Self = Self(u64::MAX - 1);

    /// A server by its number, after the one that has `slot`.
    const fn server(number: u16, slot: SlotNumber) -> Self {
        Self((number as u64) << 32 | slot as u64)
    }

    const fn number(self) -> u16 {
        (self.0 >> 32) as u16
    }

    const fn slot(self) -> SlotNumber {
        self.0 as u32
    }
}

/// Chooses who gets the next packet. For a server, the frame has the length of the SYN then: before
/// the connection is moved, because a frame that cannot grow must leave it where it is.
#[inline(never)]
fn choose(frame: &impl Frame, reason: Reason) -> Next {
    choice(frame, reason == Reason::Refused).unwrap_or(Next::NOBODY)
}

#[inline(always)]
fn choice(frame: &impl Frame, refused: bool) -> Option<Next> {
    let (context, slot) = answered(&frame.packet())?;
    let frontend = context.setup.frontend(slot.fields().tuple.frontend());
    let copy = copy(slot).filter(|copy| copy.offers < MAX_OFFERS);
    let tried = match &copy {
        // A server that only holds the port may take the connection on another one.
        _ if !refused => Servers::NONE,
        Some(copy) => copy.tried,
        None => Servers::NONE.and(slot.fields().server()),
    };
    if let Ok(number) = connect::next_server(frontend, tried) {
        if let Some(copy) = copy
            && frame.resize(answer::syn_len(copy)).is_some()
        {
            return Some(Next::server(number, slot.number));
        }
        if refused {
            return None;
        }
    }
    if refused {
        ending::tell(slot, How::Refused);
    }
    let packet = frame.packet();
    let headers = parse::headers(&packet)?;
    let segment = parse::segment(&packet, &headers).ok()?;
    conntrack::account(slot, Direction::ToClient, segment.payload);
    rewrite::apply(frame, &packet, headers, &conntrack::to_client(frontend, slot), &context.setup.settings);
    Some(Next::CLIENT)
}

/// The slot of the SYN that a server's packet answers.
#[inline(always)]
fn answered(packet: &Packet) -> Option<(Context, SlotRef)> {
    let context = Context::now()?;
    let (headers, ours) = classify::classify(packet, context.setup).ok()?;
    let Ours::Server(server) = ours else { return None };
    let nat = classify::destination(headers.ip, headers.tcp.dest);
    let slot = conntrack::slot_of(&context, server, nat).ok()?;
    Some((context, slot))
}

/// Opens the connection of an answered SYN anew, to another server.
#[inline(never)]
fn open(next: Next) -> Option<SlotNumber> {
    let slot = SlotRef::get(next.slot())?;
    let (word, _) = slot.head();
    if !matches!(word.state(), State::SynSent | State::Closed) {
        // Another answer has overtaken this one, and the server has taken the connection.
        return None;
    }
    copy(slot)?;
    let former = owner(slot);
    let fields = slot.fields();
    let (tuple, from) = (fields.tuple, fields.server());
    let first = isn(slot);
    let client_mac = fields.ends.client_mac();
    let (since, stamp) = slot.details().map(|details| (details.opened_at, details.stamp))?;
    // Who has refused holds nothing; of another one something may still come.
    let over = if word.state() == State::Closed { State::Free } else { State::Abandoned };
    if !slot.swap(word, word.with(over, Fins::NONE)) {
        return None;
    }
    let (ends, isn) = (Ends::new(client_mac, next.number()), Isn::new(first, first.plus(1)));
    let slot = SlotRef::get(connect::open(tuple, ends, isn, since, stamp).ok()?)?;
    maps::count_path(tuple.frontend(), from, |path| path.redispatched += 1);
    conntrack::account(slot, Direction::ToServer, 0);
    if !pass_on(former, owner(slot), next.number()) {
        give_back(slot);
        return None;
    }
    Some(slot.number)
}

/// No SYN leaves for this slot after all: its server is not to be blamed for its silence.
#[inline(always)]
fn give_back(slot: SlotRef) {
    let (word, _) = slot.head();
    let _ = slot.release(word);
}

/// Makes the copy of a SYN that was offered to one more server another slot's, at another place or at
/// the same; unless another SYN has taken one of the places meanwhile.
#[inline(always)]
fn pass_on(former: Owner, owner: Owner, server: u16) -> bool {
    // Not references: they may be the same.
    let (Some(old), Some(new)) = (maps::syn(former), maps::syn(owner)) else { return false };
    let stays = owner.place() == former.place();
    // SAFETY: whole elements of the map.
    unsafe {
        if !take(new, if stays { former } else { owner_of(new) }) {
            return false;
        }
        (*new).tried = (*old).tried.and(server);
        (*new).window = (*old).window;
        (*new).options_len = (*old).options_len;
        (*new).ttl = (*old).ttl;
        (*new).tos = (*old).tos;
        (*new).flags = (*old).flags;
        (*new).offers = (*old).offers + 1;
        for i in 0..MAX_OPTIONS / 4 {
            // Volatile, so that LLVM does not make it a call of `memmove`: that takes stack.
            (&raw mut (*new).options[i]).write_volatile((*old).options[i]);
        }
        let is_whole = stays || is_still(old, former);
        set_owner(new, if is_whole { owner } else { Owner::NOBODY });
        is_whole
    }
}

/// The number of a connection's SYN.
#[inline(always)]
fn isn(slot: SlotRef) -> Seq {
    Seq(slot.fields().sides[Direction::ToClient as usize].ack.0.wrapping_sub(1))
}

/// Makes the frame the SYN of a connection that was just moved to another server.
#[inline(never)]
fn send(frame: &impl Frame, slot: SlotNumber) -> bool {
    let Some(slot) = SlotRef::get(slot) else { return false };
    let is_made = make(frame, slot).is_some();
    if !is_made {
        give_back(slot);
    }
    is_made
}

#[inline(always)]
fn make(frame: &impl Frame, slot: SlotRef) -> Option<()> {
    let context = Context::now()?;
    let addressing = conntrack::to_server(&context, slot).ok()?;
    let copy = copy(slot)?;
    answer::syn(frame, &context.setup.settings, addressing, isn(slot), copy)?;
    is_still(copy, owner(slot)).then_some(())
}
