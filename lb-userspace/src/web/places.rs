//! How many clients are served at once, and how many of them may be one and the same.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// Connections at once.
const ALL: usize = 256;

/// Those of one client. A browser opens six.
const OF_ONE: usize = 32;

/// The bits of an IPv6 address that tell networks apart; whoever has one has all addresses in it.
const NETWORK: u128 = !0 << 64;

/// The places of an address that is listened on. Clones are the same ones.
#[derive(Clone, Debug, Default)]
pub struct Places {
    taken: Arc<Mutex<BTreeMap<IpAddr, usize>>>,
}

/// A place that is taken until it is dropped.
#[derive(Debug)]
pub struct Place {
    places: Places,
    client: IpAddr,
}

impl Places {
    /// A place for a client; none if all are taken, or so many by the client itself that others are to have the rest.
    pub fn take(&self, client: IpAddr) -> Option<Place> {
        let client = network(client);
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = taken.values().sum();
        let own = taken.get(&client).copied().unwrap_or_default();
        if all >= ALL || own >= OF_ONE {
            return None;
        }
        taken.insert(client, own + 1);
        Some(Place { places: self.clone(), client })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let left = taken.get(&self.client).map_or(0, |own| own.saturating_sub(1));
        match left {
            0 => taken.remove(&self.client),
            left => taken.insert(self.client, left),
        };
    }
}

/// What is one client: an IPv4 address, in either family, or a network of IPv6.
fn network(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from(u128::from(address) & NETWORK).into(),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    /// As many as a client gets.
    fn all_of(places: &Places, client: IpAddr) -> Vec<Place> {
        std::iter::from_fn(|| places.take(client)).take(ALL + 1).collect()
    }

    #[test]
    fn one_client_leaves_places_for_others() {
        let places = Places::default();
        let greedy = client("198.18.0.1");
        let mut taken = all_of(&places, greedy);
        assert_eq!(taken.len(), OF_ONE);
        assert!(places.take(client("::ffff:198.18.0.1")).is_none(), "the same address");
        assert!(places.take(client("198.18.0.2")).is_some());
        taken.pop();
        assert!(places.take(greedy).is_some(), "it has given one back");
    }

    #[test]
    fn a_network_of_ipv6_is_one_client() {
        let places = Places::default();
        let _taken = all_of(&places, client("2001:2::1"));
        assert!(places.take(client("2001:2::ffff:0:0:1")).is_none());
        assert!(places.take(client("2001:2:0:1::1")).is_some());
    }

    #[test]
    fn there_are_so_many_for_all_together() {
        let places = Places::default();
        let clients = (1..=255).map(|last| IpAddr::from([198, 18, 0, last]));
        let taken: Vec<_> = clients.flat_map(|client| all_of(&places, client)).collect();
        assert_eq!(taken.len(), ALL);
        drop(taken);
        assert_eq!(places.taken.lock().expect("nobody has panicked").len(), 0);
    }
}
