//! How many connections there are, as a line tells it.

use crate::stats::Snapshot;

/// Open connections: of all frontends, of one, of its backend, and of the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub all: u64,
    pub frontend: u64,
    pub backend: u64,
    pub server: u64,
}

impl Counts {
    /// What a look has found for the connections between a frontend and a server, by their names.
    pub fn of(snapshot: &Snapshot, frontend: &str, backend: &str, server: &str) -> Self {
        let mut counts = Self::default();
        for found in &snapshot.frontends {
            let open = found.all_open();
            counts.all += open;
            counts.frontend += if found.name == frontend { open } else { 0 };
            counts.backend += if found.backend == backend { open } else { 0 };
        }
        let is_it = |found: &&crate::stats::Server| found.backend == backend && found.name == server;
        counts.server = snapshot.servers.iter().find(is_it).map_or(0, crate::stats::Server::all_open);
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::table_tests::snapshot;

    #[test]
    fn each_is_counted_by_its_name() {
        let mut snapshot = snapshot();
        let [frontend, ..] = &mut snapshot.frontends[..] else { panic!("no frontend") };
        (frontend.name, frontend.backend) = ("front".into(), "back".into());
        let open = frontend.all_open();
        let [server, ..] = &mut snapshot.servers[..] else { panic!("no server") };
        (server.backend, server.name, server.open) = ("back".into(), "one".into(), 4);
        let of_server = server.all_open();
        let all = snapshot.frontends.iter().map(crate::stats::Frontend::all_open).sum();
        let counts = Counts { all, frontend: open, backend: open, server: of_server };
        assert!(open > 0 && of_server >= 4);
        assert_eq!(Counts::of(&snapshot, "front", "back", "one"), counts);
        assert_eq!(Counts::of(&snapshot, "front", "back", "<NOSRV>"), Counts { server: 0, ..counts });
        assert_eq!(Counts::of(&snapshot, "f", "b", "one"), Counts { all, ..Counts::default() });
    }
}
