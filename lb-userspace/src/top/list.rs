//! Which servers are shown, and in which order.

use std::cmp::Reverse;
use std::fmt;

use super::{Model, Rates};
use crate::stats::{Server, Whose};

/// What the servers of a backend are sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// As in the configuration.
    #[default]
    Configuration,
    /// By name.
    Name,
    /// By state, those that need attention first.
    State,
    /// By open connections, the most first.
    Open,
    /// By new connections a second, the most first.
    Rate,
    /// By bytes a second both ways, the most first.
    Throughput,
}

/// A server by the names of its backend and its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// The backend's.
    pub backend: String,
    /// Its own.
    pub server: String,
}

/// The servers of a backend that are shown.
pub struct Group<'m> {
    /// The backend's name.
    pub backend: &'m str,
    /// The servers.
    pub servers: Vec<&'m Server>,
}

impl Order {
    const ALL: [Self; 6] =
        [Self::Configuration, Self::Name, Self::State, Self::Open, Self::Rate, Self::Throughput];

    /// What a key goes on to.
    #[must_use]
    pub fn next(self) -> Self {
        let place = Self::ALL.iter().position(|order| *order == self).unwrap_or_default();
        Self::ALL[(place + 1) % Self::ALL.len()]
    }

    /// What it is called.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Configuration => "config",
            Self::Name => "name",
            Self::State => "state",
            Self::Open => "open",
            Self::Rate => "conn/s",
            Self::Throughput => "bytes/s",
        }
    }
}

impl Name {
    /// The name of a server.
    #[must_use]
    pub fn of(server: &Server) -> Self {
        Self { backend: server.backend.clone(), server: server.name.clone() }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.backend, self.server)
    }
}

/// The servers with `filter` in their names, address or state, by backend. Backends stay in the
/// configuration's order, without those of which nothing is shown.
#[must_use]
pub fn groups<'m>(model: &'m Model, order: Order, is_reversed: bool, filter: &str) -> Vec<Group<'m>> {
    let filter = filter.to_lowercase();
    let mut groups = Vec::<Group>::new();
    for server in model.snapshot.servers.iter().filter(|server| matches(server, &filter)) {
        match groups.iter_mut().find(|group| group.backend == server.backend) {
            Some(group) => group.servers.push(server),
            None => groups.push(Group { backend: &server.backend, servers: vec![server] }),
        }
    }
    for group in &mut groups {
        sort(&mut group.servers, order, model);
        if is_reversed {
            group.servers.reverse();
        }
    }
    groups
}

/// The rates of a server.
pub fn rates(model: &Model, server: &Server) -> Rates {
    model.trends.of(&whose(server)).rates
}

/// The key of what was seen of a server.
pub fn whose(server: &Server) -> Whose {
    Whose::Server(server.backend.clone(), server.name.clone())
}

fn matches(server: &Server, filter: &str) -> bool {
    let text = format!("{}/{} {} {}", server.backend, server.name, server.address, server.status);
    text.to_lowercase().contains(filter)
}

fn sort(servers: &mut [&Server], order: Order, model: &Model) {
    match order {
        Order::Configuration => {}
        Order::Name => servers.sort_by(|a, b| a.name.cmp(&b.name)),
        Order::State => servers.sort_by_key(|server| server.takes_connections()),
        Order::Open => servers.sort_by_key(|server| Reverse(server.all_open())),
        Order::Rate => servers.sort_by_key(|server| Reverse(rates(model, server).connections)),
        Order::Throughput => servers.sort_by_key(|server| Reverse(rates(model, server).bytes())),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::stats::table_tests::snapshot;

    fn names(order: Order, is_reversed: bool, filter: &str) -> Vec<String> {
        let mut model = Model::new(snapshot(), Duration::ZERO);
        let mut later = snapshot();
        later.servers[1].connections += 10;
        later.servers[0].traffic.bytes_in += 10;
        model.look(Ok(later), Duration::from_secs(1));
        let groups = groups(&model, order, is_reversed, filter);
        groups.iter().flat_map(|group| group.servers.iter().map(|server| server.name.clone())).collect()
    }

    #[test]
    fn servers_are_sorted_within_their_backend() {
        assert_eq!(names(Order::Configuration, false, ""), ["bettley", "fenn", "backup"]);
        assert_eq!(names(Order::Name, true, ""), ["fenn", "bettley", "backup"]);
        assert_eq!(names(Order::State, false, ""), ["fenn", "bettley", "backup"], "fenn is DOWN");
        assert_eq!(names(Order::Open, false, ""), ["fenn", "bettley", "backup"]);
        assert_eq!(names(Order::Rate, false, ""), ["fenn", "bettley", "backup"]);
        assert_eq!(names(Order::Throughput, false, ""), ["bettley", "fenn", "backup"]);
    }

    #[test]
    fn a_filter_looks_at_names_address_and_state() {
        for (filter, expected) in [
            ("FENN", &["fenn"][..]),
            ("k8s", &["bettley", "fenn"]),
            ("server/b", &["bettley"]),
            ("down", &["fenn"]),
            (".16:", &["backup"]),
            ("nobody", &[]),
        ] {
            assert_eq!(names(Order::Configuration, false, filter), expected, "{filter}");
        }
    }

    #[test]
    fn every_order_has_its_turn() {
        let mut order = Order::default();
        for _ in Order::ALL {
            order = order.next();
        }
        assert_eq!(order, Order::default());
    }
}
