//! What is wanted, in the words of the maps: values that are written, and values that are read.

use std::collections::BTreeMap;
use std::time::Duration;

use lb_common::LAYOUT_VERSION;
use lb_common::frontend::{Frontend, Link, MAX_FRONTENDS, PortEntry, RingRef};
use lb_common::index::{HashKey, buckets_for};
use lb_common::net::{Port, socket_addr};
use lb_common::server::{MAX_SERVERS, Server, Servers};
use lb_common::settings::Settings;
use lb_common::setup::Setup;
use lb_common::time::Tick;
use zerocopy::FromZeros;

use super::{Wanted, WantedFrontend, WantedServer};
use crate::clock;
use crate::dataplane::Error;
use crate::dataplane::object::Sizes;
use crate::dataplane::setup::SetupMemory;
use crate::numbering::Numbers;

/// After so long without an answer, a SYN that comes again goes to another server: half of the time
/// after which a client sends it again at the earliest (RFC 6298 §2).
const REDISPATCH_AFTER: Duration = Duration::from_millis(500);

/// A setup that knows its host, but no frontend and no server.
pub(super) fn empty(wanted: &Wanted, hash_key: HashKey) -> Result<Box<Setup>, Error> {
    let mut setup: Box<Setup> = Setup::new_box_zeroed().map_err(|_| Error::OutOfMemory)?;
    setup.settings = settings(wanted, hash_key);
    for offset in 0..wanted.sizes.nat_ports {
        *setup.port_mut(Port::new(wanted.sizes.nat_first + offset)) = PortEntry::NAT;
    }
    Ok(setup)
}

fn settings(wanted: &Wanted, hash_key: HashKey) -> Settings {
    Settings {
        mac: wanted.mac,
        mss: mss(wanted.mtu),
        nat_first: wanted.sizes.nat_first,
        nat_ports: wanted.sizes.nat_ports,
        buckets: buckets_for(wanted.sizes.slots()),
        hash_key,
        layout_version: LAYOUT_VERSION,
        max_servers: wanted.sizes.max_servers,
        trace_until: Tick(0),
        redispatch_after: clock::jiffy().ticks(REDISPATCH_AFTER),
        nat_addrs: wanted.sizes.nat_addrs,
        tells_ends: 0,
    }
}

/// The largest MSS for packets of an interface with this MTU.
pub(super) fn mss(mtu: u32) -> u16 {
    /// The least that IPv4 and TCP headers take of a packet.
    const HEADERS: u32 = 40;
    u16::try_from(mtu.saturating_sub(HEADERS)).unwrap_or(u16::MAX)
}

/// A server under a number.
pub(super) fn server(number: u16, server: &WantedServer, sizes: Sizes) -> Server {
    Server {
        addr: (*server.address.ip()).into(),
        port: Port::new(server.address.port()),
        next_hop: server.next_hop.unwrap_or_default().into(),
        first_slot: u32::from(number) * sizes.slots_of_server(),
        padding: [0; 3],
    }
}

/// A frontend under a number, which packets do not find yet.
pub(super) fn frontend(number: u16, frontend: &WantedFrontend) -> Frontend {
    Frontend {
        addr: (*frontend.bind.ip()).into(),
        port: Port::new(frontend.bind.port()),
        number,
        ring: RingRef::default(),
        timeouts: frontend.timeouts,
        next: Link::NONE,
        draining: 0,
        limits: frontend.limits,
        usable: Servers::NONE,
    }
}

/// Lets packets find a frontend that has been written, in one store.
pub(super) fn link(setup: &mut SetupMemory, number: u16) {
    let port = setup.get().frontend(number).port;
    let first = Frontend { next: setup.get().port(port).first(), ..*setup.get().frontend(number) };
    setup.write_frontend(number, &first);
    setup.set_port(port, PortEntry::frontend(Link::to(number)));
}

/// Lets packets find a frontend no more, in one store.
pub(super) fn unlink(setup: &mut SetupMemory, number: u16) {
    let Frontend { port, next, .. } = *setup.get().frontend(number);
    let before =
        on_port(setup.get(), port).find(|before| setup.get().frontend(*before).next == Link::to(number));
    match before {
        Some(before) => {
            let changed = Frontend { next, ..*setup.get().frontend(before) };
            setup.write_frontend(before, &changed);
        }
        None if setup.get().port(port).first() == Link::to(number) => {
            setup.set_port(port, PortEntry::frontend(next));
        }
        None => {}
    }
}

/// The frontends on a port, in the order in which packets look at them.
fn on_port(setup: &Setup, port: Port) -> impl Iterator<Item = u16> + '_ {
    let mut link = setup.port(port).first();
    let next = move || {
        let number = link.number().filter(|number| u32::from(*number) < MAX_FRONTENDS)?;
        link = setup.frontend(number).next;
        Some(number)
    };
    std::iter::from_fn(next).take(MAX_FRONTENDS as usize)
}

/// The servers that packets find, by number.
pub(super) fn servers_of(setup: &Setup) -> Numbers {
    let is_found = |number: &u16| {
        let server = setup.server(*number);
        setup.endpoints.find(server.addr, server.port) == Some(*number)
    };
    let numbers = (0..MAX_SERVERS as u16).filter(is_found);
    let address = |number| socket_addr(setup.server(number).addr, setup.server(number).port);
    Numbers::new(numbers.map(|number| (number, address(number))).collect())
}

/// The frontends that packets find, by number.
pub(super) fn frontends_of(setup: &Setup) -> Numbers {
    let is_found = |number: &u16| on_port(setup, setup.frontend(*number).port).any(|found| found == *number);
    let numbers = (0..MAX_FRONTENDS as u16).filter(is_found);
    let bind = |number| socket_addr(setup.frontend(number).addr, setup.frontend(number).port);
    Numbers::new(numbers.map(|number| (number, bind(number))).collect::<BTreeMap<_, _>>())
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddrV4};

    use lb_common::admission::Limits;
    use lb_common::frontend::Timeouts;
    use lb_common::nat::NatAddrs;
    use lb_common::net::Mac;
    use proptest::prelude::*;

    use super::*;
    use crate::control::Portion;

    fn sizes() -> Sizes {
        let nat_addrs = NatAddrs::new([10, 20].map(|host| (*bind(host, 0).ip()).into()));
        Sizes { max_servers: 2, nat_first: 10_240, nat_ports: 4, nat_addrs }
    }

    fn wanted() -> Wanted {
        Wanted {
            sizes: sizes(),
            mac: Mac([2, 0, 0, 0, 0, 10]),
            mtu: 1500,
            frontends: Vec::new(),
            servers: Vec::new(),
        }
    }

    fn bind(host: u8, port: u16) -> SocketAddrV4 {
        SocketAddrV4::new(Ipv4Addr::new(198, 18, 0, host), port)
    }

    fn memory() -> SetupMemory {
        let mut memory = SetupMemory::anonymous();
        memory.write(&empty(&wanted(), HashKey::default()).unwrap());
        memory
    }

    fn enter(memory: &mut SetupMemory, number: u16, bind: SocketAddrV4) {
        let wanted = WantedFrontend {
            bind,
            timeouts: Timeouts::default(),
            limits: Limits::default(),
            allow: Vec::new(),
            servers: Vec::new(),
            panic: false,
        };
        memory.write_frontend(number, &frontend(number, &wanted));
        link(memory, number);
    }

    #[test]
    fn the_nat_range_is_marked() {
        let setup = empty(&wanted(), HashKey::default()).unwrap();
        let nat: Vec<u16> =
            (0..=u16::MAX).filter(|port| setup.port(Port::new(*port)) == PortEntry::NAT).collect();
        assert_eq!(nat, [10_240, 10_241, 10_242, 10_243]);
    }

    #[test]
    fn the_mss_fits_the_mtu() {
        assert_eq!((mss(1500), mss(40), mss(100_000)), (1460, 0, u16::MAX));
    }

    #[test]
    fn frontends_of_one_port_are_linked() {
        let mut memory = memory();
        let binds = [bind(10, 6443), bind(20, 6443), bind(10, 443)];
        for (number, bind) in (0..).zip(binds) {
            enter(&mut memory, number, bind);
        }
        let on = |port| on_port(memory.get(), Port::new(port)).collect::<Vec<_>>();
        assert_eq!((on(6443), on(443), on(80)), (vec![1, 0], vec![2], vec![]));
    }

    #[test]
    fn the_slots_of_servers_do_not_overlap() {
        let wanted = WantedServer {
            address: bind(11, 6443),
            weight: 1,
            portion: Portion::WHOLE,
            backup: false,
            up: true,
            ready: true,
            next_hop: None,
        };
        assert_eq!([0, 1].map(|number| server(number, &wanted, sizes()).first_slot), [0, 8]);
    }

    proptest! {
        /// Whatever was entered and taken away, packets find exactly the frontends that are there.
        #[test]
        fn frontends_come_and_go(changes in prop::collection::vec((0u16..6, 0u8..3, 0u16..2), 0..40)) {
            let mut memory = memory();
            let mut model = BTreeMap::new();
            for (number, host, port) in changes {
                if model.remove(&number).is_some() {
                    unlink(&mut memory, number);
                } else {
                    // Two frontends with one address do not occur.
                    let bind = bind(host, 6443 + port);
                    if model.values().any(|other| *other == bind) {
                        continue;
                    }
                    enter(&mut memory, number, bind);
                    model.insert(number, bind);
                }
                prop_assert_eq!(frontends_of(memory.get()), Numbers::new(model.clone()));
            }
        }
    }
}
