//! What a map is: compared before a pinned map is given to another program, as nobody else does it.

use std::fmt;
use std::path::Path;

use aya::maps::{MapInfo, MapType};

use super::Error;
use super::maps::NAMES;
use super::object::Sizes;

/// A map's kind and sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Definition {
    kind: u32,
    key: u32,
    value: u32,
    entries: u32,
}

impl Definition {
    /// What a pinned map is.
    fn pinned(path: &Path, name: &'static str) -> Result<Self, Error> {
        let error = |source| Error::Map { name, source };
        let info = MapInfo::from_pin(path).map_err(error)?;
        let kind = info.map_type().map_err(error)? as u32;
        Ok(Self { kind, key: info.key_size(), value: info.value_size(), entries: info.max_entries() })
    }

    /// Without what is no layout: the length of a ring buffer depends on the size of a page.
    const fn comparable(self) -> Self {
        if self.kind == MapType::RingBuf as u32 { Self { value: 0, entries: 0, ..self } } else { self }
    }
}

/// Fails unless the maps that are pinned in a directory are those that an object needs.
pub(super) fn check(object: &[u8], sizes: Sizes, pins: &Path) -> Result<(), Error> {
    let object = aya_obj::Object::parse(object).map_err(aya::EbpfError::ParseError)?;
    for name in NAMES {
        let map = object.maps.get(*name).ok_or(Error::Missing(name))?;
        let (kind, key, value) = (map.map_type(), map.key_size(), map.value_size());
        let entries = sizes.entries(name).unwrap_or(map.max_entries());
        let needed = Definition { kind, key, value, entries };
        let found = Definition::pinned(&pins.join(name), name)?;
        if found.comparable() != needed.comparable() {
            let (found, needed) = (found.to_string(), needed.to_string());
            return Err(Error::OtherMap { path: pins.to_owned(), name, found, needed });
        }
    }
    Ok(())
}

impl fmt::Display for Definition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, key, value, entries } = self;
        write!(f, "kind {kind} with {entries} elements of {value} bytes and keys of {key}")
    }
}
