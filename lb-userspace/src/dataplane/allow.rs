//! The allow lists: which prefixes may open connections to a frontend.

use aya::maps::lpm_trie::Key;
use aya::maps::{LpmTrie, Map, MapData, MapError};
use lb_common::admission::{AllowKey, AllowList};
use lb_common::net::Addr;

use super::Error;
use super::table::Raw;

const NAME: &str = "ALLOW";

/// The `ALLOW` map.
pub struct AllowLists {
    trie: LpmTrie<MapData, Raw<AllowKey>, u8>,
}

impl AllowLists {
    /// Wraps the map.
    pub(super) fn new(map: Map) -> Result<Self, Error> {
        let trie = LpmTrie::try_from(map).map_err(|source| Error::Map { name: NAME, source })?;
        Ok(Self { trie })
    }

    /// Enters a prefix, of so many bits, into a list that is not in force yet.
    pub fn insert(&mut self, list: AllowList, network: Addr, bits: u8) -> Result<(), Error> {
        let key = Key::new(AllowKey::LIST_BITS + u32::from(bits), Raw(AllowKey { list, addr: network }));
        self.trie.insert(&key, 1, 0).map_err(|source| Error::Map { name: NAME, source })
    }

    /// Whether a list has an address.
    pub fn contains(&self, list: AllowList, addr: Addr) -> Result<bool, Error> {
        let key = Key::new(AllowKey::LIST_BITS + u32::BITS, Raw(AllowKey { list, addr }));
        match self.trie.get(&key, 0) {
            Ok(_) => Ok(true),
            Err(MapError::KeyNotFound) => Ok(false),
            Err(source) => Err(Error::Map { name: NAME, source }),
        }
    }

    /// Removes all lists but those that are in force.
    pub fn retain(&mut self, in_force: &[AllowList]) -> Result<(), Error> {
        let failed = |source| Error::Map { name: NAME, source };
        let keys: Vec<_> = self.trie.keys().collect::<Result<_, _>>().map_err(failed)?;
        for key in keys.iter().filter(|key| !in_force.contains(&key.data().0.list)) {
            self.trie.remove(key).map_err(failed)?;
        }
        Ok(())
    }

    /// A number that no list in the map has.
    pub fn unused(&self) -> Result<AllowList, Error> {
        let mut highest = 0;
        for key in self.trie.keys() {
            highest = highest.max(key.map_err(|source| Error::Map { name: NAME, source })?.data().0.list.0);
        }
        Ok(AllowList(highest + 1))
    }
}
