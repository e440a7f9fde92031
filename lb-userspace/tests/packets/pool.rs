//! Loaded programs, used by one test after the other.
//!
//! To follow a program costs the verifier half a second, and an emulated processor many; the tests of one size
//! of maps can do with one program, if it finds its maps as a new one does.

use std::ops::Deref;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::{Mutex, PoisonError};
use std::{io, mem};

use aya::Ebpf;
use aya::maps::{Map, MapData, RingBuf};
use aya::util::nr_cpus;
use aya_obj::generated::{bpf_attr, bpf_cmd};
use xlb::dataplane::maps::{Maps, NAMES};
use xlb::dataplane::object::{self, Sizes, XLB};

use crate::entry::Entry;

/// Those that no test uses at the moment.
static IDLE: Mutex<Vec<Loaded>> = Mutex::new(Vec::new());

/// Bigger ones are let go: that they are needed again is rare, and to keep them costs memory.
const MOST_SLOTS: u32 = 1 << 16;

/// An object, one program of which is in the kernel.
struct Loaded {
    ebpf: Ebpf,
    entry: Entry,
    sizes: Sizes,
}

/// One that is a test's alone, until it is dropped.
pub struct Lease(Option<Loaded>);

impl Lease {
    /// One with this program and maps of these sizes, in which is nothing.
    pub fn new(entry: Entry, sizes: Sizes) -> Self {
        let loaded = idle(entry, sizes).unwrap_or_else(|| Loaded::new(entry, sizes));
        for name in NAMES {
            clear(loaded.map(name));
        }
        Self(Some(loaded))
    }

    /// Its maps.
    pub fn maps(&self) -> Maps {
        let loaded = self.0.as_ref().expect("is there until it is dropped");
        Maps::gather(|name| Ok(loaded.map(name))).expect("has all maps")
    }
}

impl Deref for Lease {
    type Target = Ebpf;

    fn deref(&self) -> &Ebpf {
        &self.0.as_ref().expect("is there until it is dropped").ebpf
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let small = self.0.take().filter(|loaded| loaded.sizes.slots() <= MOST_SLOTS);
        IDLE.lock().unwrap_or_else(PoisonError::into_inner).extend(small);
    }
}

impl Loaded {
    fn new(entry: Entry, sizes: Sizes) -> Self {
        let mut ebpf = object::load(XLB, sizes).expect("loads; BPF needs root: use `cargo xtask test`");
        object::load_program(&mut ebpf, entry.program()).expect("the verifier takes the program");
        Self { ebpf, entry, sizes }
    }

    /// A map, by a descriptor of its own: nobody can take it out of the object, which another needs next.
    fn map(&self, name: &str) -> Map {
        let (Map::Array(data)
        | Map::PerCpuArray(data)
        | Map::LruHashMap(data)
        | Map::LpmTrie(data)
        | Map::RingBuf(data)) = self.ebpf.map(name).expect("is in the object")
        else {
            panic!("{name} is a map of a kind that is not known here");
        };
        let data = MapData::from_id(data.info().expect("is told").id()).expect("can be opened again");
        Map::from_map_data(data).expect("is of a known kind")
    }
}

fn idle(entry: Entry, sizes: Sizes) -> Option<Loaded> {
    let mut idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner);
    let place = idle.iter().position(|loaded| loaded.entry == entry && loaded.sizes == sizes)?;
    Some(idle.swap_remove(place))
}

/// Makes a map as it was when it was new.
fn clear(map: Map) {
    match map {
        Map::Array(data) => zero(&data, 1),
        Map::PerCpuArray(data) => zero(&data, nr_cpus().expect("is told")),
        Map::LruHashMap(data) | Map::LpmTrie(data) => empty(&data),
        Map::RingBuf(_) => read_up(map),
        _ => panic!("nothing says how to clear a map of this kind"),
    }
}

/// Zeroes all elements of an array, each of so many values, in one system call.
fn zero(data: &MapData, values: usize) {
    let info = data.info().expect("is told");
    let count = info.max_entries();
    let keys: Vec<u32> = (0..count).collect();
    let value = info.value_size().next_multiple_of(8) as usize * values;
    let zeros = vec![0_u8; value * count as usize];
    let mut attributes = no_attributes();
    attributes.batch.keys = keys.as_ptr().expose_provenance() as u64;
    attributes.batch.values = zeros.as_ptr().expose_provenance() as u64;
    attributes.batch.count = count;
    attributes.batch.map_fd = descriptor(data);
    command(bpf_cmd::BPF_MAP_UPDATE_BATCH, attributes).expect("can be written");
}

/// Deletes all elements of a hash table or a trie.
fn empty(data: &MapData) {
    let mut key = vec![0_u8; data.info().expect("is told").key_size() as usize];
    let place = key.as_mut_ptr().expose_provenance() as u64;
    let (mut first, mut delete) = (no_attributes(), no_attributes());
    first.__bindgen_anon_2.map_fd = descriptor(data);
    first.__bindgen_anon_2.__bindgen_anon_1.next_key = place;
    delete.__bindgen_anon_2.map_fd = descriptor(data);
    delete.__bindgen_anon_2.key = place;
    loop {
        match command(bpf_cmd::BPF_MAP_GET_NEXT_KEY, first) {
            Ok(()) => command(bpf_cmd::BPF_MAP_DELETE_ELEM, delete).expect("can be removed"),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => panic!("{error}"),
        }
    }
}

fn read_up(map: Map) {
    let mut ring = RingBuf::try_from(map).expect("is a ring buffer");
    while ring.next().is_some() {}
}

fn descriptor(data: &MapData) -> u32 {
    data.fd().as_fd().as_raw_fd().cast_unsigned()
}

fn no_attributes() -> bpf_attr {
    // SAFETY: numbers, all of which may be zero.
    unsafe { mem::zeroed() }
}

/// A command about a map, whose attributes name memory that is as long as the command expects.
fn command(command: bpf_cmd, attributes: bpf_attr) -> io::Result<()> {
    // SAFETY: attributes of this command, of which the size is told.
    let result = unsafe {
        libc::syscall(libc::SYS_bpf, command as libc::c_int, &raw const attributes, size_of_val(&attributes))
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
