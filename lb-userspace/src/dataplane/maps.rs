//! All the maps of a data plane, typed.

use aya::maps::Map;
use lb_common::counters::{PathCounters, path};
use lb_common::event::ConnectFailed;
use lb_common::reason::Reason;
use lb_common::ring::Ring;
use lb_common::server::Cursor;
use lb_common::syn::{Owner, Syn};
use lb_common::trace::{Record, Tracing};

use super::Error;
use super::allow::AllowLists;
use super::endings::Endings;
use super::local_sockets::{self, LocalSockets};
use super::occupancy::Occupancies;
use super::reports::Reports;
use super::setup::SetupMemory;
use super::slots::Slots;
use super::sources::{self, Sources};
use super::table::{self, PerCpuTable, Table};

/// The names of all maps, as in the object and under the pins.
pub const NAMES: &[&str] = &[
    "SETUP",
    "RINGS",
    "RING_CURSORS",
    "SLOT_CURSORS",
    "SLOTS",
    "DETAILS",
    "INDEX",
    "SYNS_SENT",
    "OCCUPANCY",
    "ALLOW",
    "SOURCES",
    "EVENTS",
    "ENDINGS",
    "ENDINGS_LOST",
    "PATHS",
    "REASONS",
    "LOCAL_PATHS",
    "LOCAL_SOCKETS",
    "TRACING",
    "TRACE_SCRATCH",
    "TRACES",
];

/// The maps of a data plane.
pub struct Maps {
    /// Everything that the program is told, as plain memory.
    pub setup: SetupMemory,
    /// Two for each frontend; see [`lb_common::ring::ring_index`].
    pub rings: Table<Ring>,
    /// By frontend number.
    pub ring_cursors: Table<Cursor>,
    /// By server number.
    pub slot_cursors: Table<Cursor>,
    /// The connections.
    pub slots: Slots,
    /// How many of them are established.
    pub occupancy: Occupancies,
    /// Who may open connections.
    pub allow: AllowLists,
    /// How fast sources open connections.
    pub sources: Sources,
    /// Which packets a tracer wants.
    pub tracing: Table<Tracing>,
    traces: Option<Map>,
    syns: Table<Syn>,
    events: Option<Map>,
    endings: Option<(Map, Map)>,
    /// The sockets of clients on this host.
    pub local_sockets: LocalSockets,
    paths: PerCpuTable<PathCounters>,
    local_paths: Table<u64>,
    reasons: PerCpuTable<u64>,
    memory: Vec<(&'static str, u64)>,
}

impl Maps {
    /// Gathers the maps from wherever `get` finds them by name: from the pins, or from an object
    /// whose programs have been loaded (loading needs all maps still in the object).
    pub fn gather(mut get: impl FnMut(&'static str) -> Result<Map, Error>) -> Result<Self, Error> {
        let mut memory = Vec::with_capacity(NAMES.len());
        let mut take = |name| {
            let map = get(name)?;
            let data = table::data(&map).ok_or(Error::Missing(name))?;
            let bytes = table::memory(data).map_err(|source| Error::File { path: name.into(), source })?;
            memory.push((name, bytes));
            Ok::<Map, Error>(map)
        };
        // The program's alone.
        take("INDEX")?;
        take("TRACE_SCRATCH")?;
        Ok(Self {
            setup: SetupMemory::new(&take("SETUP")?)?,
            rings: Table::new("RINGS", take("RINGS")?)?,
            ring_cursors: Table::new("RING_CURSORS", take("RING_CURSORS")?)?,
            slot_cursors: Table::new("SLOT_CURSORS", take("SLOT_CURSORS")?)?,
            slots: Slots::new(take("SLOTS")?, take("DETAILS")?)?,
            occupancy: Occupancies::new(&take("OCCUPANCY")?)?,
            allow: AllowLists::new(take("ALLOW")?)?,
            sources: Sources::new(take(sources::NAME)?)?,
            tracing: Table::new("TRACING", take("TRACING")?)?,
            traces: Some(take("TRACES")?),
            syns: Table::new("SYNS_SENT", take("SYNS_SENT")?)?,
            events: Some(take("EVENTS")?),
            endings: Some((take("ENDINGS")?, take("ENDINGS_LOST")?)),
            local_sockets: LocalSockets::new(take(local_sockets::NAME)?)?,
            paths: PerCpuTable::new("PATHS", take("PATHS")?)?,
            local_paths: Table::new("LOCAL_PATHS", take("LOCAL_PATHS")?)?,
            reasons: PerCpuTable::new("REASONS", take("REASONS")?)?,
            memory,
        })
    }

    /// Connects that fail, from now on: nobody can say how old an earlier report is. Only one reader at a time, so they
    /// can be taken once.
    pub fn take_events(&mut self) -> Result<Reports<ConnectFailed>, Error> {
        Reports::from_now_on("EVENTS", self.events.take().ok_or(Error::Missing("EVENTS twice"))?)
    }

    /// Connections that have ended; the same holds for them.
    pub fn take_endings(&mut self) -> Result<Endings, Error> {
        let (map, lost) = self.endings.take().ok_or(Error::Missing("ENDINGS twice"))?;
        Endings::new(map, lost)
    }

    /// The packets that are traced, without what another tracer has left there; as [`Self::take_events`].
    pub fn take_traces(&mut self) -> Result<Reports<Record>, Error> {
        Reports::from_now_on("TRACES", self.traces.take().ok_or(Error::Missing("TRACES twice"))?)
    }

    /// The traffic between a frontend and a server, summed over the CPUs.
    pub fn path(&self, frontend: u16, server: u16) -> Result<PathCounters, Error> {
        let mut sum = PathCounters::default();
        for counters in self.paths.get(path(frontend, server))? {
            sum.add(&counters);
        }
        Ok(sum)
    }

    /// Forgets the traffic between a frontend and a server, whose numbers others have had.
    pub fn clear_path(&mut self, frontend: u16, server: u16) -> Result<(), Error> {
        self.local_paths.set(path(frontend, server), 0)?;
        self.paths.clear(path(frontend, server))
    }

    /// How many connections of this host's own clients to a frontend were given to a server.
    pub fn local_connections(&self, frontend: u16, server: u16) -> Result<u64, Error> {
        self.local_paths.get(path(frontend, server))
    }

    /// The copy of a connection's SYN, unless another's has taken its place.
    pub fn syn(&self, owner: Owner) -> Result<Option<Syn>, Error> {
        let copy = self.syns.get(owner.place())?;
        Ok((copy.owner == owner).then_some(copy))
    }

    /// How many packets were not forwarded for a reason.
    pub fn reason(&self, reason: Reason) -> Result<u64, Error> {
        Ok(self.reasons.get(reason as u32)?.iter().sum())
    }

    /// Bytes of kernel memory by map.
    #[must_use]
    pub fn memory(&self) -> &[(&'static str, u64)] {
        &self.memory
    }
}
