//! How fast sources open connections, as far as frontends limit that.

use aya::maps::{HashMap, Map, MapData, MapError};
use lb_common::admission::Source;

use super::Error;
use super::table::Raw;

/// The map's name.
pub(super) const NAME: &str = "SOURCES";

/// The `SOURCES` map.
pub struct Sources {
    map: HashMap<MapData, Raw<Source>, u64>,
}

impl Sources {
    /// Wraps the map; fails if its kind or its value's size is another.
    pub(super) fn new(map: Map) -> Result<Self, Error> {
        let map = HashMap::try_from(map).map_err(error)?;
        Ok(Self { map })
    }

    /// When the next connection of a source is due, in ns of `CLOCK_MONOTONIC`; zero for one that is not
    /// known.
    pub fn due(&self, source: Source) -> Result<u64, Error> {
        match self.map.get(&Raw(source), 0) {
            Ok(due) => Ok(due),
            Err(MapError::KeyNotFound) => Ok(0),
            Err(source) => Err(error(source)),
        }
    }
}

fn error(source: MapError) -> Error {
    Error::Map { name: NAME, source }
}
