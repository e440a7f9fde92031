//! What clients have of something that there is only so much of, so that one leaves some to others.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

/// The bits of an IPv6 address that tell networks apart; whoever has one has all addresses in it.
const NETWORK: u128 = !0 << 64;

/// How many there are.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// For all clients together.
    pub all: usize,
    /// For one of them.
    pub of_one: usize,
}

/// How many clients have of them.
#[derive(Debug)]
pub struct Tally {
    limits: Limits,
    taken: BTreeMap<IpAddr, usize>,
}

impl Tally {
    /// Nobody has any.
    pub const fn new(limits: Limits) -> Self {
        Self { limits, taken: BTreeMap::new() }
    }

    /// Gives a client one; none if all are taken, or so many by the client itself that others are to have the rest.
    pub fn take(&mut self, client: IpAddr) -> bool {
        let client = network(client);
        let all: usize = self.taken.values().sum();
        let own = self.taken.get(&client).copied().unwrap_or_default();
        if all >= self.limits.all || own >= self.limits.of_one {
            return false;
        }
        self.taken.insert(client, own + 1);
        true
    }

    /// Takes one back from a client.
    pub fn give_back(&mut self, client: IpAddr) {
        let client = network(client);
        let left = self.taken.get(&client).map_or(0, |own| own.saturating_sub(1));
        match left {
            0 => self.taken.remove(&client),
            left => self.taken.insert(client, left),
        };
    }

    /// Takes all back.
    pub fn clear(&mut self) {
        self.taken.clear();
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

    const LIMITS: Limits = Limits { all: 8, of_one: 3 };

    fn client(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    /// Gives a client as many as it gets, and tells how many.
    fn all_of(tally: &mut Tally, client: IpAddr) -> usize {
        (0..=LIMITS.all).filter(|_| tally.take(client)).count()
    }

    #[test]
    fn one_client_leaves_some_to_others() {
        let mut tally = Tally::new(LIMITS);
        let greedy = client("198.18.0.1");
        assert_eq!(all_of(&mut tally, greedy), LIMITS.of_one);
        assert!(!tally.take(client("::ffff:198.18.0.1")), "the same address");
        assert!(tally.take(client("198.18.0.2")));
        tally.give_back(greedy);
        assert!(tally.take(greedy), "it has given one back");
    }

    #[test]
    fn a_network_of_ipv6_is_one_client() {
        let mut tally = Tally::new(LIMITS);
        all_of(&mut tally, client("2001:2::1"));
        assert!(!tally.take(client("2001:2::ffff:0:0:1")));
        assert!(tally.take(client("2001:2:0:1::1")));
    }

    #[test]
    fn there_are_so_many_for_all_together() {
        let mut tally = Tally::new(LIMITS);
        let clients = || (1..=4).map(|last| IpAddr::from([198, 18, 0, last]));
        let taken: usize = clients().map(|client| all_of(&mut tally, client)).sum();
        assert_eq!(taken, LIMITS.all);
        tally.clear();
        assert!(clients().all(|client| tally.take(client)));
        clients().for_each(|client| tally.give_back(client));
        assert_eq!(tally.taken.len(), 0, "nobody is remembered who has none");
    }
}
