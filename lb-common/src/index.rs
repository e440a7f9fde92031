//! The connection index: from a client's tuple to the slot that holds its connection.
//!
//! Buckets of one cache line, eight entries each; a tuple has two buckets. An entry is only a hint:
//! it holds when the slot that it names has its generation and its tuple. So nothing is ever
//! deleted, and an entry that its slot does not confirm is free for the next one.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::net::{Addr, Port};

/// Entries in a bucket: one cache line.
pub const BUCKET_ENTRIES: usize = 8;

/// Index entries for each connection slot; at most a quarter of the index can be in use.
pub const ENTRIES_PER_SLOT: u32 = 4;

/// An element of the `INDEX` map.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Bucket {
    /// The entries; only compare-and-swap changes one.
    pub entries: [u64; BUCKET_ENTRIES],
}

/// How many buckets serve `slots` connection slots.
#[must_use]
pub const fn buckets_for(slots: u32) -> u32 {
    slots.saturating_mul(ENTRIES_PER_SLOT).div_ceil(BUCKET_ENTRIES as u32)
}

/// A forward tuple: a client's address and port, and the number of the frontend that it talks to.
/// One word, so that one comparison tells a connection from another.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Tuple(u64);

/// The secret key of the hash, random for each data plane.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct HashKey {
    /// Mixed into the tuple.
    pub mask: u64,
    /// The two multipliers; the hash makes them odd.
    pub multipliers: [u64; 2],
}

/// A tuple's hash: which two buckets may hold it, and the tag that tells it from its neighbours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hash(u64);

impl Tuple {
    /// The tuple of a client and a frontend.
    #[inline(always)]
    #[must_use]
    pub const fn new(addr: Addr, port: Port, frontend: u16) -> Self {
        Self((addr.wire() as u64) << 32 | (port.wire() as u64) << 16 | frontend as u64)
    }

    /// The tuple that [`Self::bits`] gave.
    #[inline(always)]
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// All of it as one number, for a BPF function that takes nothing else.
    #[inline(always)]
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// The client's address.
    #[inline(always)]
    #[must_use]
    pub const fn addr(self) -> Addr {
        Addr::from_wire((self.0 >> 32) as u32)
    }

    /// The client's port.
    #[inline(always)]
    #[must_use]
    pub const fn port(self) -> Port {
        Port::from_wire((self.0 >> 16) as u16)
    }

    /// The frontend's number.
    #[inline(always)]
    #[must_use]
    pub const fn frontend(self) -> u16 {
        self.0 as u16
    }

    /// Hashes the tuple.
    ///
    /// Two rounds of multiply and fold with secret multipliers: a bijection, so that tuples never
    /// share a whole hash, and cheap, because every packet of a client pays for it. Whoever finds
    /// collisions without the key fills two buckets, no more: the rest of the index is unharmed.
    #[inline(always)]
    #[must_use]
    pub const fn hash(self, key: &HashKey) -> Hash {
        let mut h = (self.0 ^ key.mask).wrapping_mul(key.multipliers[0] | 1);
        h ^= h >> 32;
        h = h.wrapping_mul(key.multipliers[1] | 1);
        Hash(h ^ h >> 29)
    }
}

impl Hash {
    /// The bucket where the tuple is looked for first.
    #[inline(always)]
    #[must_use]
    pub const fn first_bucket(self, buckets: u32) -> u32 {
        reduce(self.0 as u32, buckets)
    }

    /// The bucket where it is looked for when the first is full.
    #[inline(always)]
    #[must_use]
    pub const fn second_bucket(self, buckets: u32) -> u32 {
        // Another mix of all bits, so that the tuples of one full bucket spread over the index.
        reduce((self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32, buckets)
    }

    /// The place in a bucket where the tuple is looked for first. Were it the same for all, the
    /// processor could not guess after how many entries the search ends.
    #[inline(always)]
    #[must_use]
    pub const fn place(self) -> usize {
        (self.0 >> 45) as usize % BUCKET_ENTRIES
    }

    /// The upper 16 bits, which the first bucket's number hardly depends on.
    #[inline(always)]
    #[must_use]
    pub const fn tag(self) -> u16 {
        (self.0 >> 48) as u16
    }
}

/// Maps a 32-bit hash to `0..n` without division (Lemire's multiply-shift reduction).
#[inline(always)]
const fn reduce(hash: u32, n: u32) -> u32 {
    ((hash as u64 * n as u64) >> 32) as u32
}

/// An entry of a bucket: tag, generation of the slot, and slot number. Zero is an empty entry; no
/// slot in use has generation zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry(pub u64);

impl Entry {
    /// An entry that has never been used.
    pub const EMPTY: Self = Self(0);

    /// An entry for a slot in its present generation.
    #[inline(always)]
    #[must_use]
    pub const fn new(tag: u16, generation: u16, slot: u32) -> Self {
        Self((tag as u64) << 48 | (generation as u64) << 32 | slot as u64)
    }

    /// The tag of the tuple's hash.
    #[inline(always)]
    #[must_use]
    pub const fn tag(self) -> u16 {
        (self.0 >> 48) as u16
    }

    /// The generation that the slot must have.
    #[inline(always)]
    #[must_use]
    pub const fn generation(self) -> u16 {
        (self.0 >> 32) as u16
    }

    /// The slot's number.
    #[inline(always)]
    #[must_use]
    pub const fn slot(self) -> u32 {
        self.0 as u32
    }
}

#[cfg(test)]
mod tests {
    use std::vec;

    use proptest::prelude::*;

    use super::*;

    const KEY: HashKey =
        HashKey { mask: 0x0123_4567_89ab_cdef, multipliers: [0xd6e8_feb8_6659_fd93, 0xa076_1d64_78bd_642f] };

    proptest! {
        #[test]
        fn different_tuples_have_different_hashes(a: u64, b: u64) {
            prop_assert_eq!(a == b, Tuple(a).hash(&KEY) == Tuple(b).hash(&KEY));
        }

        #[test]
        fn buckets_exist(word: u64, buckets in 1u32..) {
            let hash = Tuple(word).hash(&KEY);
            prop_assert!(hash.first_bucket(buckets) < buckets);
            prop_assert!(hash.second_bucket(buckets) < buckets);
        }

        #[test]
        fn tuples_round_trip(addr: u32, port: u16, frontend: u16) {
            let tuple = Tuple::new(Addr::from_wire(addr), Port::new(port), frontend);
            prop_assert_eq!((tuple.addr().wire(), tuple.port().number(), tuple.frontend()), (addr, port, frontend));
        }

        #[test]
        fn entries_round_trip(tag: u16, generation: u16, slot: u32) {
            let entry = Entry::new(tag, generation, slot);
            prop_assert_eq!((entry.tag(), entry.generation(), entry.slot()), (tag, generation, slot));
        }
    }

    /// Neighbouring addresses and ports, as a LAN has them, fill the buckets evenly.
    #[test]
    fn a_lan_spreads_over_the_buckets() {
        let buckets = 4096;
        for second in [false, true] {
            let mut load = vec![0u32; buckets as usize];
            for client in 0..8u64 {
                for port in 32_768..36_864u64 {
                    let addr = u64::from(u32::from_ne_bytes([198, 18, 1, client as u8]));
                    let word = addr << 32 | u64::from((port as u16).to_be()) << 16;
                    let hash = Tuple(word).hash(&KEY);
                    let at = if second { hash.second_bucket(buckets) } else { hash.first_bucket(buckets) };
                    load[at as usize] += 1;
                }
            }
            // 32,768 tuples over 4,096 buckets: 8 each; a Poisson tail above 30 has odds of 1e-9.
            assert!(load.iter().all(|n| *n < 30), "{:?}", load.iter().max());
        }
    }
}
