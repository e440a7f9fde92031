//! Loaded programs, used by one test after the other.
//!
//! To follow a program costs the verifier half a second, and an emulated processor many; the tests of one size
//! of maps can do with one program, if it finds its maps as a new one does.

use std::ops::Deref;
use std::sync::{Mutex, PoisonError};

use aya::Ebpf;
use aya::maps::lpm_trie::LpmTrie;
use aya::maps::{HashMap, Map, MapData, RingBuf};
use lb_common::admission::{AllowKey, Occupancy, Source};
use lb_common::counters::PathCounters;
use lb_common::index::Bucket;
use lb_common::local::LocalSocket;
use lb_common::ring::Ring;
use lb_common::server::Cursor;
use lb_common::setup::Setup;
use lb_common::slot::{Details, Slot};
use lb_common::syn::Syn;
use lb_common::trace::{Record, Tracing};
use xlb::dataplane::maps::{Maps, NAMES};
use xlb::dataplane::object::{self, Sizes, XLB};
use xlb::dataplane::table::{PerCpuTable, Raw, Table, Value};
use zerocopy::FromZeros;

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
            clear(name, loaded.map(name));
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
        let info = map_data(self.ebpf.map(name).expect("is in the object")).info().expect("is told");
        let data = MapData::from_id(info.id()).expect("can be opened again");
        Map::from_map_data(data).expect("is of a known kind")
    }
}

fn idle(entry: Entry, sizes: Sizes) -> Option<Loaded> {
    let mut idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner);
    let place = idle.iter().position(|loaded| loaded.entry == entry && loaded.sizes == sizes)?;
    Some(idle.swap_remove(place))
}

fn map_data(map: &Map) -> &MapData {
    match map {
        Map::Array(data)
        | Map::PerCpuArray(data)
        | Map::LpmTrie(data)
        | Map::LruHashMap(data)
        | Map::RingBuf(data) => data,
        _ => panic!("a map of another kind"),
    }
}

/// Makes a map as it was when it was new. A map that is not known here is a mistake.
fn clear(name: &'static str, map: Map) {
    match name {
        "SETUP" => zero::<Setup>(name, map),
        "RINGS" => zero::<Ring>(name, map),
        "RING_CURSORS" | "SLOT_CURSORS" => zero::<Cursor>(name, map),
        "SLOTS" => zero::<Slot>(name, map),
        "DETAILS" => zero::<Details>(name, map),
        "INDEX" => zero::<Bucket>(name, map),
        "SYNS_SENT" => zero::<Syn>(name, map),
        "OCCUPANCY" => zero::<Occupancy>(name, map),
        "LOCAL_PATHS" => zero::<u64>(name, map),
        "TRACING" => zero::<Tracing>(name, map),
        "PATHS" => zero_of_all_cpus::<PathCounters>(name, map),
        "REASONS" | "ENDINGS_LOST" => zero_of_all_cpus::<u64>(name, map),
        "TRACE_SCRATCH" => zero_of_all_cpus::<Record>(name, map),
        "ALLOW" => empty_trie(map),
        "SOURCES" => empty::<Raw<Source>, u64>(map),
        "LOCAL_SOCKETS" => empty::<u64, Raw<LocalSocket>>(map),
        "EVENTS" | "ENDINGS" | "TRACES" => read_up(map),
        other => panic!("nothing says how to clear {other}"),
    }
}

fn zero<T: Value + FromZeros>(name: &'static str, map: Map) {
    let mut table = Table::<T>::new(name, map).expect("is a table");
    for index in 0..table.len() {
        table.set(index, T::new_zeroed()).expect("can be written");
    }
}

fn zero_of_all_cpus<T: Value>(name: &'static str, map: Map) {
    let entries = map_data(&map).info().expect("is told").max_entries();
    let mut table = PerCpuTable::<T>::new(name, map).expect("is a table");
    for index in 0..entries {
        table.clear(index).expect("can be written");
    }
}

fn empty_trie(map: Map) {
    let mut trie = LpmTrie::<_, Raw<AllowKey>, u8>::try_from(map).expect("is a trie");
    let keys: Vec<_> = trie.keys().collect::<Result<_, _>>().expect("can be read");
    for key in keys {
        trie.remove(&key).expect("can be removed");
    }
}

fn empty<K: aya::Pod, V: aya::Pod>(map: Map) {
    let mut table = HashMap::<_, K, V>::try_from(map).expect("is a hash table");
    let keys: Vec<_> = table.keys().collect::<Result<_, _>>().expect("can be read");
    for key in keys {
        table.remove(&key).expect("can be removed");
    }
}

fn read_up(map: Map) {
    let mut ring = RingBuf::try_from(map).expect("is a ring buffer");
    while ring.next().is_some() {}
}
