//! Connections that have ended, as the program tells of them.

use std::io;

use aya::maps::{Map, MapData, RingBuf};
use lb_common::ending::Ending;
use tokio::io::unix::AsyncFd;
use zerocopy::FromBytes;

use super::Error;
use super::table::PerCpuTable;

/// Reads the `ENDINGS` ring buffer, and how many found no room in it.
pub struct Endings {
    ring: AsyncFd<RingBuf<MapData>>,
    lost: PerCpuTable<u64>,
}

impl Endings {
    /// Wraps the maps; must be called in a tokio runtime. What ended while no agent was there is still in
    /// the buffer, as far as it had room, and comes first.
    pub(super) fn new(map: Map, lost: Map) -> Result<Self, Error> {
        let ring = RingBuf::try_from(map).map_err(|source| Error::Map { name: "ENDINGS", source })?;
        // SAFETY: the ring buffer owns its file descriptor and never exchanges it.
        let registered = unsafe { AsyncFd::register(ring) };
        let ring =
            registered.map_err(|error| Error::File { path: "ENDINGS".into(), source: error.into() })?;
        Ok(Self { ring, lost: PerCpuTable::new("ENDINGS_LOST", lost)? })
    }

    /// Waits until there are some, and takes at most so many.
    pub async fn next(&mut self, most: usize) -> io::Result<Vec<Ending>> {
        let mut endings = Vec::new();
        loop {
            let mut ready = self.ring.readable_mut().await?;
            while let Some(record) = ready.get_inner_mut().next() {
                // Whatever else it is, this version does not know it.
                endings.extend(Ending::read_from_bytes(&record).ok());
                if endings.len() >= most {
                    return Ok(endings);
                }
            }
            ready.clear_ready();
            if !endings.is_empty() {
                return Ok(endings);
            }
        }
    }

    /// Takes at most so many of those that there are by now.
    pub fn rest(&mut self, most: usize) -> Vec<Ending> {
        let ring = self.ring.get_mut();
        let records = std::iter::from_fn(|| ring.next().map(|record| Ending::read_from_bytes(&record).ok()));
        records.flatten().take(most).collect()
    }

    /// How many found no room, since the maps were made.
    pub fn lost(&self) -> Result<u64, Error> {
        Ok(self.lost.get(0)?.iter().sum())
    }
}
