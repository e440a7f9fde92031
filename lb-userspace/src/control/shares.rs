//! Which servers of a frontend get new connections, and what share of them.

use super::{Wanted, WantedServer};

/// The weight of each server of a frontend, by place and in sixteenths: zero for one that gets
/// nothing.
///
/// Servers that are up and ready come first, then the first backup server that is, as in HAProxy, and
/// where the frontend is told to panic, all that can be reached, whatever their checks say.
pub(super) fn of(wanted: &Wanted, frontend: usize) -> Vec<(u16, u32)> {
    let frontend = &wanted.frontends[frontend];
    let server = |place: u16| &wanted.servers[usize::from(place)];
    let reachable = |place: &u16| can_be_reached(server(*place));
    let usable: Vec<u16> =
        frontend.servers.iter().copied().filter(|place| reachable(place) && server(*place).up).collect();
    let (backups, active): (Vec<u16>, Vec<u16>) = usable.into_iter().partition(|place| server(*place).backup);
    let used = match (&active[..], &backups[..]) {
        ([], [first, ..]) => vec![*first],
        ([], []) if frontend.panic => frontend.servers.iter().copied().filter(reachable).collect(),
        _ => active,
    };
    let weight = |place: u16| if used.contains(&place) { server(place).share() } else { 0 };
    frontend.servers.iter().map(|place| (*place, weight(*place))).collect()
}

/// Whether new connections could go to a server if its health allowed them.
const fn can_be_reached(server: &WantedServer) -> bool {
    server.ready && server.weight > 0 && server.next_hop.is_some()
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddrV4};

    use lb_common::admission::Limits;
    use lb_common::frontend::Timeouts;
    use lb_common::nat::NatAddrs;
    use lb_common::net::Mac;

    use super::*;
    use crate::control::{Portion, WantedFrontend};
    use crate::dataplane::object::Sizes;

    /// Two servers of weights 1 and 2, and a backup of weight 3.
    fn wanted() -> Wanted {
        let server = |last, weight, backup| WantedServer {
            address: SocketAddrV4::new(Ipv4Addr::new(198, 18, 0, last), 6443),
            weight,
            portion: Portion::WHOLE,
            backup,
            up: true,
            ready: true,
            next_hop: Some(Mac([2, 0, 0, 0, 0, last])),
        };
        let frontend = WantedFrontend {
            bind: SocketAddrV4::new(Ipv4Addr::new(198, 18, 0, 10), 6443),
            timeouts: Timeouts::default(),
            limits: Limits::default(),
            allow: Vec::new(),
            servers: vec![0, 1, 2],
            panic: false,
        };
        Wanted {
            sizes: Sizes { max_servers: 3, nat_first: 10_240, nat_ports: 4, nat_addrs: NatAddrs::default() },
            mac: Mac([2, 0, 0, 0, 0, 10]),
            mtu: 1500,
            frontends: vec![frontend],
            servers: vec![server(11, 1, false), server(15, 2, false), server(16, 3, true)],
        }
    }

    fn weights(wanted: &Wanted) -> Vec<u32> {
        let weights = sixteenths(wanted);
        assert!(weights.iter().all(|weight| weight % 16 == 0), "{weights:?}");
        weights.into_iter().map(|weight| weight / 16).collect()
    }

    fn sixteenths(wanted: &Wanted) -> Vec<u32> {
        of(wanted, 0).into_iter().map(|(_, weight)| weight).collect()
    }

    #[test]
    fn who_starts_slowly_gets_a_portion() {
        let mut wanted = wanted();
        wanted.servers[1].portion = Portion::of(0.25);
        assert_eq!(sixteenths(&wanted), [16, 8, 0]);
        wanted.servers[1].portion = Portion::of(0.0);
        assert_eq!(sixteenths(&wanted), [16, 2, 0], "it is among the others from the beginning");
    }

    #[test]
    fn only_usable_servers_have_a_share() {
        let mut wanted = wanted();
        assert_eq!(weights(&wanted), [1, 2, 0]);
        wanted.servers[0].up = false;
        assert_eq!(weights(&wanted), [0, 2, 0]);
        wanted.servers[0].up = true;
        wanted.servers[1].next_hop = None;
        assert_eq!(weights(&wanted), [1, 0, 0]);
    }

    #[test]
    fn backups_come_when_nobody_else_can() {
        let mut wanted = wanted();
        wanted.servers[0].ready = false;
        assert_eq!(weights(&wanted), [0, 2, 0]);
        wanted.servers[1].weight = 0;
        assert_eq!(weights(&wanted), [0, 0, 3]);
        wanted.servers[2].up = false;
        assert_eq!(weights(&wanted), [0, 0, 0]);
    }

    #[test]
    fn of_several_backups_the_first_that_can_be_used_is() {
        let mut wanted = wanted();
        wanted.servers[0].up = false;
        wanted.servers[1].backup = true;
        assert_eq!(weights(&wanted), [0, 2, 0]);
        wanted.servers[1].up = false;
        assert_eq!(weights(&wanted), [0, 0, 3]);
    }

    #[test]
    fn in_panic_all_that_can_be_reached_are_used() {
        let mut wanted = wanted();
        wanted.frontends[0].panic = true;
        wanted.servers.iter_mut().for_each(|server| server.up = false);
        assert_eq!(weights(&wanted), [1, 2, 3]);
        wanted.servers[0].ready = false;
        wanted.servers[1].next_hop = None;
        assert_eq!(weights(&wanted), [0, 0, 3]);
        wanted.servers[1].up = true;
        assert_eq!(weights(&wanted), [0, 0, 3], "what cannot be reached is up for nobody");
        wanted.servers[2].up = true;
        assert_eq!(weights(&wanted), [0, 0, 3]);
    }
}
