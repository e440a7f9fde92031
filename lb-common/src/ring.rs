//! Rings: the order in which a frontend's new connections go to its servers.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::server::MAX_SERVERS;

/// Entries that a ring has room for.
pub const RING_LEN: usize = 4096;

/// The largest weight, as in HAProxy.
pub const MAX_WEIGHT: u32 = 256;

/// An element of the `RINGS` map: one of the two rings of a frontend.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Ring {
    /// Server numbers.
    pub servers: [u16; RING_LEN],
}

/// The element of the `RINGS` map for a frontend's buffer 0 or 1.
#[inline(always)]
#[must_use]
pub const fn ring_index(frontend: u32, buffer: u32) -> u32 {
    frontend * 2 + buffer
}

/// A server's share of a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// The server's number.
    pub server: u16,
    /// Its weight; zero takes it out.
    pub weight: u32,
}

impl Ring {
    /// An unused ring.
    pub const EMPTY: Self = Self { servers: [0; RING_LEN] };

    /// Fills the ring with one period of smooth weighted round robin (nginx's: each turn every
    /// server gains its weight, the richest is chosen and pays the sum of all), and returns how
    /// many entries count.
    ///
    /// The weights are divided by their greatest common divisor. Should they still not fit, they
    /// are scaled down and no server loses its last entry.
    ///
    /// # Panics
    ///
    /// With more than [`MAX_SERVERS`] shares.
    pub fn fill(&mut self, shares: &[Share]) -> u32 {
        let mut weights = [0i64; MAX_SERVERS as usize];
        for (weight, share) in weights.iter_mut().zip(shares) {
            *weight = i64::from(share.weight);
        }
        let weights = &mut weights[..shares.len()];
        reduce(weights);
        let total: i64 = weights.iter().sum();
        let len = u32::try_from(total).unwrap_or_default();
        let mut current = [0i64; MAX_SERVERS as usize];
        for entry in &mut self.servers[..len as usize] {
            let mut richest = 0;
            for (i, weight) in weights.iter().enumerate() {
                current[i] += weight;
                if current[i] > current[richest] {
                    richest = i;
                }
            }
            current[richest] -= total;
            *entry = shares[richest].server;
        }
        self.repeat(len as usize);
        len
    }

    /// Repeats the first `len` entries to the end. A program that read an older, longer length
    /// while the ring was written twice still finds a server of this frontend.
    fn repeat(&mut self, len: usize) {
        if len > 0 {
            for i in len..RING_LEN {
                self.servers[i] = self.servers[i - len];
            }
        }
    }
}

/// Brings weights to their smallest terms, and their sum to at most [`RING_LEN`].
fn reduce(weights: &mut [i64]) {
    let divisor = weights.iter().fold(0, |a, b| gcd(a, *b)).max(1);
    for weight in weights.iter_mut() {
        *weight /= divisor;
    }
    let total: i64 = weights.iter().sum();
    let room = RING_LEN as i64 - weights.len() as i64;
    if total > RING_LEN as i64 {
        for weight in weights.iter_mut().filter(|w| **w > 0) {
            *weight = (*weight * room / total).max(1);
        }
    }
}

const fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use std::boxed::Box;
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    fn ring(weights: &[u32]) -> Vec<u16> {
        let shares: Vec<Share> = weights
            .iter()
            .enumerate()
            .map(|(i, weight)| Share { server: i as u16, weight: *weight })
            .collect();
        let mut ring = Box::new(Ring::EMPTY);
        let len = ring.fill(&shares);
        ring.servers[..len as usize].to_vec()
    }

    #[test]
    fn spreads_as_nginx_does() {
        assert_eq!(ring(&[5, 1, 1]), [0, 0, 1, 0, 2, 0, 0]);
        assert_eq!(ring(&[3, 2, 1]), [0, 1, 0, 2, 1, 0]);
        assert_eq!(ring(&[100, 100, 100]), [0, 1, 2]);
        assert_eq!(ring(&[0, 7]), [1]);
    }

    #[test]
    fn no_usable_server_makes_an_empty_ring() {
        assert!(ring(&[]).is_empty());
        assert!(ring(&[0, 0]).is_empty());
    }

    proptest! {
        #[test]
        fn each_server_gets_its_share_and_never_in_bursts(weights in proptest::collection::vec(0u32..16, 1..12)) {
            let ring = ring(&weights);
            let total: u32 = weights.iter().sum();
            for (server, weight) in weights.iter().enumerate() {
                let turns: Vec<usize> =
                    (0..ring.len()).filter(|i| ring[*i] == server as u16).collect();
                prop_assert_eq!(turns.len() as u64 * u64::from(total), u64::from(*weight) * ring.len() as u64);
                // After any number of turns a server is less than one connection of each other
                // server away from its exact share.
                for n in 1..=ring.len() {
                    let got = turns.iter().filter(|i| **i < n).count() as f64;
                    let exact = n as f64 * f64::from(*weight) / f64::from(total);
                    prop_assert!((got - exact).abs() < weights.len() as f64);
                }
            }
        }

        #[test]
        fn any_weights_fit(weights in proptest::collection::vec(0u32..=MAX_WEIGHT, 1..=MAX_SERVERS as usize)) {
            let ring = ring(&weights);
            for (server, weight) in weights.iter().enumerate() {
                prop_assert_eq!(*weight > 0, ring.contains(&(server as u16)));
            }
        }
    }
}
