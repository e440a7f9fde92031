//! Map memory mapped into our own: read and written without system calls.

use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};

use aya::maps::Map;
use memmap2::{MmapOptions, MmapRaw};

use super::{Error, table};

/// Maps all of an array map that was made with `BPF_F_MMAPABLE`, to read and write.
pub(super) fn writable(name: &'static str, map: &Map) -> Result<MmapRaw, Error> {
    mapped(name, map, MmapOptions::map_raw)
}

/// Maps it only to read.
pub(super) fn read_only(name: &'static str, map: &Map) -> Result<MmapRaw, Error> {
    mapped(name, map, MmapOptions::map_raw_read_only)
}

fn mapped(
    name: &'static str,
    map: &Map,
    how: impl FnOnce(&MmapOptions, RawFd) -> io::Result<MmapRaw>,
) -> Result<MmapRaw, Error> {
    let data = table::data(map).ok_or(Error::Missing(name))?;
    let info = data.info().map_err(|source| Error::Map { name, source })?;
    let mut options = MmapOptions::new();
    options.len(info.max_entries() as usize * info.value_size() as usize);
    how(&options, data.fd().as_fd().as_raw_fd()).map_err(|source| Error::File { path: name.into(), source })
}

/// Where element `number` is, if the mapping has so many. A mapping begins at a page, so elements
/// of a power of two are aligned.
pub(super) fn element<T>(memory: &MmapRaw, number: u32) -> *const T {
    memory.as_ptr().cast::<T>().wrapping_add(number as usize)
}
