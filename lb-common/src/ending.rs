//! What the program says of a connection that has ended: records of the `ENDINGS` ring buffer.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::index::Tuple;
use crate::slot::{Details, Slot};

/// Bytes of the ring buffer: a power of two, and whole pages also where a page has 64 KiB. Room for what
/// ends in an eighth of a second, at 150,000 a second.
pub const ENDINGS_BYTES: u32 = 1024 * 1024;

/// The server of a connection that no server was to be had for.
pub const NO_SERVER: u16 = u16::MAX;

/// A connection that has ended, with all that a line of the log says of it: its slot may be another's by
/// the time that anybody reads this.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Ending {
    /// When the client's first SYN came, in ns of `CLOCK_MONOTONIC`.
    pub opened_at: u64,
    /// When it ended, in the same.
    pub ended_at: u64,
    /// TCP payload bytes to the server and to the client.
    pub bytes: [u64; 2],
    /// The client and the frontend.
    pub tuple: Tuple,
    /// How long after `opened_at` the server's SYN-ACK came, in µs; zero if it never did.
    pub answered_after: u32,
    /// The server's number, or [`NO_SERVER`].
    pub server: u16,
    /// How it ended; see [`How`].
    pub how: u8,
    /// How often it was offered to another server, at most 255.
    pub redispatched: u8,
}

const _: () = assert!(size_of::<Ending>() == 48);

/// How a connection ended.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum How {
    /// Both sides have sent a FIN.
    Finished = 1,
    /// The client has reset it.
    ClientReset = 2,
    /// The server has reset it.
    ServerReset = 3,
    /// The server has refused it, and there was no other that had not.
    Refused = 4,
    /// There was no server to offer it to.
    NoServer = 5,
    /// The server never answered.
    Unanswered = 6,
    /// The client began another attempt before the server had answered this one.
    GivenUp = 7,
    /// Nothing was heard of either side for too long.
    Idle = 8,
    /// Neither side knew it any more: the client opened another by the same port, and the server did not
    /// object.
    Forgotten = 9,
    /// The server went down, and its connections were reset.
    ServerDown = 10,
    /// An operator has ended it.
    Killed = 11,
}

impl How {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Finished,
        Self::ClientReset,
        Self::ServerReset,
        Self::Refused,
        Self::NoServer,
        Self::Unanswered,
        Self::GivenUp,
        Self::Idle,
        Self::Forgotten,
        Self::ServerDown,
        Self::Killed,
    ];
}

impl Ending {
    /// The end at `ended_at` of the connection that a slot holds.
    #[must_use]
    pub const fn of(slot: &Slot, details: &Details, how: How, ended_at: u64) -> Self {
        Self {
            opened_at: details.opened_at,
            ended_at,
            bytes: slot.bytes,
            tuple: slot.tuple,
            answered_after: details.answered_after,
            server: slot.server(),
            how: how as u8,
            redispatched: details.redispatched as u8,
        }
    }

    /// How it ended; none for what only another version knows.
    #[must_use]
    pub fn how(&self) -> Option<How> {
        How::ALL.into_iter().find(|how| *how as u8 == self.how)
    }
}

#[cfg(test)]
mod tests {
    use zerocopy::FromZeros;

    use super::*;

    #[test]
    fn each_way_to_end_is_told_from_the_others() {
        for how in How::ALL {
            let ending = Ending { how: how as u8, ..Ending::new_zeroed() };
            assert_eq!(ending.how(), Some(how));
        }
        assert_eq!(Ending::new_zeroed().how(), None);
    }
}
