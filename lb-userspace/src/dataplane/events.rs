//! What the program reports the moment that it happens.

use std::io;

use aya::maps::{Map, MapData, RingBuf};
use lb_common::event::ConnectFailed;
use tokio::io::unix::AsyncFd;
use zerocopy::FromBytes;

use super::Error;

/// Reads the `EVENTS` ring buffer.
pub struct Events {
    ring: AsyncFd<RingBuf<MapData>>,
}

impl Events {
    /// Wraps the map; must be called in a tokio runtime. What was reported before is passed over:
    /// nobody can say how old it is.
    pub(super) fn new(map: Map) -> Result<Self, Error> {
        let mut ring = RingBuf::try_from(map).map_err(|source| Error::Map { name: "EVENTS", source })?;
        while ring.next().is_some() {}
        // SAFETY: the ring buffer owns its file descriptor and never exchanges it.
        let registered = unsafe { AsyncFd::register(ring) };
        let ring = registered.map_err(|error| Error::File { path: "EVENTS".into(), source: error.into() })?;
        Ok(Self { ring })
    }

    /// Waits for the next report.
    pub async fn next(&mut self) -> io::Result<ConnectFailed> {
        loop {
            let mut ready = self.ring.readable_mut().await?;
            while let Some(record) = ready.get_inner_mut().next() {
                // Whatever else it is, this version does not know it.
                if let Ok(event) = ConnectFailed::read_from_bytes(&record) {
                    return Ok(event);
                }
            }
            ready.clear_ready();
        }
    }
}
