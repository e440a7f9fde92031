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
    /// Where its frames go. None only until it is known for the first time: an address that has
    /// stopped answering is still the best guess.
    pub mac: Option<Mac>,
}

/// The next hops of all servers.
#[derive(Debug)]
pub(super) struct Table {
    servers: BTreeMap<u16, Server>,
}

#[derive(Clone, Copy, Debug)]
struct Server {
    next_hop: Ipv4Addr,
    mac: Option<Mac>,
}

impl Table {
    /// Servers with these next hops, of which nothing is known.
    pub fn new(next_hops: impl IntoIterator<Item = (u16, Ipv4Addr)>) -> Self {
        let unknown = |(number, next_hop)| (number, Server { next_hop, mac: None });
        Self { servers: next_hops.into_iter().map(unknown).collect() }
    }

    /// Follows these servers from now on. What is known of the way that a server had stays.
    pub fn replace(&mut self, next_hops: impl IntoIterator<Item = (u16, Ipv4Addr)>) {
        let before = std::mem::replace(self, Self::new(next_hops));
        for (number, server) in &mut self.servers {
            let was = before.servers.get(number).filter(|was| was.next_hop == server.next_hop);
            server.mac = was.and_then(|was| was.mac);
        }
    }

    /// Sends a server's packets another way from now on; its MAC address holds until the new next
    /// hop's is [observed](Self::observe).
    pub fn route(&mut self, server: u16, next_hop: Ipv4Addr) {
        self.servers.entry(server).or_insert(Server { next_hop, mac: None }).next_hop = next_hop;
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
        let Some(mac) = entry.mac else { return Vec::new() };
        let mut changes = Vec::new();
        for (number, server) in &mut self.servers {
            if server.next_hop == entry.address && server.mac != Some(mac) {
                server.mac = Some(mac);
                changes.push(NextHop { server: *number, mac: server.mac });
            }
        }
        changes
    }

    /// What is known of all servers.
    pub fn all(&self) -> Vec<NextHop> {
        self.servers.iter().map(|(server, known)| NextHop { server: *server, mac: known.mac }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 11);
    const GATEWAY: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);
    const A: Mac = Mac([2, 0, 0, 0, 0, 0xa]);
    const B: Mac = Mac([2, 0, 0, 0, 0, 0xb]);

    fn entry(address: Ipv4Addr, mac: Option<Mac>) -> Entry {
        Entry { address, mac, is_kept: true, is_ours: true }
    }

    fn hop(server: u16, mac: Mac) -> NextHop {
        NextHop { server, mac: Some(mac) }
    }

    #[test]
    fn only_changes_are_reported() {
        let mut table = Table::new([(0, SERVER)]);
        assert_eq!(table.observe(&entry(GATEWAY, Some(A))), []);
        assert_eq!(table.observe(&entry(SERVER, Some(A))), [hop(0, A)]);
        assert_eq!(table.observe(&entry(SERVER, Some(A))), []);
        assert_eq!(table.observe(&entry(SERVER, Some(B))), [hop(0, B)]);
    }

    #[test]
    fn the_last_known_address_stays() {
        let mut table = Table::new([(0, SERVER)]);
        assert_eq!(table.all(), [NextHop { server: 0, mac: None }]);
        table.observe(&entry(SERVER, Some(A)));
        assert_eq!(table.observe(&entry(SERVER, None)), []);
        assert_eq!(table.all(), [hop(0, A)]);
    }

    #[test]
    fn servers_behind_one_gateway_move_together() {
        let mut table = Table::new([(0, GATEWAY), (1, SERVER), (2, GATEWAY)]);
        assert_eq!(table.observe(&entry(GATEWAY, Some(A))), [hop(0, A), hop(2, A)]);
    }

    #[test]
    fn another_route_takes_effect_with_its_address() {
        let mut table = Table::new([(0, SERVER)]);
        table.observe(&entry(SERVER, Some(A)));
        table.route(0, GATEWAY);
        assert!(table.contains(GATEWAY) && !table.contains(SERVER));
        assert_eq!(table.all(), [hop(0, A)]);
        assert_eq!(table.observe(&entry(SERVER, Some(B))), []);
        assert_eq!(table.observe(&entry(GATEWAY, Some(B))), [hop(0, B)]);
    }

    #[test]
    fn other_servers_are_followed_and_what_is_known_stays() {
        let mut table = Table::new([(0, SERVER), (1, GATEWAY)]);
        table.observe(&entry(SERVER, Some(A)));
        table.observe(&entry(GATEWAY, Some(B)));
        table.replace([(0, SERVER), (1, SERVER), (5, GATEWAY)]);
        let unknown = |server| NextHop { server, mac: None };
        assert_eq!(table.all(), [hop(0, A), unknown(1), unknown(5)]);
        assert_eq!(table.observe(&entry(SERVER, Some(A))), [hop(1, A)]);
    }

    #[test]
    fn what_nothing_keeps_is_missing_once() {
        let table = Table::new([(0, GATEWAY), (1, SERVER), (2, GATEWAY)]);
        assert_eq!(table.missing(&[]), BTreeSet::from([GATEWAY, SERVER]));
        let passing = Entry { is_kept: false, ..entry(GATEWAY, Some(A)) };
        assert_eq!(table.missing(&[entry(SERVER, None), passing]), BTreeSet::from([GATEWAY]));
    }
}
