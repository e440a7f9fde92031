//! What the programs remember of the sockets of clients on this host.

use aya::maps::{HashMap, Map, MapData, MapError};
use lb_common::local::LocalSocket;

use super::Error;
use super::table::Raw;

/// The map's name.
pub(super) const NAME: &str = "LOCAL_SOCKETS";

/// The `LOCAL_SOCKETS` map.
pub struct LocalSockets {
    map: HashMap<MapData, u64, Raw<LocalSocket>>,
}

impl LocalSockets {
    /// Wraps the map; fails if its kind or its value's size is another.
    pub(super) fn new(map: Map) -> Result<Self, Error> {
        let map = HashMap::try_from(map).map_err(error)?;
        Ok(Self { map })
    }

    /// What is remembered of the socket with this cookie.
    pub fn get(&self, cookie: u64) -> Result<Option<LocalSocket>, Error> {
        match self.map.get(&cookie, 0) {
            Ok(Raw(socket)) => Ok(Some(socket)),
            Err(MapError::KeyNotFound) => Ok(None),
            Err(source) => Err(error(source)),
        }
    }

    /// The sockets by their cookies.
    ///
    /// While connections come and go, one may be missed or seen twice.
    pub fn all(&self) -> Result<Vec<(u64, LocalSocket)>, Error> {
        let entries = self.map.iter().map(|entry| entry.map(|(cookie, socket)| (cookie, socket.0)));
        entries.collect::<Result<_, MapError>>().map_err(error)
    }
}

fn error(source: MapError) -> Error {
    Error::Map { name: NAME, source }
}
