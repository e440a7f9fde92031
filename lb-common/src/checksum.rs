//! Incremental Internet checksums (RFC 1624, equation 3).
//!
//! One's complement sums do not depend on byte order (RFC 1071 §2 B), so every value is taken as
//! it stands in the packet, read as a native word.

/// The change that a rewrite makes to a checksum, gathered over all the fields that it replaces.
#[derive(Clone, Copy, Debug, Default)]
#[must_use]
pub struct Delta(u64);

impl Delta {
    /// No change.
    #[inline(always)]
    pub const fn new() -> Self {
        Self(0)
    }

    /// A 32-bit field, aligned to 16 bits in the packet, goes from `old` to `new`.
    #[inline(always)]
    pub const fn replace32(self, old: u32, new: u32) -> Self {
        Self(self.0 + (!old) as u64 + new as u64)
    }

    /// A 16-bit field, aligned to 16 bits in the packet, goes from `old` to `new`.
    #[inline(always)]
    pub const fn replace16(self, old: u16, new: u16) -> Self {
        Self(self.0 + (!old) as u64 + new as u64)
    }

    /// A 16-bit field at an odd offset goes from `old` to `new`: its bytes lie in the other halves
    /// of their words, so both count with their bytes swapped.
    #[inline(always)]
    pub const fn replace16_unaligned(self, old: u16, new: u16) -> Self {
        self.replace16(old.swap_bytes(), new.swap_bytes())
    }

    /// Both changes.
    #[inline(always)]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }

    /// The change as the kernel's helpers take it, its `__wsum`.
    #[inline(always)]
    #[must_use]
    pub const fn wsum(self) -> u32 {
        let sum = (self.0 & 0xffff_ffff) + (self.0 >> 32);
        ((sum & 0xffff_ffff) + (sum >> 32)) as u32
    }

    /// A 32-bit word of a packet that is written from scratch.
    #[inline(always)]
    pub const fn insert32(self, word: u32) -> Self {
        Self(self.0 + word as u64)
    }

    /// A 16-bit word of a packet that is written from scratch.
    #[inline(always)]
    pub const fn insert16(self, word: u16) -> Self {
        Self(self.0 + word as u64)
    }

    /// The checksum field of a packet that is written from scratch, of which all words were inserted.
    #[inline(always)]
    #[must_use]
    pub const fn checksum(self) -> u16 {
        !fold(self.0)
    }

    /// The checksum field after the change.
    #[inline(always)]
    #[must_use]
    pub const fn apply(self, check: u16) -> u16 {
        !fold(self.0 + (!check) as u64)
    }
}

/// Folds a sum of 16-bit and 32-bit words into 16 bits with end-around carry.
#[inline(always)]
const fn fold(sum: u64) -> u16 {
    let sum = (sum & 0xffff_ffff) + (sum >> 32);
    let sum = (sum & 0xffff) + ((sum >> 16) & 0xffff) + (sum >> 32);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    sum as u16
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    /// RFC 1071, computed the plain way over big-endian words.
    fn full(bytes: &[u8]) -> u16 {
        let mut sum = 0u32;
        for pair in bytes.chunks(2) {
            sum += u32::from(u16::from_be_bytes([pair[0], *pair.get(1).unwrap_or(&0)]));
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !(sum as u16)
    }

    /// Both representations of zero say the same about a packet.
    fn same(a: u16, b: u16) -> bool {
        a == b || (a ^ b == 0xffff && (a == 0 || b == 0))
    }

    fn check_after(packet: &mut [u8], edit: impl FnOnce(&mut [u8]) -> Delta) -> (u16, u16) {
        let before = full(packet).to_be();
        let delta = edit(packet);
        (u16::from_be(delta.apply(before)), full(packet))
    }

    proptest! {
        #[test]
        fn equals_the_full_sum_after_any_rewrite(
            mut packet in proptest::collection::vec(any::<u8>(), 40..80),
            words in proptest::collection::vec((0usize..9, any::<u32>()), 1..6),
            half in (0usize..19, any::<u16>()),
        ) {
            let (got, want) = check_after(&mut packet, |packet| {
                let mut delta = Delta::new();
                for (at, new) in words {
                    let field = &mut packet[at * 4..at * 4 + 4];
                    let old = u32::from_ne_bytes([field[0], field[1], field[2], field[3]]);
                    field.copy_from_slice(&new.to_ne_bytes());
                    delta = delta.replace32(old, new);
                }
                let field = &mut packet[half.0 * 2..half.0 * 2 + 2];
                let old = u16::from_ne_bytes([field[0], field[1]]);
                field.copy_from_slice(&half.1.to_ne_bytes());
                delta.replace16(old, half.1)
            });
            prop_assert!(same(got, want), "{got:04x} {want:04x}");
        }

        #[test]
        fn a_field_at_an_odd_offset_counts_swapped(
            mut packet in proptest::collection::vec(any::<u8>(), 40..80), at in 0usize..18, new: u16,
        ) {
            let (got, want) = check_after(&mut packet, |packet| {
                let field = &mut packet[at * 2 + 1..at * 2 + 3];
                let old = u16::from_ne_bytes([field[0], field[1]]);
                field.copy_from_slice(&new.to_ne_bytes());
                Delta::new().replace16_unaligned(old, new)
            });
            prop_assert!(same(got, want), "{got:04x} {want:04x}");
        }
    }

    #[test]
    fn from_scratch_is_the_full_sum() {
        let bytes: Vec<u8> = (0..38u8).map(|n| n.wrapping_mul(91)).collect();
        let (words, rest) = bytes.split_at(36);
        let words = words.chunks(4).map(|b| u32::from_ne_bytes([b[0], b[1], b[2], b[3]]));
        let delta =
            words.fold(Delta::new(), Delta::insert32).insert16(u16::from_ne_bytes([rest[0], rest[1]]));
        assert_eq!(u16::from_be(delta.checksum()), full(&bytes));
    }

    #[test]
    fn rfc_1624_example() {
        // §4: HC = 0xDD2F, m = 0x5555, m' = 0x3285; the wrong equation gives 0xFFFF.
        assert_eq!(Delta::new().replace16(0x5555, 0x3285).apply(0xdd2f), 0x0000);
    }

    #[test]
    fn folds_the_largest_sum() {
        let all: Vec<(u32, u32)> = (0..8).map(|_| (0, u32::MAX)).collect();
        let delta = all.iter().fold(Delta::new(), |d, (old, new)| d.replace32(*old, *new));
        // 0xffff is the other zero: adding it changes nothing.
        assert_eq!(delta.apply(0x1234), 0x1234);
    }
}
