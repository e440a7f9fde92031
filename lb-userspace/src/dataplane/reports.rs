//! What the program reports the moment that it happens.

use std::io;
use std::marker::PhantomData;

use aya::maps::{Map, MapData, RingBuf};
use tokio::io::unix::AsyncFd;
use zerocopy::FromBytes;

use super::Error;

/// Reads a ring buffer of records.
pub struct Reports<T> {
    ring: AsyncFd<RingBuf<MapData>>,
    records: PhantomData<T>,
}

impl<T: FromBytes> Reports<T> {
    /// Wraps a map; must be called in a tokio runtime. What is in the buffer already comes first.
    pub(super) fn new(name: &'static str, map: Map) -> Result<Self, Error> {
        let ring = RingBuf::try_from(map).map_err(|source| Error::Map { name, source })?;
        // SAFETY: the ring buffer owns its file descriptor and never exchanges it.
        let registered = unsafe { AsyncFd::register(ring) };
        let ring = registered.map_err(|error| Error::File { path: name.into(), source: error.into() })?;
        Ok(Self { ring, records: PhantomData })
    }

    /// The same for what is of no use to anybody later: what is in the buffer already is passed over.
    pub(super) fn from_now_on(name: &'static str, map: Map) -> Result<Self, Error> {
        let mut reports = Self::new(name, map)?;
        reports.rest().for_each(drop);
        Ok(reports)
    }

    /// Waits until there are some, and takes at most so many, of which there must be at least one.
    pub async fn next(&mut self, most: usize) -> io::Result<Vec<T>> {
        loop {
            let mut ready = self.ring.readable_mut().await?;
            let records: Vec<T> = known(ready.get_inner_mut()).take(most).collect();
            if !records.is_empty() {
                return Ok(records);
            }
            ready.clear_ready();
        }
    }

    /// Those that there are by now, without a question whether there are any.
    pub fn rest(&mut self) -> impl Iterator<Item = T> {
        known(self.ring.get_mut())
    }
}

/// The records in a buffer. Whatever else there is, this version does not know it.
fn known<T: FromBytes>(ring: &mut RingBuf<MapData>) -> impl Iterator<Item = T> {
    std::iter::from_fn(|| ring.next().map(|record| T::read_from_bytes(&record).ok())).flatten()
}
