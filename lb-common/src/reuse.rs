//! Whether a server takes a new connection on a port whose last connection it may still remember.
//!
//! Whoever closes a connection first keeps it in TIME_WAIT and takes a SYN from the same address and port
//! only if that cannot be an old one. To a server all connections by one NAT port are of one client, though
//! they are of many, whose numbers and timestamps have nothing to do with each other.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::tcp::{Fins, Seq, Side};

/// A TCP timestamp (RFC 7323 §3), zero for none. A client's clock that shows zero is taken for none:
/// at worst, a server does not take that SYN, and it is offered to the next.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Stamp(pub u32);

impl Stamp {
    /// No timestamp.
    pub const NONE: Self = Self(0);

    /// How far this timestamp is after `other`, negative if before it (RFC 7323 §5.2).
    #[inline(always)]
    #[must_use]
    pub const fn since(self, other: Self) -> i32 {
        self.0.wrapping_sub(other.0).cast_signed()
    }

    /// What is known of a client after a packet with `next`: a packet that was overtaken does not count,
    /// and one without a timestamp says that this connection has none.
    #[inline(always)]
    #[must_use]
    pub const fn then(self, next: Self) -> Self {
        if next.0 != 0 && self.0 != 0 && next.since(self) < 0 { self } else { next }
    }
}

/// A connection that both sides have closed.
#[derive(Clone, Copy)]
pub struct Past<'a> {
    /// How it was closed.
    pub fins: Fins,
    /// The last numbers of client and server.
    pub sides: &'a [Side; 2],
    /// The client's last timestamp.
    pub stamp: Stamp,
}

impl Past<'_> {
    /// Whether its server takes a SYN with this number and timestamp on the same port.
    ///
    /// A server that closed second has forgotten the connection as soon as its FIN is acknowledged. One that closed
    /// first goes by RFC 6191 §2, as `tcp_timewait_state_process` of Linux does: a newer timestamp, or a
    /// number after the last one if there are no timestamps to compare or both are the same.
    #[inline(always)]
    #[must_use]
    pub fn lets_in(&self, seq: Seq, stamp: Stamp) -> bool {
        let [client, server] = self.sides;
        let is_over = client.ack == server.end && server.ack == client.end;
        is_over && (!self.fins.has(Fins::SERVER_WAITS) || !self.refuses_as_old(seq, stamp))
    }

    #[inline(always)]
    fn refuses_as_old(&self, seq: Seq, stamp: Stamp) -> bool {
        let is_after = seq.since(self.sides[0].end).cast_signed() > 0;
        let both = self.stamp != Stamp::NONE && stamp != Stamp::NONE;
        let newer = if both { stamp.since(self.stamp) } else { 0 };
        newer < 0 || newer == 0 && !is_after
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CLIENT: Side = Side { end: Seq(0xffff_ffff), ack: Seq(7_000) };
    const SERVER: Side = Side { end: Seq(7_000), ack: Seq(0xffff_ffff) };

    fn past(fins: Fins, stamp: u32) -> Past<'static> {
        Past { fins, sides: &[CLIENT, SERVER], stamp: Stamp(stamp) }
    }

    fn waiting(stamp: u32) -> Past<'static> {
        past(Fins::CLIENT.and(Fins::SERVER_WAITS), stamp)
    }

    #[test]
    fn a_server_that_closed_second_takes_anything_once_all_is_acknowledged() {
        assert!(past(Fins::BOTH, 9).lets_in(Seq(5), Stamp(3)));
        for sides in
            [[Side { ack: Seq(6_999), ..CLIENT }, SERVER], [CLIENT, Side { ack: Seq(0xffff_fffe), ..SERVER }]]
        {
            assert!(!Past { sides: &sides, ..past(Fins::BOTH, 9) }.lets_in(Seq(5), Stamp(3)));
            assert!(!Past { sides: &sides, ..waiting(9) }.lets_in(Seq(5), Stamp(10)));
        }
    }

    #[test]
    fn one_in_time_wait_wants_a_newer_timestamp_or_a_number_after_the_last() {
        let (before, same, after) = (Seq(0xffff_fffe), Seq(0xffff_ffff), Seq(3));
        for (last, stamp, seq, lets_in) in [
            (9, 10, before, true),
            (9, 9, before, false),
            (9, 9, same, false),
            (9, 9, after, true),
            (9, 8, after, false),
            (u32::MAX, 1, before, true),
            (9, 0, before, false),
            (9, 0, after, true),
            (0, 9, before, false),
            (0, 9, after, true),
            (0, 0, same, false),
            (0, 0, after, true),
        ] {
            assert_eq!(waiting(last).lets_in(seq, Stamp(stamp)), lets_in, "{last} {stamp} {seq:?}");
        }
    }

    #[test]
    fn a_later_packet_says_which_timestamp_is_the_last() {
        assert_eq!(Stamp(5).then(Stamp(6)), Stamp(6));
        assert_eq!(Stamp(5).then(Stamp(4)), Stamp(5));
        assert_eq!(Stamp(u32::MAX).then(Stamp(2)), Stamp(2));
        assert_eq!(Stamp(5).then(Stamp::NONE), Stamp::NONE);
        assert_eq!(Stamp::NONE.then(Stamp(4)), Stamp(4));
    }

    proptest! {
        /// Whom it lets in, Linux does: `tcp_timewait_state_process`, step by step.
        #[test]
        fn nobody_is_let_in_whom_linux_would_not(
            last: Option<u32>,
            stamp: Option<u32>,
            near: bool,
            end: u32,
            seq: u32,
        ) {
            let stamp = match (last, stamp) {
                (Some(last), Some(stamp)) if near => Some(last.wrapping_add(stamp % 5).wrapping_sub(2)),
                _ => stamp,
            };
            // A clock that shows zero is not told from none.
            prop_assume!(last != Some(0) && stamp != Some(0));
            let client = Side { end: Seq(end), ..CLIENT };
            let server = Side { ack: Seq(end), ..SERVER };
            let known = |stamp: Option<u32>| Stamp(stamp.unwrap_or_default());
            let past = Past { sides: &[client, server], ..waiting(known(last).0) };

            let both = last.zip(stamp);
            let is_rejected = both.is_some_and(|(last, stamp)| last.wrapping_sub(stamp).cast_signed() > 0);
            let is_after = end.wrapping_sub(seq).cast_signed() < 0;
            let is_newer = both.is_some_and(|(last, stamp)| last.wrapping_sub(stamp).cast_signed() < 0);
            let takes = !is_rejected && (is_after || is_newer);
            prop_assert!(takes || !past.lets_in(Seq(seq), known(stamp)));
            // And the other way round, but where before and after are the same: half of all numbers away.
            prop_assume!(seq.wrapping_sub(end) != 1 << 31);
            prop_assume!(both.is_none_or(|(last, stamp)| stamp.wrapping_sub(last) != 1 << 31));
            prop_assert!(!takes || past.lets_in(Seq(seq), known(stamp)));
        }
    }
}
