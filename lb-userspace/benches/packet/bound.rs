//! What a path may cost.
//!
//! The bounds in floors were set on a machine whose floor is [`FLOOR_NS`], most of which is what its
//! processor takes to enter a program and to return. Where that costs next to nothing, every ratio to the
//! floor is high, however fast the program. So there is a second bound, in prototypes, that follows from
//! the first: as many nanoseconds, divided by what the prototype cost on that machine.

use std::ops::RangeInclusive;

/// The floor where the bounds were set.
const FLOOR_NS: f64 = 34.0;

/// What a path may cost at the most.
pub struct Bound {
    /// In floors.
    pub floors: f64,
    /// What the prototype cost where the bounds were set, if there was one.
    prototype_ns: Option<RangeInclusive<f64>>,
}

impl Bound {
    /// A packet that is not for a frontend.
    pub const NOT_OURS: Self = Self { floors: 1.2, prototype_ns: Some(31.0..=38.0) };
    /// One of an established connection, from its client.
    pub const FORWARD: Self = Self { floors: 2.5, prototype_ns: Some(70.0..=75.0) };
    /// The same, from its server.
    pub const REVERSE: Self = Self { floors: 2.5, prototype_ns: Some(79.0..=86.0) };
    /// From its client, in TC.
    pub const TC: Self = Self { floors: 4.0, prototype_ns: Some(147.0..=164.0) };
    /// From the clients of so many connections, in random order.
    ///
    /// Here and in the next, no whole program was measured where the bounds were set, but a lookup in a
    /// kernel hash map, and a slot of 128 bytes that it leads to. The prototype of this bench is a whole
    /// program, which costs more, but has what a packet becomes in the hash map itself, which costs less.
    pub const FLOWS_65536: Self = Self { floors: 7.0, prototype_ns: Some(509.0..=523.0) };
    /// The same for 2²⁰ connections.
    pub const FLOWS_1000000: Self = Self { floors: 12.0, prototype_ns: Some(733.0..=942.0) };
    /// The SYN of a new connection.
    pub const NEW_FLOW: Self = Self { floors: 12.0, prototype_ns: None };

    /// The same in prototypes: by the middle of what that cost.
    pub fn prototypes(&self) -> Option<f64> {
        let ns = self.prototype_ns.as_ref()?;
        Some(self.floors * FLOOR_NS / f64::midpoint(*ns.start(), *ns.end()))
    }
}
