//! Map memory mapped into our own: read and written without system calls.

use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, RawFd};

use aya::maps::Map;
use memmap2::{MmapOptions, MmapRaw};

use super::{Error, table};

/// All elements of a map.
pub(super) const ALL: Range<u32> = 0..u32::MAX;

/// Maps all of an array map that was made with `BPF_F_MMAPABLE`, to read and write.
pub(super) fn writable(name: &'static str, map: &Map) -> Result<MmapRaw, Error> {
    writable_part(name, map, ALL)
}

/// Maps those of its elements that have these numbers; the first is at the beginning of a page.
pub(super) fn writable_part(name: &'static str, map: &Map, part: Range<u32>) -> Result<MmapRaw, Error> {
    mapped(name, map, part, MmapOptions::map_raw)
}

/// Maps all of it only to read.
pub(super) fn read_only(name: &'static str, map: &Map) -> Result<MmapRaw, Error> {
    read_only_part(name, map, ALL)
}

/// Maps a part of it only to read.
pub(super) fn read_only_part(name: &'static str, map: &Map, part: Range<u32>) -> Result<MmapRaw, Error> {
    mapped(name, map, part, MmapOptions::map_raw_read_only)
}

fn mapped(
    name: &'static str,
    map: &Map,
    part: Range<u32>,
    how: impl FnOnce(&MmapOptions, RawFd) -> io::Result<MmapRaw>,
) -> Result<MmapRaw, Error> {
    let data = table::data(map).ok_or(Error::Missing(name))?;
    let info = data.info().map_err(|source| Error::Map { name, source })?;
    let part = part.start..part.end.min(info.max_entries());
    let mut options = MmapOptions::new();
    options.offset(u64::from(part.start) * u64::from(info.value_size()));
    options.len(part.len() * info.value_size() as usize);
    how(&options, data.fd().as_fd().as_raw_fd()).map_err(|source| Error::File { path: name.into(), source })
}

/// Where element `number` is, if the mapping has so many. A mapping begins at a page, so elements
/// of a power of two are aligned.
pub(super) fn element<T>(memory: &MmapRaw, number: u32) -> *const T {
    memory.as_ptr().cast::<T>().wrapping_add(number as usize)
}
