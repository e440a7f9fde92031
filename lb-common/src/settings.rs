//! What the whole data plane knows of its host.

use core::mem::offset_of;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::index::HashKey;
use crate::nat::NatAddrs;
use crate::net::{Addr, Mac, Port};
use crate::slot::Ends;
use crate::time::{Tick, Ticks};

/// What the packet path has to know of the host.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Settings {
    /// The MAC address of the interface; frames to others are not ours.
    pub mac: Mac,
    /// The largest MSS that fits the interface's MTU.
    pub mss: u16,
    /// The first port of the NAT range.
    pub nat_first: u16,
    /// How many ports the NAT range has: so many slots a server has for each NAT address.
    pub nat_ports: u16,
    /// How many buckets the connection index has.
    pub buckets: u32,
    /// The key of the connection index, random for each data plane.
    pub hash_key: HashKey,
    /// [`crate::LAYOUT_VERSION`] of the agent that made the maps.
    pub layout_version: u32,
    /// How many servers there are slots for.
    pub max_servers: u32,
    /// Until when packets are traced; zero while nobody wants that. The tracer moves it ahead for as long as
    /// it lives.
    pub trace_until: Tick,
    /// The addresses that the ports of the NAT range are at.
    pub nat_addrs: NatAddrs,
    /// Not zero: the agent wants to hear of connections that end.
    pub tells_ends: u32,
    /// A SYN that comes again after so long, and was not answered, goes to another server.
    pub redispatch_after: Ticks,
}

const _: () = assert!(size_of::<Settings>() == 128);
// What nearly every packet needs is in the first of the two cache lines.
const _: () = assert!(offset_of!(Settings, nat_addrs) + NatAddrs::FIRST + size_of::<Addr>() <= 64);

impl Settings {
    /// Whether packets are to be traced, as far as one word tells.
    #[inline(always)]
    #[must_use]
    pub const fn is_traced(&self) -> bool {
        self.trace_until.0 != 0
    }

    /// How many connection slots there are.
    #[inline(always)]
    #[must_use]
    pub const fn slots(&self) -> u32 {
        self.max_servers.wrapping_mul(self.slots_of_server())
    }

    /// How many of them each server has: one for each port of each NAT address.
    #[inline(always)]
    #[must_use]
    pub const fn slots_of_server(&self) -> u32 {
        self.slot_of(self.nat_addrs.count() as u16, 0)
    }

    /// The place among a server's slots of a port of a NAT address, by the address's number and the
    /// port's place in the NAT range.
    #[inline(always)]
    #[must_use]
    pub const fn slot_of(&self, nat: u16, port: u16) -> u32 {
        (nat as u32).wrapping_mul(self.nat_ports as u32).wrapping_add(port as u32)
    }

    /// The number of the NAT address of a slot, by its place among its server's.
    #[inline(always)]
    #[must_use]
    pub const fn nat_of(&self, place: u32) -> u16 {
        match place.checked_div(self.nat_ports as u32) {
            Some(number) => number as u16,
            None => 0,
        }
    }

    /// The address and port of ours that a server sees the connection in one of its slots come from,
    /// by the slot's place among the server's and its [`Ends`].
    #[inline(always)]
    #[must_use]
    pub const fn nat_endpoint(&self, place: u32, ends: Ends) -> (Addr, Port) {
        let port = place.wrapping_sub(self.slot_of(ends.nat(), 0)) as u16;
        (self.nat_addrs.get(ends.nat()), Port::new(self.nat_first.wrapping_add(port)))
    }
}

/// The range of NAT ports.
///
/// It stays below the default `ip_local_port_range` (32768–60999), so that the host's own outbound
/// connections never meet it.
pub const DEFAULT_NAT_PORTS: (u16, u16) = (10_240, 32_767);

#[cfg(test)]
mod tests {
    use core::net::Ipv4Addr;

    use proptest::prelude::*;
    use zerocopy::FromZeros;

    use super::*;
    use crate::net::MacWord;

    proptest! {
        /// Each port of each NAT address has a slot of its own, and a slot tells both.
        #[test]
        fn a_slot_is_a_port_of_an_address(ports in 1u16..=64_512, addresses in 1u16..=16, nat: u16, port: u16) {
            let (nat, port) = (nat % addresses, port % ports);
            let mut settings = Settings::new_zeroed();
            (settings.nat_first, settings.nat_ports) = (1024, ports);
            settings.nat_addrs =
                NatAddrs::new((0..addresses).map(|host| Ipv4Addr::new(198, 18, 0, host as u8).into()));
            let place = settings.slot_of(nat, port);
            prop_assert!(place < settings.slots_of_server());
            prop_assert_eq!(settings.nat_of(place), nat);
            let ends = Ends::new(MacWord::default(), 7).with_nat(nat);
            prop_assert_eq!(
                settings.nat_endpoint(place, ends),
                (Ipv4Addr::new(198, 18, 0, nat as u8).into(), Port::new(1024 + port))
            );
        }
    }
}
