//! How frontends and servers are called that records know by number.

use std::collections::BTreeMap;

use lb_common::ending::NO_SERVER;

use crate::dataplane::status::Status;

/// The names by number. One that has left keeps its name until another has the number: some of its connections'
/// ends may still be to be told.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    frontends: BTreeMap<u16, Frontend>,
    servers: BTreeMap<u16, String>,
}

/// A frontend's names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Frontend {
    pub name: String,
    pub backend: String,
}

impl Names {
    /// Takes in what there is now.
    pub fn learn(&mut self, status: &Status) {
        for frontend in &status.frontends {
            let names = Frontend { name: frontend.name.clone(), backend: frontend.backend.clone() };
            self.frontends.insert(frontend.number, names);
        }
        for server in &status.servers {
            self.servers.insert(server.number, server.name.clone());
        }
    }

    /// A frontend's.
    pub fn frontend(&self, number: u16) -> Option<&Frontend> {
        self.frontends.get(&number)
    }

    /// A server's; `HAProxy`'s word where there was none to be had.
    pub fn server(&self, number: u16) -> Option<&str> {
        if number == NO_SERVER { Some("<NOSRV>") } else { self.servers.get(&number).map(String::as_str) }
    }
}
