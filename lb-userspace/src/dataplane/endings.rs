//! Connections that have ended, as the program tells of them.

use aya::maps::Map;
use lb_common::ending::Ending;

use super::Error;
use super::reports::Reports;
use super::table::PerCpuTable;

/// Reads the `ENDINGS` ring buffer, and how many found no room in it.
pub struct Endings {
    /// Those that had room.
    pub told: Reports<Ending>,
    lost: PerCpuTable<u64>,
}

impl Endings {
    /// Wraps the maps; must be called in a tokio runtime. What ended while no agent was there is still in
    /// the buffer, as far as it had room, and comes first.
    pub(super) fn new(map: Map, lost: Map) -> Result<Self, Error> {
        Ok(Self { told: Reports::new("ENDINGS", map)?, lost: PerCpuTable::new("ENDINGS_LOST", lost)? })
    }

    /// How many found no room, since the maps were made.
    pub fn lost(&self) -> Result<u64, Error> {
        Ok(self.lost.get(0)?.iter().sum())
    }
}
