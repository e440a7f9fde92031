//! What would become of a SYN, decided as the program does.

use std::net::SocketAddrV4;

use lb_common::admission::Limits;
use lb_common::net::{Addr, MacWord};
use lb_common::reason::{Disposition, Reason};
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

/// What would become of a new connection to a frontend.
#[derive(Clone, Debug)]
pub struct Prospect {
    /// The frontend's name.
    pub frontend: String,
    /// Where it listens.
    pub bind: SocketAddrV4,
    /// What would become of it.
    pub fate: Fate,
    /// How many connections of the frontend are established; counted only where that is limited.
    pub established: u64,
    /// The most that may be established at once; none without a limit.
    pub max_connections: Option<u32>,
    /// The name of the server whose turn it is; none if none is usable.
    pub server: Option<String>,
}

/// What would become of a SYN: forwarded, or the reason why not.
pub type Fate = Result<(), Reason>;

/// What decides it.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// The client.
    pub client: Addr,
    /// Whether the frontend takes no new connections any more.
    pub draining: bool,
    /// The frontend's limits.
    pub limits: Limits,
    /// Whether its allow list, if there is one, has the client.
    pub is_allowed: bool,
    /// How many of its connections are established.
    pub established: u64,
    /// When the client's next connection is due, in ns of `CLOCK_MONOTONIC`.
    pub due: u64,
    /// Now, by the same clock.
    pub now: u64,
    /// Whether a server is usable.
    pub has_server: bool,
    /// Where frames to the server go whose turn it is.
    pub next_hop: Option<MacWord>,
}

/// Decides it, in the program's order.
pub fn fate(facts: &Facts) -> Fate {
    let Facts { limits, .. } = facts;
    let is_full = limits.max_connections > 0 && facts.established >= u64::from(limits.max_connections);
    let is_fast = limits.source_rate.interval > 0 && limits.source_rate.admit(facts.due, facts.now).is_none();
    let hindrances = [
        (!facts.client.is_source(), Reason::BadSource),
        (facts.draining, Reason::Draining),
        (!facts.is_allowed, Reason::NotAllowed),
        (is_full, Reason::FrontendFull),
        (is_fast, Reason::SourceRate),
        (!facts.has_server, Reason::NoServer),
        (facts.next_hop.is_none(), Reason::NoNextHop),
    ];
    let hindrance = hindrances.into_iter().find(|(is_there, _)| *is_there);
    hindrance.map_or(Ok(()), |(_, reason)| Err(reason))
}

impl Prospect {
    /// What would become of it, in a sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        let Err(reason) = self.fate else {
            let server = self.server.as_deref().unwrap_or("a server");
            return format!("goes to {server}, whose turn it is");
        };
        let fate = match reason.disposition() {
            Disposition::Pass => "passes to the host",
            Disposition::Reset => "is refused with RST",
            _ => "is dropped",
        };
        format!("{fate}: {} ({})", reason.description().trim().trim_end_matches('.'), reason.name())
    }
}

impl Serialize for Prospect {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut prospect = serializer.serialize_struct("Prospect", 7)?;
        prospect.serialize_field("frontend", &self.frontend)?;
        prospect.serialize_field("bind", &self.bind)?;
        prospect.serialize_field("forwarded", &self.fate.is_ok())?;
        prospect.serialize_field("reason", &self.fate.err().map(Reason::name))?;
        prospect.serialize_field("server", &self.server)?;
        prospect.serialize_field("max_connections", &self.max_connections)?;
        prospect.serialize_field("next", &self.sentence())?;
        prospect.end()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::net::Ipv4Addr;

    use lb_common::admission::SourceRate;
    use lb_common::net::Mac;

    use super::*;

    fn facts() -> Facts {
        Facts {
            client: Ipv4Addr::new(198, 18, 0, 101).into(),
            draining: false,
            limits: Limits {
                max_connections: 10,
                source_rate: SourceRate::new(2, 1_000),
                ..Limits::default()
            },
            is_allowed: true,
            established: 9,
            due: 0,
            now: 5_000,
            has_server: true,
            next_hop: Some(Mac([2, 0, 0, 0, 0, 1]).into()),
        }
    }

    pub fn prospect(fate: Fate) -> Prospect {
        Prospect {
            frontend: "api".into(),
            bind: SocketAddrV4::new(Ipv4Addr::new(198, 18, 0, 10), 6443),
            fate,
            established: 0,
            max_connections: None,
            server: Some("fenn".into()),
        }
    }

    #[test]
    fn the_first_hindrance_decides() {
        assert_eq!(fate(&facts()), Ok(()));
        let no_hop = Facts { next_hop: None, ..facts() };
        assert_eq!(fate(&no_hop), Err(Reason::NoNextHop));
        let no_server = Facts { has_server: false, ..no_hop };
        assert_eq!(fate(&no_server), Err(Reason::NoServer));
        let fast = Facts { due: 5_501, ..no_server };
        assert_eq!(fate(&fast), Err(Reason::SourceRate));
        assert_eq!(fate(&Facts { due: 5_500, ..facts() }), Ok(()), "within its tolerance");
        let full = Facts { established: 10, ..fast };
        assert_eq!(fate(&full), Err(Reason::FrontendFull));
        let stranger = Facts { is_allowed: false, ..full };
        assert_eq!(fate(&stranger), Err(Reason::NotAllowed));
        let draining = Facts { draining: true, ..stranger };
        assert_eq!(fate(&draining), Err(Reason::Draining));
        let loopback = Facts { client: Ipv4Addr::LOCALHOST.into(), ..draining };
        assert_eq!(fate(&loopback), Err(Reason::BadSource));
    }

    #[test]
    fn a_fate_is_a_sentence() {
        assert_eq!(prospect(Ok(())).sentence(), "goes to fenn, whose turn it is");
        assert_eq!(
            prospect(Err(Reason::NoServer)).sentence(),
            "is refused with RST: No server of the frontend is usable (no_server)"
        );
        let passes = prospect(Err(Reason::Draining)).sentence();
        assert!(passes.starts_with("passes to the host: "), "{passes}");
        let dropped = prospect(Err(Reason::SourceRate)).sentence();
        assert!(dropped.starts_with("is dropped: "), "{dropped}");
    }
}
