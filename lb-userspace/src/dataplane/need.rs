//! How much memory the maps of a data plane take, before there is one.

use aya::maps::MapType;

use super::Error;
use super::maps::NAMES;
use super::object::Sizes;
use super::status;

/// What the kernel keeps beside each element of a hash map, its key included, in bytes.
const BESIDE: u64 = 72;

/// The kinds of maps that are no plain arrays.
const RING_BUFFER: u32 = MapType::RingBuf as u32;
const FOR_EACH_CPU: u32 = MapType::PerCpuArray as u32;
const LRU: u32 = MapType::LruHash as u32;
const PREFIXES: u32 = MapType::LpmTrie as u32;

/// What a machine is like, as far as sizes follow from it.
#[derive(Clone, Copy, Debug)]
pub struct Machine {
    /// How many CPUs there can be.
    pub cpus: u64,
    /// Bytes in a page of memory.
    pub page: u64,
}

/// How many bytes the maps of an object take, with these sizes. The kernel's own bookkeeping, some percent of small
/// maps, is left out.
pub fn memory(object: &[u8], sizes: Sizes, machine: Machine) -> Result<u64, Error> {
    let object = aya_obj::Object::parse(object).map_err(aya::EbpfError::ParseError)?;
    let mut sum = status::BYTES;
    for name in NAMES {
        let map = object.maps.get(*name).ok_or(Error::Missing(name))?;
        let entries = u64::from(sizes.entries(name).unwrap_or(map.max_entries()));
        let value = u64::from(map.value_size()).next_multiple_of(8);
        sum += match map.map_type() {
            RING_BUFFER => entries.next_multiple_of(machine.page) + 3 * machine.page,
            FOR_EACH_CPU => entries * value * machine.cpus,
            LRU => entries * (value + BESIDE),
            // Filled only as far as it is used.
            PREFIXES => 0,
            _ => entries * value,
        };
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use lb_common::nat::NatAddrs;
    use lb_common::net::Addr;

    use super::super::object::XLB;
    use super::*;

    const MACHINE: Machine = Machine { cpus: 2, page: 4096 };

    #[test]
    fn the_defaults_take_what_the_architecture_says() {
        let one = NatAddrs::one(Addr::from_wire(0));
        let sizes = |max_servers| Sizes { max_servers, nat_first: 10_240, nat_ports: 22_528, nat_addrs: one };
        let needed = memory(XLB, sizes(16), MACHINE).expect("the object is whole");
        // 49.5 MiB by its table.
        assert!((49 << 20..50 << 20).contains(&needed), "{needed}");
        let more = memory(XLB, sizes(17), MACHINE).expect("the object is whole") - needed;
        assert_eq!(more, 22_528 * 128, "a slot takes 128 bytes");
    }
}
