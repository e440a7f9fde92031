//! The addresses of ours that connections to servers come from.
//!
//! Each has a number, its place in the list. A connection's slot knows it, so that the packets of its
//! client need no search, and those of its server tell it by where they go.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::net::Addr;

/// How many NAT addresses a data plane can have.
pub const MAX_NAT_ADDRS: u32 = 16;

/// A list of at most [`MAX_NAT_ADDRS`] addresses.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct NatAddrs {
    count: u32,
    /// Zero beyond the count.
    addrs: [Addr; MAX_NAT_ADDRS as usize],
}

impl NatAddrs {
    /// Where the first address is: the packet path looks at it alone before it searches the others.
    pub const FIRST: usize = core::mem::offset_of!(Self, addrs);

    /// A list of these, in this order; of more than [`MAX_NAT_ADDRS`] only the first.
    pub fn new(addrs: impl IntoIterator<Item = Addr>) -> Self {
        let mut list = Self::default();
        for (place, addr) in list.addrs.iter_mut().zip(addrs) {
            *place = addr;
            list.count += 1;
        }
        list
    }

    /// A list of one.
    #[must_use]
    pub const fn one(addr: Addr) -> Self {
        let mut addrs = [Addr::from_wire(0); MAX_NAT_ADDRS as usize];
        addrs[0] = addr;
        Self { count: 1, addrs }
    }

    /// How many there are.
    #[inline(always)]
    #[must_use]
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// An address by number; numbers that cannot be are taken modulo [`MAX_NAT_ADDRS`].
    #[inline(always)]
    #[must_use]
    pub const fn get(&self, number: u16) -> Addr {
        self.addrs[(number as u32 % MAX_NAT_ADDRS) as usize]
    }

    /// The number of an address, searched from the number `first` on.
    #[inline(always)]
    #[must_use]
    pub fn find(&self, addr: Addr, first: u16) -> Option<u16> {
        (first..MAX_NAT_ADDRS as u16)
            .find(|number| u32::from(*number) < self.count && self.get(*number) == addr)
    }

    /// All of them, in the order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = Addr> + '_ {
        self.addrs.iter().copied().take(self.count as usize)
    }
}

#[cfg(test)]
mod tests {
    use core::net::Ipv4Addr;

    use super::*;

    fn addr(host: u8) -> Addr {
        Ipv4Addr::new(198, 18, 0, host).into()
    }

    #[test]
    fn an_address_is_found_by_its_number_and_back() {
        for count in 1..=MAX_NAT_ADDRS as u8 {
            let list = NatAddrs::new((0..count).map(addr));
            assert_eq!(list.count(), u32::from(count));
            assert!(list.iter().eq((0..count).map(addr)));
            for number in 0..count {
                assert_eq!(list.get(number.into()), addr(number));
                assert_eq!(list.find(addr(number), 0), Some(number.into()));
                assert_eq!(list.find(addr(number), u16::from(number) + 1), None);
            }
            assert_eq!(list.find(addr(count), 0), None);
        }
    }

    #[test]
    fn an_unused_place_is_no_address() {
        let list = NatAddrs::new([addr(1)]);
        assert_eq!(list.find(Addr::default(), 0), None);
    }

    #[test]
    fn there_is_room_for_so_many() {
        let list = NatAddrs::new((0..=MAX_NAT_ADDRS as u8).map(addr));
        assert_eq!(list.count(), MAX_NAT_ADDRS);
    }
}
