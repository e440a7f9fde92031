//! What the program tells the agent the moment that it happens: records of the `EVENTS` ring buffer.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Bytes of the ring buffer: a power of two, and whole pages also where a page has 64 KiB.
pub const EVENTS_BYTES: u32 = 64 * 1024;

/// A server did not take a connection.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct ConnectFailed {
    /// When, in ns of `CLOCK_MONOTONIC`.
    pub at: u64,
    /// The server's number.
    pub server: u16,
    /// The frontend's number.
    pub frontend: u16,
    /// How; see [`Failure`].
    pub failure: u32,
}

/// How a server failed to take a connection.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It answered the SYN with RST.
    Refused = 1,
    /// It had not answered when the client sent its SYN again.
    Silent = 2,
}

impl ConnectFailed {
    /// How the server failed; none for what only another version knows.
    #[must_use]
    pub const fn failure(&self) -> Option<Failure> {
        match self.failure {
            1 => Some(Failure::Refused),
            2 => Some(Failure::Silent),
            _ => None,
        }
    }
}
