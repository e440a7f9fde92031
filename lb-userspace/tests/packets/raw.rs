//! Maps whole: what the typed access does element by element, in one system call.

use std::os::fd::{AsFd, AsRawFd};
use std::{io, mem};

use aya::maps::{Map, MapData, RingBuf};
use aya::util::nr_cpus;
use aya_obj::generated::{bpf_attr, bpf_cmd};

/// Makes a map as it was when it was new.
pub fn clear(map: Map) {
    match map {
        Map::Array(data) => zero(&data, 1),
        Map::PerCpuArray(data) => zero(&data, cpus()),
        Map::LruHashMap(data) | Map::LpmTrie(data) => empty(&data),
        Map::RingBuf(_) => read_up(map),
        _ => panic!("nothing says how to clear a map of this kind"),
    }
}

/// The elements of an array of numbers that has one for each CPU, summed over the CPUs.
pub fn sums(data: &MapData) -> Vec<u64> {
    let count = data.info().expect("is told").max_entries();
    let (mut keys, mut last) = (vec![0_u32; count as usize], [0_u32]);
    let mut values = vec![0_u64; count as usize * cpus()];
    let mut attributes = no_attributes();
    attributes.batch.out_batch = place(&mut last);
    batch(bpf_cmd::BPF_MAP_LOOKUP_BATCH, data, attributes, (&mut keys, place(&mut values)));
    assert!(keys.is_sorted(), "{keys:?}");
    values.chunks(cpus()).map(|cpus| cpus.iter().sum()).collect()
}

/// Zeroes all elements of an array, each of so many values, in one system call.
fn zero(data: &MapData, values: usize) {
    let info = data.info().expect("is told");
    let count = info.max_entries();
    let mut keys: Vec<u32> = (0..count).collect();
    let value = info.value_size().next_multiple_of(8) as usize * values;
    let mut zeros = vec![0_u8; value * count as usize];
    batch(bpf_cmd::BPF_MAP_UPDATE_BATCH, data, no_attributes(), (&mut keys, place(&mut zeros)));
}

/// A command about all elements of an array, with room for their keys and a place for their values.
fn batch(what: bpf_cmd, data: &MapData, mut attributes: bpf_attr, (keys, values): (&mut [u32], u64)) {
    let count = keys.len() as u32;
    attributes.batch.keys = place(keys);
    attributes.batch.values = values;
    attributes.batch.count = count;
    attributes.batch.map_fd = descriptor(data);
    command(what, &mut attributes).expect("takes all elements");
    // SAFETY: numbers, and the kernel has written the count.
    assert_eq!(unsafe { attributes.batch.count }, count, "it has come to its end");
}

/// Deletes all elements of a hash table or a trie.
fn empty(data: &MapData) {
    let mut key = vec![0_u8; data.info().expect("is told").key_size() as usize];
    let place = place(&mut key);
    let (mut first, mut delete) = (no_attributes(), no_attributes());
    first.__bindgen_anon_2.map_fd = descriptor(data);
    first.__bindgen_anon_2.__bindgen_anon_1.next_key = place;
    delete.__bindgen_anon_2.map_fd = descriptor(data);
    delete.__bindgen_anon_2.key = place;
    loop {
        match command(bpf_cmd::BPF_MAP_GET_NEXT_KEY, &mut first) {
            Ok(()) => command(bpf_cmd::BPF_MAP_DELETE_ELEM, &mut delete).expect("can be removed"),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => panic!("{error}"),
        }
    }
}

fn read_up(map: Map) {
    let mut ring = RingBuf::try_from(map).expect("is a ring buffer");
    while ring.next().is_some() {}
}

fn cpus() -> usize {
    nr_cpus().expect("is told")
}

/// Where elements begin, as commands are told.
fn place<T>(elements: &mut [T]) -> u64 {
    elements.as_mut_ptr().expose_provenance() as u64
}

fn descriptor(data: &MapData) -> u32 {
    data.fd().as_fd().as_raw_fd().cast_unsigned()
}

fn no_attributes() -> bpf_attr {
    // SAFETY: numbers, all of which may be zero.
    unsafe { mem::zeroed() }
}

/// A command about a map, whose attributes name memory that is as long as the command expects.
fn command(command: bpf_cmd, attributes: &mut bpf_attr) -> io::Result<()> {
    // SAFETY: attributes of this command, of which the size is told.
    let result = unsafe {
        libc::syscall(libc::SYS_bpf, command as libc::c_int, &raw mut *attributes, size_of::<bpf_attr>())
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
