//! Loaded programs, used by one test after the other.
//!
//! To follow a program costs the verifier half a second, and an emulated processor many; the tests of one size
//! of maps can do with one program, if it finds its maps as a new one does.

use std::ops::Deref;
use std::sync::{Mutex, PoisonError};

use aya::Ebpf;
use aya::maps::{Map, MapData};
use xlb::dataplane::maps::{Maps, NAMES};
use xlb::dataplane::object::{self, Sizes, XLB};

use crate::entry::Entry;
use crate::raw;

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
        let loaded = idle(entry, sizes).inspect(Loaded::clear);
        Self(Some(loaded.unwrap_or_else(|| Loaded::new(entry, sizes))))
    }

    /// Its maps.
    pub fn maps(&self) -> Maps {
        Maps::gather(|name| Ok(self.loaded().map(name))).expect("has all maps")
    }

    /// One of them, untyped.
    pub fn data(&self, name: &str) -> MapData {
        self.loaded().data(name)
    }

    fn loaded(&self) -> &Loaded {
        self.0.as_ref().expect("is there until it is dropped")
    }
}

impl Deref for Lease {
    type Target = Ebpf;

    fn deref(&self) -> &Ebpf {
        &self.loaded().ebpf
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

    /// Makes its maps as they were when they were new.
    fn clear(&self) {
        for name in NAMES {
            raw::clear(self.map(name));
        }
    }

    /// A map, by a descriptor of its own: nobody can take it out of the object, which another needs next.
    fn map(&self, name: &str) -> Map {
        Map::from_map_data(self.data(name)).expect("is of a known kind")
    }

    fn data(&self, name: &str) -> MapData {
        let (Map::Array(data)
        | Map::PerCpuArray(data)
        | Map::LruHashMap(data)
        | Map::LpmTrie(data)
        | Map::RingBuf(data)) = self.ebpf.map(name).expect("is in the object")
        else {
            panic!("{name} is a map of a kind that is not known here");
        };
        MapData::from_id(data.info().expect("is told").id()).expect("can be opened again")
    }
}

fn idle(entry: Entry, sizes: Sizes) -> Option<Loaded> {
    let mut idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner);
    let place = idle.iter().position(|loaded| loaded.entry == entry && loaded.sizes == sizes)?;
    Some(idle.swap_remove(place))
}
