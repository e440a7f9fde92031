//! TCP as a balancer sees it: whose packet may change the state of a connection, and to what.
//!
//! Only plausible packets change anything (RFC 5961 gives the reasons): a segment must acknowledge
//! something that its peer has really sent, a RST must have the very number that its receiver expects.
//! Others are still forwarded; the ends know better than we do.

use core::fmt;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// A sequence number, in host order; compared modulo 2³² (RFC 9293 §3.4).
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Seq(pub u32);

impl Seq {
    /// How far this number is after `other`, modulo 2³².
    #[inline(always)]
    #[must_use]
    pub const fn since(self, other: Self) -> u32 {
        self.0.wrapping_sub(other.0)
    }

    /// The number `n` further on.
    #[inline(always)]
    #[must_use]
    pub const fn plus(self, n: u32) -> Self {
        Self(self.0.wrapping_add(n))
    }

    /// Whether the number lies in `first..=last`.
    #[inline(always)]
    #[must_use]
    pub const fn is_within(self, first: Self, last: Self) -> bool {
        self.since(first) <= last.since(first)
    }
}

/// The flags of a segment: the header's byte.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(pub u8);

impl Flags {
    /// FIN.
    pub const FIN: u8 = 0x01;
    /// SYN.
    pub const SYN: u8 = 0x02;
    /// RST.
    pub const RST: u8 = 0x04;
    /// ACK.
    pub const ACK: u8 = 0x10;
    /// ECN-Echo (RFC 3168 §6.1).
    pub const ECE: u8 = 0x40;
    /// Congestion window reduced (RFC 3168 §6.1).
    pub const CWR: u8 = 0x80;

    /// Whether all of `flags` are set.
    #[inline(always)]
    #[must_use]
    pub const fn has(self, flags: u8) -> bool {
        self.0 & flags == flags
    }

    /// Whether the segment opens a connection: SYN without ACK.
    #[inline(always)]
    #[must_use]
    pub const fn is_opening(self) -> bool {
        self.0 & (Self::SYN | Self::ACK) == Self::SYN
    }

    /// Whether any TCP sends this combination (RFC 9293 §3.10.7): never SYN with FIN or RST, and
    /// always one of SYN, ACK and RST.
    #[inline(always)]
    #[must_use]
    pub const fn are_valid(self) -> bool {
        // A bit for each combination of the four, which is cheaper than to ask for each.
        const VALID: u32 = {
            let mut valid = 0;
            let mut flags = 0;
            while flags < 32 {
                let ends = flags & (Flags::FIN | Flags::RST) != 0;
                let says_something = flags & (Flags::SYN | Flags::ACK | Flags::RST) != 0;
                if says_something && !(flags & Flags::SYN != 0 && ends) {
                    valid |= 1 << flags;
                }
                flags += 1;
            }
            valid
        };
        VALID >> (self.0 & (Self::FIN | Self::SYN | Self::RST | Self::ACK)) & 1 != 0
    }
}

/// What the state machine needs to know of a segment.
///
/// Aligned to eight bytes, because LLVM joins neighbouring fields into one store and the BPF
/// verifier wants every access to the stack aligned to its size; for the same reason the two fields
/// that are zero in a SYN share a double word.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Segment {
    /// The acknowledgement; meaningless without the ACK flag.
    pub ack: Seq,
    /// Bytes of payload.
    pub payload: u32,
    /// The sequence number.
    pub seq: Seq,
    /// The flags.
    pub flags: Flags,
}

impl Segment {
    /// The sequence number after the segment: SYN and FIN count as one each.
    #[inline(always)]
    #[must_use]
    pub const fn end(&self) -> Seq {
        // SYN is bit 1 and FIN is bit 0.
        let flags = self.flags.0 as u32;
        self.seq.plus(self.payload + (flags & 1) + (flags >> 1 & 1))
    }
}

/// Which way a packet goes; also the index of its sender in [`crate::slot::Slot::sides`].
#[repr(usize)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the client.
    ToServer = 0,
    /// From the server.
    ToClient = 1,
}

/// The last sequence numbers of one side.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Side {
    /// After the last byte that it sent.
    pub end: Seq,
    /// The last acknowledgement that it sent; before its first one, the only one that it can send.
    pub ack: Seq,
}

impl Side {
    /// The side has sent a segment: its end moves on, if that is not implausibly far.
    #[inline(always)]
    const fn advance(&mut self, segment: &Segment) {
        let end = segment.end();
        if end.since(self.end) <= MAX_WINDOW {
            self.end = end;
        }
    }
}

/// The state of a connection slot.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nobody's.
    Free = 0,
    /// Being filled in by the CPU that claimed it.
    Claimed = 1,
    /// The client's SYN was forwarded.
    SynSent = 2,
    /// The server's SYN-ACK was forwarded.
    SynReceived = 3,
    /// The client acknowledged the SYN-ACK. Holds after one FIN too.
    Established = 4,
    /// Both sides have sent a FIN.
    TimeWait = 5,
    /// Either side has sent a RST.
    Closed = 6,
    /// The client's attempt has gone to another server. Nothing is heard of this one any more: it is
    /// told so with RST if it answers after all.
    Abandoned = 7,
    /// The server is down and the connection was reset. Who goes on all the same is answered with RST.
    Reset = 8,
    /// As [`Self::TimeWait`], but its client's port has another connection since: nobody but its server
    /// may still remember it.
    Left = 9,
}

impl State {
    /// Decodes a state; unknown values, which nobody writes, count as free.
    #[inline(always)]
    #[must_use]
    pub const fn from_bits(bits: u8) -> Self {
        match bits {
            1 => Self::Claimed,
            2 => Self::SynSent,
            3 => Self::SynReceived,
            4 => Self::Established,
            5 => Self::TimeWait,
            6 => Self::Closed,
            7 => Self::Abandoned,
            8 => Self::Reset,
            9 => Self::Left,
            _ => Self::Free,
        }
    }

    /// The name that `ss` uses, where it has one.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Free => "FREE",
            Self::Claimed => "NEW",
            Self::SynSent => "SYN-SENT",
            Self::SynReceived => "SYN-RECV",
            Self::Established => "ESTAB",
            Self::TimeWait => "TIME-WAIT",
            Self::Closed => "CLOSED",
            Self::Abandoned => "ABANDONED",
            Self::Reset => "RESET",
            Self::Left => "LEFT",
        }
    }

    /// Whether the balancer itself has ended it, and answers for the other side.
    #[inline(always)]
    #[must_use]
    pub const fn is_given_up(self) -> bool {
        self as u8 >= Self::Abandoned as u8
    }

    /// Whether the handshake is under way.
    #[inline(always)]
    #[must_use]
    pub const fn is_half_open(self) -> bool {
        matches!(self, Self::SynSent | Self::SynReceived)
    }

    /// Whether the connection has begun and not ended.
    #[inline(always)]
    #[must_use]
    pub const fn is_open(self) -> bool {
        self.is_half_open() || matches!(self, Self::Established)
    }
}

/// Which sides have sent a FIN, and whether the server did so of its own accord.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fins(pub u8);

impl Fins {
    /// Neither.
    pub const NONE: Self = Self(0);
    /// The client.
    pub const CLIENT: Self = Self(1);
    /// The server.
    pub const SERVER: Self = Self(2);
    /// Both.
    pub const BOTH: Self = Self(3);
    /// The server, before it knew of the client's: once all is acknowledged, it is in TIME_WAIT
    /// (RFC 9293 §3.6).
    pub const SERVER_WAITS: Self = Self(2 | 4);

    /// These and others.
    #[inline(always)]
    #[must_use]
    pub const fn and(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// Whether all of `others` are among them.
    #[inline(always)]
    #[must_use]
    pub const fn has(self, others: Self) -> bool {
        self.0 & others.0 == others.0
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The largest window there is (RFC 7323 §2.3): no plausible segment goes further ahead.
const MAX_WINDOW: u32 = 1 << 30;

/// What a segment does to its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effect {
    /// The state after it.
    pub state: State,
    /// The FINs seen after it.
    pub fins: Fins,
    /// Whether it fits what the two sides have said before, and so counts as a sign of life.
    pub plausible: bool,
}

/// Follows a segment of an existing connection, any but a client's SYN.
///
/// `sender` and `receiver` are the sides of the connection as the direction has them; they are
/// brought up to date.
#[inline(always)]
pub fn follow(
    (state, fins): (State, Fins),
    direction: Direction,
    sender: &mut Side,
    receiver: &mut Side,
    segment: &Segment,
) -> Effect {
    let unchanged = Effect { state, fins, plausible: false };
    if state.is_half_open() && direction == Direction::ToClient {
        return answer(state, sender, receiver, segment);
    }
    if state == State::SynSent || state == State::Closed || state.is_given_up() {
        // Before the server's answer the client has nothing to say, not even RST; after a RST, ours
        // too, nothing counts.
        return unchanged;
    }
    if segment.flags.has(Flags::RST) {
        return if is_exact(segment.seq, sender, receiver) {
            Effect { state: State::Closed, fins, plausible: true }
        } else {
            unchanged
        };
    }
    if !segment.flags.has(Flags::ACK) || !segment.ack.is_within(sender.ack, receiver.end) {
        return overtaken_fin(unchanged, direction, sender, receiver, segment);
    }
    sender.ack = segment.ack;
    sender.advance(segment);
    if segment.flags.has(Flags::FIN) && segment.seq.is_within(receiver.ack, sender.end) {
        return finished(fins, direction, receiver, segment.ack);
    }
    let state = if state == State::SynReceived { State::Established } else { state };
    Effect { state, fins, plausible: true }
}

/// Whether a RST has the number that its receiver expects next (RFC 5961 §3.2): any other in its window
/// ends nothing, it only makes the receiver say which. As far as we know it is either what the receiver
/// has acknowledged last, or, if that acknowledgement is still to come, what the sender has come to.
#[inline(always)]
const fn is_exact(seq: Seq, sender: &Side, receiver: &Side) -> bool {
    seq.0 == receiver.ack.0 || seq.0 == sender.end.0
}

/// Whether `sender` may have a segment with number `seq` under way, which an ICMP error can be about:
/// sent, and not yet acknowledged as far as we have seen (RFC 5927 §4.1). Whoever guesses would have
/// to meet this range; Linux's own `tcp_v4_err` takes the same one.
///
/// `direction` is that of the segment; `sender` and `receiver` are the sides as it has them.
#[inline(always)]
#[must_use]
pub const fn is_under_way(
    state: State,
    direction: Direction,
    sender: &Side,
    receiver: &Side,
    seq: Seq,
) -> bool {
    let first = match (state, direction) {
        (State::Free | State::Claimed | State::Abandoned | State::Reset | State::Left, _)
        | (State::SynSent, Direction::ToClient) => return false,
        // The acknowledgement of a side that has sent none yet is that of the other's SYN, which is
        // still under way.
        (State::SynSent, Direction::ToServer) | (State::SynReceived, Direction::ToClient) => {
            receiver.ack.plus(u32::MAX)
        }
        (State::SynReceived, Direction::ToServer)
        | (State::Established | State::TimeWait | State::Closed, _) => receiver.ack,
    };
    seq.is_within(first, sender.end)
}

/// The sender has sent its FIN, and has acknowledged what comes before `ack`.
#[inline(always)]
fn finished(before: Fins, sender: Direction, receiver: &Side, ack: Seq) -> Effect {
    let knows_other = before.has(Fins::CLIENT) && ack == receiver.end;
    let fins = before.and(match sender {
        Direction::ToServer => Fins::CLIENT,
        // When it comes again, the other FIN may have come meanwhile.
        Direction::ToClient if before.has(Fins::SERVER) || knows_other => Fins::SERVER,
        Direction::ToClient => Fins::SERVER_WAITS,
    });
    let state = if fins.has(Fins::BOTH) { State::TimeWait } else { State::Established };
    Effect { state, fins, plausible: true }
}

/// A FIN that a later acknowledgement of its sender has overtaken. Its receiver takes it (RFC 5961
/// §5 allows acknowledgements of up to a window before), so it will not come again.
#[inline(always)]
fn overtaken_fin(
    unchanged: Effect,
    direction: Direction,
    sender: &mut Side,
    receiver: &Side,
    segment: &Segment,
) -> Effect {
    let flags = segment.flags.has(Flags::FIN | Flags::ACK);
    let old_ack = sender.ack.since(segment.ack) <= MAX_WINDOW;
    let next = segment.seq.is_within(receiver.ack, sender.end);
    if unchanged.state != State::Established || !flags || !old_ack || !next {
        return unchanged;
    }
    sender.advance(segment);
    finished(unchanged.fins, direction, receiver, segment.ack)
}

/// What a server's segment does to a half-open connection: it accepts, refuses, or is not the
/// answer to this SYN.
#[inline(always)]
fn answer(state: State, server: &mut Side, client: &mut Side, segment: &Segment) -> Effect {
    let unchanged = Effect { state, fins: Fins::NONE, plausible: false };
    // A SYN that carried data (RFC 7413) may be acknowledged with or without it.
    if !segment.flags.has(Flags::ACK) || !segment.ack.is_within(server.ack, client.end) {
        return unchanged;
    }
    if segment.flags.has(Flags::RST) {
        return Effect { state: State::Closed, fins: Fins::NONE, plausible: true };
    }
    if segment.flags.has(Flags::SYN) {
        // Its acknowledgement stays that of the bare SYN: so is a retransmission told from another SYN.
        server.end = segment.end();
        client.ack = segment.seq.plus(1);
        return Effect { state: State::SynReceived, fins: Fins::NONE, plausible: true };
    }
    // Data behind the SYN-ACK (RFC 7413 again) moves the server's end, nothing else.
    if state == State::SynReceived {
        server.advance(segment);
    }
    unchanged
}

/// Whether a server's segment shows that it knows an older connection by the same addresses and
/// ports, half-open or in `TIME_WAIT`, and did not take the SYN for a new one (RFC 9293 §3.10.7.4,
/// RFC 5961 §4): it acknowledges something else than the SYN.
#[inline(always)]
#[must_use]
pub fn is_stale_answer(state: State, [client, server]: &[Side; 2], segment: &Segment) -> bool {
    state == State::SynSent
        && segment.flags.has(Flags::ACK)
        && !segment.flags.has(Flags::RST)
        && !segment.ack.is_within(server.ack, client.end)
}

/// Whether a server's segment refuses a connection that it has not answered before, or has refused
/// before (a SYN that the network has doubled is refused twice): a RST that acknowledges the SYN.
#[inline(always)]
#[must_use]
pub fn is_refusal(state: State, [client, server]: &[Side; 2], segment: &Segment) -> bool {
    // The server's end is zero until it has answered.
    (state == State::SynSent || state == State::Closed && server.end.0 == 0)
        && segment.flags.has(Flags::RST | Flags::ACK)
        && segment.ack.is_within(server.ack, client.end)
}

/// What a client's SYN means for the connection that its tuple already has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnSyn {
    /// The same attempt once more: to the same server.
    Retransmission,
    /// The old connection is over: a new one takes its place.
    Replaces,
    /// The old connection is alive: its server answers with a challenge ACK (RFC 5961 §4).
    Challenge,
}

/// The two sides of a connection that a client's SYN opens, whose own number is `first` and after
/// which `end` is next.
#[inline(always)]
#[must_use]
pub const fn open(first: Seq, end: Seq) -> [Side; 2] {
    let client = Side { end, ack: Seq(0) };
    // The server has sent nothing yet, and has to acknowledge the SYN at least.
    let server = Side { end: Seq(0), ack: first.plus(1) };
    [client, server]
}

/// The client's SYN has come again. It may carry data that the first one did not (RFC 7413), and the
/// server may acknowledge them.
#[inline(always)]
pub const fn repeat([client, _]: &mut [Side; 2], syn: &Segment) {
    client.advance(syn);
}

/// Whether a server's segment shows that it knows nothing of an established connection, whose client
/// has sent a SYN with number `challenged` (RFC 9293 §3.5.1): it takes that SYN for a new connection's,
/// or refuses it. A server that knows the connection acknowledges its own old number (RFC 5961 §4).
#[inline(always)]
#[must_use]
pub const fn is_answer_anew(challenged: Seq, segment: &Segment) -> bool {
    // Zero for none. A SYN that has this very number is only followed less well.
    challenged.0 != 0
        && segment.flags.0 & (Flags::SYN | Flags::RST) != 0
        && segment.flags.has(Flags::ACK)
        && segment.ack.0 == challenged.plus(1).0
}

/// Whether a client's SYN with number `seq` is one that a server has refused.
#[inline(always)]
#[must_use]
pub fn is_refused(state: State, [_, server]: &[Side; 2], seq: Seq) -> bool {
    // The server's end is zero until it has answered.
    state == State::Closed && seq.plus(1) == server.ack && server.end == Seq(0)
}

/// Tells what a client's SYN with number `seq` means for a connection in `state`.
#[inline(always)]
#[must_use]
pub fn on_syn(state: State, sides: &[Side; 2], seq: Seq) -> OnSyn {
    match state {
        // Until the client has acknowledged it, the server's acknowledgement is that of the SYN.
        State::SynSent | State::SynReceived if seq.plus(1) == sides[1].ack => OnSyn::Retransmission,
        State::Established => OnSyn::Challenge,
        _ => OnSyn::Replaces,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ISN: Seq = Seq(0xffff_fff0);
    const SERVER_ISN: Seq = Seq(5_000);

    /// A connection as the slot keeps it.
    #[derive(Clone, Copy, Debug, PartialEq)]
    struct Conn {
        state: State,
        fins: Fins,
        sides: [Side; 2],
    }

    impl Conn {
        fn syn_sent() -> Self {
            let syn = Segment { seq: ISN, flags: Flags(Flags::SYN), ..Segment::default() };
            Self { state: State::SynSent, fins: Fins::NONE, sides: open(syn.seq, syn.end()) }
        }

        fn established() -> Self {
            let mut conn = Self::syn_sent();
            assert!(conn.server_sends(SERVER_ISN, ISN.plus(1), 0, Flags::SYN | Flags::ACK));
            assert!(conn.client_sends(ISN.plus(1), SERVER_ISN.plus(1), 0, Flags::ACK));
            assert_eq!(conn.state, State::Established);
            conn
        }

        fn apply(&mut self, direction: Direction, segment: Segment) -> bool {
            let [client, server] = &mut self.sides;
            let (sender, receiver) = match direction {
                Direction::ToServer => (client, server),
                Direction::ToClient => (server, client),
            };
            let effect = follow((self.state, self.fins), direction, sender, receiver, &segment);
            (self.state, self.fins) = (effect.state, effect.fins);
            effect.plausible
        }

        fn is_under_way(&self, to_client: bool, seq: Seq) -> bool {
            let [client, server] = &self.sides;
            if to_client {
                is_under_way(self.state, Direction::ToClient, server, client, seq)
            } else {
                is_under_way(self.state, Direction::ToServer, client, server, seq)
            }
        }

        fn client_sends(&mut self, seq: Seq, ack: Seq, payload: u32, flags: u8) -> bool {
            self.apply(Direction::ToServer, Segment { seq, ack, payload, flags: Flags(flags) })
        }

        fn server_sends(&mut self, seq: Seq, ack: Seq, payload: u32, flags: u8) -> bool {
            self.apply(Direction::ToClient, Segment { seq, ack, payload, flags: Flags(flags) })
        }
    }

    #[test]
    fn a_handshake_establishes() {
        Conn::established();
    }

    #[test]
    fn a_blind_ack_does_not_establish() {
        let mut conn = Conn::syn_sent();
        assert!(!conn.client_sends(ISN.plus(1), Seq(77), 0, Flags::ACK));
        assert_eq!(conn, Conn::syn_sent());
        conn.server_sends(SERVER_ISN, ISN.plus(1), 0, Flags::SYN | Flags::ACK);
        for ack in [SERVER_ISN, SERVER_ISN.plus(2), Seq(0)] {
            assert!(!conn.client_sends(ISN.plus(1), ack, 0, Flags::ACK));
            assert_eq!(conn.state, State::SynReceived);
        }
    }

    #[test]
    fn only_the_answer_to_this_syn_counts() {
        for flags in [Flags::SYN | Flags::ACK, Flags::RST | Flags::ACK] {
            let mut conn = Conn::syn_sent();
            assert!(!conn.server_sends(SERVER_ISN, ISN.plus(2), 0, flags));
            assert_eq!(conn, Conn::syn_sent());
        }
        let mut conn = Conn::syn_sent();
        assert!(conn.server_sends(Seq(0), ISN.plus(1), 0, Flags::RST | Flags::ACK));
        assert_eq!(conn.state, State::Closed);
    }

    #[test]
    fn a_client_that_gives_up_before_the_answer_does_not_end_the_slot() {
        let mut conn = Conn::syn_sent();
        assert!(!conn.client_sends(ISN.plus(1), Seq(0), 0, Flags::RST));
        assert_eq!(conn.state, State::SynSent);
    }

    #[test]
    fn a_blind_rst_does_not_end() {
        let mut conn = Conn::established();
        assert!(conn.client_sends(ISN.plus(1), SERVER_ISN.plus(1), 1000, Flags::ACK));
        assert!(!conn.client_sends(ISN.plus(1002), Seq(0), 0, Flags::RST));
        assert!(!conn.client_sends(ISN, Seq(0), 0, Flags::RST));
        assert!(!conn.server_sends(SERVER_ISN.plus(2), Seq(0), 0, Flags::RST));
        assert_eq!(conn.state, State::Established);
        // In the window, but not what the server expects: it asks back, and goes on.
        assert!(!conn.client_sends(ISN.plus(500), Seq(0), 0, Flags::RST));
        assert_eq!(conn.state, State::Established);
        // The server's last acknowledgement or the client's last byte is.
        for seq in [ISN.plus(1), ISN.plus(1001)] {
            let mut conn = conn;
            assert!(conn.client_sends(seq, Seq(0), 0, Flags::RST));
            assert_eq!(conn.state, State::Closed);
        }
    }

    #[test]
    fn both_fins_in_either_order_end_in_time_wait() {
        let mut conn = Conn::established();
        assert!(conn.client_sends(ISN.plus(1), SERVER_ISN.plus(1), 0, Flags::ACK | Flags::FIN));
        assert_eq!((conn.state, conn.fins), (State::Established, Fins::CLIENT));
        assert!(conn.server_sends(SERVER_ISN.plus(1), ISN.plus(2), 10, Flags::ACK));
        assert!(conn.server_sends(SERVER_ISN.plus(11), ISN.plus(2), 0, Flags::ACK | Flags::FIN));
        assert_eq!((conn.state, conn.fins), (State::TimeWait, Fins::BOTH));

        let mut conn = Conn::established();
        assert!(conn.server_sends(SERVER_ISN.plus(1), ISN.plus(1), 0, Flags::ACK | Flags::FIN));
        assert_eq!((conn.state, conn.fins), (State::Established, Fins::SERVER_WAITS));
        assert!(conn.client_sends(ISN.plus(1), SERVER_ISN.plus(2), 0, Flags::ACK | Flags::FIN));
        assert_eq!((conn.state, conn.fins), (State::TimeWait, Fins::SERVER_WAITS.and(Fins::CLIENT)));
    }

    #[test]
    fn a_server_that_closes_before_it_knows_of_the_clients_fin_waits() {
        let fin = Flags::ACK | Flags::FIN;
        let mut conn = Conn::established();
        assert!(conn.client_sends(ISN.plus(1), SERVER_ISN.plus(1), 0, fin));
        assert!(conn.server_sends(SERVER_ISN.plus(1), ISN.plus(1), 0, fin));
        assert_eq!((conn.state, conn.fins), (State::TimeWait, Fins::SERVER_WAITS.and(Fins::CLIENT)));
        // Its FIN once more, now that it knows.
        let mut again = conn;
        assert!(again.server_sends(SERVER_ISN.plus(1), ISN.plus(2), 0, fin));
        assert_eq!(again.fins, conn.fins);

        let mut conn = Conn::established();
        assert!(conn.client_sends(ISN.plus(1), SERVER_ISN.plus(1), 0, fin));
        for _ in 0..2 {
            assert!(conn.server_sends(SERVER_ISN.plus(1), ISN.plus(2), 0, fin));
            assert_eq!(conn.fins, Fins::BOTH);
        }
    }

    #[test]
    fn a_fin_that_was_overtaken_still_counts() {
        let mut conn = Conn::established();
        assert!(conn.client_sends(ISN.plus(1), SERVER_ISN.plus(1), 10, Flags::ACK));
        assert!(conn.server_sends(SERVER_ISN.plus(1), ISN.plus(11), 100, Flags::ACK));
        assert!(conn.client_sends(ISN.plus(11), SERVER_ISN.plus(101), 0, Flags::ACK));
        let acked = conn.sides[0].ack;
        assert!(conn.client_sends(ISN.plus(11), SERVER_ISN.plus(1), 0, Flags::ACK | Flags::FIN));
        assert_eq!(conn.fins, Fins::CLIENT);
        assert_eq!((conn.sides[0].ack, conn.sides[0].end), (acked, ISN.plus(12)));
    }

    #[test]
    fn a_syn_is_judged_by_the_state_it_meets() {
        let sides = Conn::syn_sent().sides;
        assert_eq!(on_syn(State::SynSent, &sides, ISN), OnSyn::Retransmission);
        assert_eq!(on_syn(State::SynReceived, &sides, ISN), OnSyn::Retransmission);
        assert_eq!(on_syn(State::SynSent, &sides, ISN.plus(9)), OnSyn::Replaces);
        assert_eq!(on_syn(State::Established, &sides, ISN), OnSyn::Challenge);
        assert_eq!(on_syn(State::TimeWait, &sides, ISN.plus(9)), OnSyn::Replaces);
        assert_eq!(on_syn(State::Closed, &sides, ISN), OnSyn::Replaces);
    }

    #[test]
    fn only_a_server_that_knows_nothing_answers_a_challenging_syn() {
        let answer = |flags, ack| Segment { seq: SERVER_ISN, ack, flags: Flags(flags), payload: 0 };
        let new = Seq(77_000);
        for flags in [Flags::SYN | Flags::ACK, Flags::RST | Flags::ACK] {
            assert!(is_answer_anew(new, &answer(flags, new.plus(1))));
            assert!(!is_answer_anew(new, &answer(flags, new)));
            assert!(!is_answer_anew(Seq(0), &answer(flags, Seq(1))));
        }
        assert!(!is_answer_anew(new, &answer(Flags::ACK, new.plus(1))));
    }

    #[test]
    fn a_syn_is_under_way_until_it_is_answered() {
        let mut conn = Conn::syn_sent();
        for (seq, expected) in [(ISN, true), (ISN.plus(1), true), (ISN.plus(2), false), (Seq(0), false)] {
            assert_eq!(conn.is_under_way(false, seq), expected, "{seq:?}");
            assert!(!conn.is_under_way(true, seq), "the server has sent nothing");
        }
        conn.server_sends(SERVER_ISN, ISN.plus(1), 0, Flags::SYN | Flags::ACK);
        assert!(!conn.is_under_way(false, ISN), "it was acknowledged");
        assert!(conn.is_under_way(false, ISN.plus(1)), "the client's acknowledgement");
        assert!(conn.is_under_way(true, SERVER_ISN));
        assert!(!conn.is_under_way(true, SERVER_ISN.plus(u32::MAX)));
        conn.client_sends(ISN.plus(1), SERVER_ISN.plus(1), 0, Flags::ACK);
        assert!(!conn.is_under_way(true, SERVER_ISN), "it was acknowledged");
    }

    #[test]
    fn flags_that_no_tcp_sends_are_invalid() {
        for flags in [0, Flags::FIN, Flags::SYN | Flags::FIN, Flags::SYN | Flags::RST, 0x08] {
            assert!(!Flags(flags).are_valid(), "{flags:#x}");
        }
        for flags in [Flags::SYN, Flags::ACK, Flags::RST, Flags::SYN | Flags::ACK, Flags::FIN | Flags::ACK] {
            assert!(Flags(flags).are_valid(), "{flags:#x}");
        }
    }

    proptest! {
        /// Whoever does not know the numbers of a connection cannot move it: a segment whose
        /// acknowledgement is outside what the peer has sent leaves everything as it was.
        #[test]
        fn strangers_change_nothing(
            seq: u32, ack: u32, payload in 0u32..1460, flags: u8, to_client: bool,
        ) {
            let mut conn = Conn::established();
            conn.client_sends(ISN.plus(1), SERVER_ISN.plus(1), 700, Flags::ACK);
            let before = conn;
            let (known, seqs) = if to_client {
                ((ISN.plus(1), ISN.plus(701)), (SERVER_ISN.plus(1), SERVER_ISN.plus(1)))
            } else {
                ((SERVER_ISN.plus(1), SERVER_ISN.plus(1)), (ISN.plus(1), ISN.plus(701)))
            };
            let seq_fits = Seq(seq).is_within(seqs.0, seqs.1);
            let ack_fits = Seq(ack).is_within(known.0, known.1);
            // A RST counts by its exact sequence number, a FIN by either, anything else by what it
            // acknowledges.
            let knows = match (flags & Flags::RST != 0, flags & Flags::FIN != 0) {
                (true, _) => Seq(seq) == seqs.0 || Seq(seq) == seqs.1,
                (false, true) => ack_fits || seq_fits,
                (false, false) => ack_fits,
            };
            prop_assume!(!knows);
            let direction = if to_client { Direction::ToClient } else { Direction::ToServer };
            let segment = Segment { seq: Seq(seq), ack: Seq(ack), payload, flags: Flags(flags) };
            prop_assert!(!conn.apply(direction, segment));
            prop_assert_eq!(conn, before);
        }

        /// An error is about what its side has sent, and about nothing that was acknowledged.
        #[test]
        fn errors_are_about_what_is_under_way(
            sent in 0u32..70_000, acked_part in 0u32..=100, seq: u32, near in -3i32..=3, to_client: bool,
        ) {
            let mut conn = Conn::established();
            let acked = sent * acked_part / 100;
            let first = if to_client { SERVER_ISN.plus(1) } else { ISN.plus(1) };
            if to_client {
                conn.server_sends(first, ISN.plus(1), sent, Flags::ACK);
                conn.client_sends(ISN.plus(1), first.plus(acked), 0, Flags::ACK);
            } else {
                conn.client_sends(first, SERVER_ISN.plus(1), sent, Flags::ACK);
                conn.server_sends(SERVER_ISN.plus(1), first.plus(acked), 0, Flags::ACK);
            }
            for (seq, expected) in [
                (Seq(seq), Seq(seq).since(first.plus(acked)) <= sent - acked),
                (first.plus(acked), true),
                (first.plus(sent), true),
                (first.plus(acked).plus(u32::MAX), false),
                (first.plus(sent + 1), false),
                (
                    first.plus(sent).plus(near.cast_unsigned()),
                    near <= 0 && near.unsigned_abs() <= sent - acked,
                ),
            ] {
                prop_assert_eq!(conn.is_under_way(to_client, seq), expected, "{:?}", seq);
            }
        }

        /// Sequence arithmetic is that of a circle.
        #[test]
        fn within_is_a_walk_round_the_circle(first: u32, len in 0u32..1 << 31, step: u32) {
            let inside = Seq(first).plus(step % (len + 1));
            prop_assert!(inside.is_within(Seq(first), Seq(first).plus(len)));
            let outside = Seq(first).plus(len).plus(1 + step % (u32::MAX - len));
            prop_assert!(!outside.is_within(Seq(first), Seq(first).plus(len)));
        }
    }
}
