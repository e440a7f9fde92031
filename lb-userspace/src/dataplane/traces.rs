//! The packets that are traced.

use std::io;

use aya::maps::{Map, MapData, RingBuf};
use lb_common::trace::Record;
use tokio::io::unix::AsyncFd;
use zerocopy::FromBytes;

use super::Error;

/// Reads the `TRACES` ring buffer.
pub struct Traces {
    ring: AsyncFd<RingBuf<MapData>>,
}

impl Traces {
    /// Wraps the map; must be called in a tokio runtime. What another tracer has left there is passed over.
    pub(super) fn new(map: Map) -> Result<Self, Error> {
        let mut ring = RingBuf::try_from(map).map_err(|source| Error::Map { name: "TRACES", source })?;
        while ring.next().is_some() {}
        // SAFETY: the ring buffer owns its file descriptor and never exchanges it.
        let registered = unsafe { AsyncFd::register(ring) };
        let ring = registered.map_err(|error| Error::File { path: "TRACES".into(), source: error.into() })?;
        Ok(Self { ring })
    }

    /// Waits for the next packets, and returns those that there are, at most so many.
    pub async fn next(&mut self, most: usize) -> io::Result<Vec<Record>> {
        loop {
            let mut ready = self.ring.readable_mut().await?;
            let mut records = Vec::new();
            while records.len() < most
                && let Some(bytes) = ready.get_inner_mut().next()
            {
                // Whatever else it is, this version does not know it.
                records.extend(Record::read_from_bytes(&bytes).ok());
            }
            if !records.is_empty() {
                return Ok(records);
            }
            ready.clear_ready();
        }
    }

    /// Those that there are by now.
    pub fn rest(&mut self) -> Vec<Record> {
        let ring = self.ring.get_mut();
        let records = std::iter::from_fn(|| ring.next().map(|bytes| Record::read_from_bytes(&bytes).ok()));
        records.flatten().collect()
    }
}
