//! Typed access to one array map.

use std::os::fd::AsFd;

use aya::maps::{Array, Map, MapData, PerCpuArray, PerCpuValues};
use aya::{Ebpf, Pod};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::Error;

/// A layout shared with the program, as aya takes it.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub struct Raw<T>(pub T);

// SAFETY: zerocopy's derives have checked that every bit pattern is a value and that there is no
// hidden padding.
unsafe impl<T: FromBytes + IntoBytes + Immutable + Copy + 'static> Pod for Raw<T> {}

/// What a map's value may be.
pub trait Value: FromBytes + IntoBytes + Immutable + Copy + 'static {}
impl<T: FromBytes + IntoBytes + Immutable + Copy + 'static> Value for T {}

/// An array map.
pub struct Table<T: Value> {
    name: &'static str,
    array: Array<MapData, Raw<T>>,
}

/// An array map with an element for each CPU.
pub struct PerCpuTable<T: Value> {
    name: &'static str,
    array: PerCpuArray<MapData, Raw<T>>,
}

impl<T: Value> Table<T> {
    /// Wraps a map; fails if its kind or its value's size is another.
    pub fn new(name: &'static str, map: Map) -> Result<Self, Error> {
        let array = Array::try_from(map).map_err(|source| Error::Map { name, source })?;
        Ok(Self { name, array })
    }

    /// Element `index`.
    pub fn get(&self, index: u32) -> Result<T, Error> {
        match self.array.get(&index, 0) {
            Ok(Raw(value)) => Ok(value),
            Err(source) => Err(Error::Map { name: self.name, source }),
        }
    }

    /// Replaces element `index`.
    pub fn set(&mut self, index: u32, value: T) -> Result<(), Error> {
        self.array.set(index, Raw(value), 0).map_err(|source| Error::Map { name: self.name, source })
    }

    /// How many elements there are.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.array.len()
    }

    /// Whether there are none, which no map of ours is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T: Value> PerCpuTable<T> {
    /// Wraps a map; fails if its kind or its value's size is another.
    pub fn new(name: &'static str, map: Map) -> Result<Self, Error> {
        let array = PerCpuArray::try_from(map).map_err(|source| Error::Map { name, source })?;
        Ok(Self { name, array })
    }

    /// Element `index` of every CPU.
    pub fn get(&self, index: u32) -> Result<Vec<T>, Error> {
        match self.array.get(&index, 0) {
            Ok(values) => Ok(values.iter().map(|raw| raw.0).collect()),
            Err(source) => Err(Error::Map { name: self.name, source }),
        }
    }

    /// Sets element `index` of every CPU to zero.
    pub fn clear(&mut self, index: u32) -> Result<(), Error> {
        let error = |source| Error::Map { name: self.name, source };
        let cpus = self.array.get(&index, 0).map_err(error)?.len();
        let zeros = PerCpuValues::try_from(vec![Raw(T::new_zeroed()); cpus]);
        let zeros = zeros.map_err(|error| Error::Map { name: self.name, source: error.into() })?;
        self.array.set(index, zeros, 0).map_err(|source| Error::Map { name: self.name, source })
    }
}

/// Takes a map out of a loaded object.
pub fn take(ebpf: &mut Ebpf, name: &'static str) -> Result<Map, Error> {
    ebpf.take_map(name).ok_or(Error::Missing(name))
}

/// The map's own data, whatever its kind.
pub(super) fn data(map: &Map) -> Option<&MapData> {
    match map {
        Map::Array(data)
        | Map::PerCpuArray(data)
        | Map::LpmTrie(data)
        | Map::LruHashMap(data)
        | Map::RingBuf(data) => Some(data),
        _ => None,
    }
}

/// Bytes of kernel memory that a map holds, as the kernel accounts for it.
///
/// `/proc/self/fdinfo` has said so for every kind of map since 6.4, and for preallocated arrays
/// ever since.
pub(super) fn memory(data: &MapData) -> std::io::Result<u64> {
    use std::os::fd::AsRawFd;
    let fdinfo = format!("/proc/self/fdinfo/{}", data.fd().as_fd().as_raw_fd());
    let text = std::fs::read_to_string(fdinfo)?;
    let memlock = text.lines().find_map(|line| line.strip_prefix("memlock:"));
    memlock
        .and_then(|value| value.trim().parse().ok())
        .ok_or_else(|| std::io::Error::other("the kernel does not tell the map's memory"))
}
