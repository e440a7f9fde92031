//! Which MAC address each server's frames go to, as far as known.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use lb_common::net::Mac;

use super::entry::Entry;

/// What is known of the way to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextHop {
    /// The server's number.
    pub server: u16,
    /// Its address: the number may be another's by the time that this is read.
    pub address: Ipv4Addr,
    /// Where its frames go. None only until it is known for the first time: an address that has
    /// stopped answering is still the best guess.
    pub mac: Option<Mac>,
    /// Whether the next hop answers, as far as the kernel knows.
    pub answers: bool,
}

/// A server by number and address, and its next hop.
pub(super) type Way = (u16, Ipv4Addr, Ipv4Addr);

/// The next hops of all servers.
#[derive(Debug)]
pub(super) struct Table {
    servers: BTreeMap<u16, Server>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Server {
    address: Ipv4Addr,
    next_hop: Ipv4Addr,
    mac: Option<Mac>,
    answers: bool,
}

impl Table {
    /// Servers with these next hops, of which nothing is known.
    pub fn new(ways: impl IntoIterator<Item = Way>) -> Self {
        Self { servers: ways.into_iter().map(|way| (way.0, Server::unknown(way))).collect() }
    }

    /// Follows these servers from now on. What is known of the way that a server had stays.
    pub fn replace(&mut self, ways: impl IntoIterator<Item = Way>) {
        let before = std::mem::replace(self, Self::new(ways));
        for (number, server) in &mut self.servers {
            let is_same = |was: &&Server| (was.address, was.next_hop) == (server.address, server.next_hop);
            if let Some(was) = before.servers.get(number).filter(is_same) {
                *server = *was;
            }
        }
    }

    /// Sends a server's packets another way from now on; its MAC address holds until the new next
    /// hop's is [observed](Self::observe).
    pub fn route(&mut self, way: Way) {
        let (number, _, next_hop) = way;
        self.servers.entry(number).or_insert(Server::unknown(way)).next_hop = next_hop;
    }

    /// Whether any server's packets go there.
    pub fn contains(&self, address: Ipv4Addr) -> bool {
        self.servers.values().any(|server| server.next_hop == address)
    }

    /// The next hops that nothing in the kernel keeps fresh.
    pub fn missing(&self, entries: &[Entry]) -> BTreeSet<Ipv4Addr> {
        let wanted = self.servers.values().map(|server| server.next_hop);
        let is_kept = |address| entries.iter().any(|entry| entry.address == address && entry.is_kept);
        wanted.filter(|address| !is_kept(*address)).collect()
    }

    /// Takes in what the kernel knows of a neighbour, and says what that changes.
    pub fn observe(&mut self, entry: &Entry) -> Vec<NextHop> {
        let mut changes = Vec::new();
        let behind_it = self.servers.iter_mut().filter(|(_, server)| server.next_hop == entry.address);
        for (number, server) in behind_it {
            let now = Server { mac: entry.mac.or(server.mac), answers: entry.mac.is_some(), ..*server };
            if std::mem::replace(server, now) != now {
                changes.push(server.known(*number));
            }
        }
        changes
    }

    /// Nobody answers any more; says what that changes.
    pub fn silence(&mut self) -> Vec<NextHop> {
        let answering = self.servers.iter_mut().filter(|(_, server)| server.answers);
        let silenced = answering.map(|(number, server)| {
            server.answers = false;
            server.known(*number)
        });
        silenced.collect()
    }

    /// What is known of all servers.
    pub fn all(&self) -> Vec<NextHop> {
        self.servers.iter().map(|(number, server)| server.known(*number)).collect()
    }
}

impl Server {
    const fn unknown((_, address, next_hop): Way) -> Self {
        Self { address, next_hop, mac: None, answers: false }
    }

    /// What is known of it, under its number.
    const fn known(&self, number: u16) -> NextHop {
        NextHop { server: number, address: self.address, mac: self.mac, answers: self.answers }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 11);
    const GATEWAY: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);
    /// A server behind the gateway.
    const FAR: Ipv4Addr = Ipv4Addr::new(198, 18, 16, 7);
    const A: Mac = Mac([2, 0, 0, 0, 0, 0xa]);
    const B: Mac = Mac([2, 0, 0, 0, 0, 0xb]);

    fn entry(address: Ipv4Addr, mac: Option<Mac>) -> Entry {
        Entry { address, mac, is_kept: true, is_ours: true }
    }

    /// The server that is a neighbour, and the one that is not.
    fn near(number: u16) -> Way {
        (number, SERVER, SERVER)
    }

    fn far(number: u16) -> Way {
        (number, FAR, GATEWAY)
    }

    fn hop((server, address, _): Way, mac: Mac) -> NextHop {
        NextHop { server, address, mac: Some(mac), answers: true }
    }

    fn unknown((server, address, _): Way) -> NextHop {
        NextHop { server, address, mac: None, answers: false }
    }

    #[test]
    fn only_changes_are_reported() {
        let mut table = Table::new([near(0)]);
        assert_eq!(table.observe(&entry(GATEWAY, Some(A))), []);
        assert_eq!(table.observe(&entry(SERVER, Some(A))), [hop(near(0), A)]);
        assert_eq!(table.observe(&entry(SERVER, Some(A))), []);
        assert_eq!(table.observe(&entry(SERVER, Some(B))), [hop(near(0), B)]);
    }

    #[test]
    fn the_last_known_address_stays() {
        let mut table = Table::new([near(0)]);
        assert_eq!(table.all(), [unknown(near(0))]);
        table.observe(&entry(SERVER, Some(A)));
        let silent = [NextHop { answers: false, ..hop(near(0), A) }];
        assert_eq!(table.observe(&entry(SERVER, None)), silent);
        assert_eq!(table.all(), silent);
        assert_eq!(table.observe(&entry(SERVER, None)), []);
        assert_eq!(table.observe(&entry(SERVER, Some(A))), [hop(near(0), A)]);
    }

    #[test]
    fn silence_is_reported_of_those_that_answered() {
        let mut table = Table::new([near(0), far(1)]);
        table.observe(&entry(SERVER, Some(A)));
        assert_eq!(table.silence(), [NextHop { answers: false, ..hop(near(0), A) }]);
        assert_eq!(table.silence(), []);
        assert_eq!(table.observe(&entry(SERVER, Some(A))), [hop(near(0), A)]);
    }

    #[test]
    fn servers_behind_one_gateway_move_together() {
        let mut table = Table::new([far(0), near(1), far(2)]);
        assert_eq!(table.observe(&entry(GATEWAY, Some(A))), [hop(far(0), A), hop(far(2), A)]);
    }

    #[test]
    fn another_route_takes_effect_with_its_address() {
        let mut table = Table::new([near(0)]);
        table.observe(&entry(SERVER, Some(A)));
        table.route((0, SERVER, GATEWAY));
        assert!(table.contains(GATEWAY) && !table.contains(SERVER));
        assert_eq!(table.all(), [hop(near(0), A)]);
        assert_eq!(table.observe(&entry(SERVER, Some(B))), []);
        assert_eq!(table.observe(&entry(GATEWAY, Some(B))), [hop(near(0), B)]);
    }

    #[test]
    fn other_servers_are_followed_and_what_is_known_stays() {
        let mut table = Table::new([near(0), far(1)]);
        table.observe(&entry(SERVER, Some(A)));
        table.observe(&entry(GATEWAY, Some(B)));
        table.replace([near(0), near(1), far(5)]);
        assert_eq!(table.all(), [hop(near(0), A), unknown(near(1)), unknown(far(5))]);
        assert_eq!(table.observe(&entry(SERVER, Some(A))), [hop(near(1), A)]);
    }

    #[test]
    fn a_number_that_is_anothers_now_begins_anew() {
        let mut table = Table::new([far(0)]);
        table.observe(&entry(GATEWAY, Some(A)));
        let other = (0, Ipv4Addr::new(198, 18, 16, 8), GATEWAY);
        table.replace([other]);
        assert_eq!(table.all(), [unknown(other)]);
        assert_eq!(table.observe(&entry(GATEWAY, Some(A))), [hop(other, A)]);
    }

    #[test]
    fn what_nothing_keeps_is_missing_once() {
        let table = Table::new([far(0), near(1), far(2)]);
        assert_eq!(table.missing(&[]), BTreeSet::from([GATEWAY, SERVER]));
        let passing = Entry { is_kept: false, ..entry(GATEWAY, Some(A)) };
        assert_eq!(table.missing(&[entry(SERVER, None), passing]), BTreeSet::from([GATEWAY]));
    }
}
