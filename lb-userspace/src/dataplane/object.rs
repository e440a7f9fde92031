//! Loads the eBPF object.

use std::path::Path;

use aya::programs::Program;
use aya::{Ebpf, EbpfLoader};
use lb_common::index::buckets_for;
use lb_common::nat::NatAddrs;
use lb_common::net::Addr;

use super::Error;
use super::maps::NAMES;

/// The product's eBPF object, as the build made it.
pub static XLB: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/balancer.bpf.o"));

/// What the sizes of the maps follow from. Changing one of these needs a fresh data plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// How many servers there are slots for.
    pub max_servers: u32,
    /// The first NAT port.
    pub nat_first: u16,
    /// How many NAT ports.
    pub nat_ports: u16,
    /// The addresses that they are at.
    pub nat_addrs: NatAddrs,
}

impl Sizes {
    /// A single slot: for an object of which no packet is expected.
    pub const SMALLEST: Self =
        Self { max_servers: 1, nat_first: 1024, nat_ports: 1, nat_addrs: NatAddrs::one(Addr::from_wire(0)) };

    /// Connection slots of each server: one for each port of each NAT address.
    #[must_use]
    pub const fn slots_of_server(self) -> u32 {
        self.nat_addrs.count() * self.nat_ports as u32
    }

    /// Connection slots of all servers.
    #[must_use]
    pub const fn slots(self) -> u32 {
        self.max_servers * self.slots_of_server()
    }

    /// How many elements a map has, if that follows from the sizes.
    pub(super) fn entries(self, map: &str) -> Option<u32> {
        match map {
            "SLOTS" | "DETAILS" => Some(self.slots()),
            "INDEX" => Some(buckets_for(self.slots())),
            _ => None,
        }
    }
}

/// Loads an object's maps, sized as wanted. Its programs are not in the kernel yet.
pub fn load(object: &[u8], sizes: Sizes) -> Result<Ebpf, Error> {
    Ok(loader(sizes).load(object)?)
}

/// Loads an object around the maps that are pinned in a directory, whose definitions have been
/// compared with what it needs.
pub(super) fn load_over(object: &[u8], sizes: Sizes, pins: &Path) -> Result<Ebpf, Error> {
    let mut loader = loader(sizes);
    for name in NAMES {
        loader.map_pin_path(name, pins.join(name));
    }
    Ok(loader.load(object)?)
}

fn loader(sizes: Sizes) -> EbpfLoader<'static> {
    let mut loader = EbpfLoader::new();
    for name in NAMES {
        if let Some(entries) = sizes.entries(name) {
            loader.map_max_entries(name, entries);
        }
    }
    loader
}

/// Loads a program of the object, of XDP or of TC, into the kernel.
pub fn load_program(ebpf: &mut Ebpf, name: &'static str) -> Result<(), Error> {
    match program(ebpf, name)? {
        Program::Xdp(program) => program.load(),
        Program::SchedClassifier(program) => program.load(),
        _ => return Err(Error::Missing(name)),
    }
    .map_err(|source| Error::Program { name, source })
}

/// A program of the object.
pub fn program<'a>(ebpf: &'a mut Ebpf, name: &'static str) -> Result<&'a mut Program, Error> {
    ebpf.program_mut(name).ok_or(Error::Missing(name))
}
