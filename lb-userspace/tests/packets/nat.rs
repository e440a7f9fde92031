//! Several NAT addresses: each of their ports is a slot of each server.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddrV4};

use etherparse::{IpFragOffset, Ipv4Options};
use lb_common::nat::{MAX_NAT_ADDRS, NatAddrs};
use lb_common::net::Mac;
use lb_common::reason::Reason;
use lb_common::server::Cursor;
use lb_common::tcp::Flags;
use xlb::dataplane::object::Sizes;

use crate::connection::{Connection, SYN_ACK, syn};
use crate::frame::{End, Frame};
use crate::icmp::{BOTH, about_client_packet, arrives};
use crate::rig::{CLIENT, FRONTEND, NAT_FIRST, Out, Rig, at_our_mac, client, one_address, server};

/// Ports of each address.
const PORTS: u16 = 3;

/// NAT addresses, none of which is the frontend's.
fn addresses(count: u8) -> impl Iterator<Item = Ipv4Addr> {
    (0..count).map(|number| Ipv4Addr::new(198, 18, 0, 20 + number))
}

/// So many servers, with so many NAT addresses.
fn rig(servers: u16, count: u8) -> Rig {
    Rig::with(|wanted| {
        let nat_addrs = NatAddrs::new(addresses(count).map(Into::into));
        wanted.sizes = Sizes { max_servers: servers.into(), nat_addrs, ..one_address(PORTS) };
        wanted.servers.truncate(servers.into());
        wanted.frontends[0].servers.truncate(servers.into());
    })
}

/// As many established connections as there are slots.
fn fill(rig: &Rig) -> Vec<Connection> {
    let slots = rig.control.wanted().sizes.slots() as u16;
    (0..slots).map(|n| Connection::established(rig, client(1, 40_000 + n))).collect()
}

#[test]
fn every_port_of_every_address_carries_a_connection() {
    for (servers, count) in [(1, 1), (1, 2), (3, 2), (3, MAX_NAT_ADDRS as u8)] {
        let rig = rig(servers, count);
        let mut connections = fill(&rig);
        let used: BTreeSet<_> = connections.iter().map(|c| (c.server, c.nat)).collect();
        let ports = || NAT_FIRST..NAT_FIRST + PORTS;
        let at = |address| ports().map(move |port| SocketAddrV4::new(address, port));
        let all: BTreeSet<_> = (0..servers)
            .flat_map(|server| addresses(count).flat_map(at).map(move |nat| (server, nat)))
            .collect();
        assert_eq!(used, all);
        for connection in &mut connections {
            connection.works(&rig);
        }
        let out = Connection::try_open(&rig, client(9, 50_000)).expect_err("there is no slot left");
        assert_eq!(out, Out::Dropped(Reason::NoSlot));
    }
}

#[test]
fn errors_reach_connections_at_every_address() {
    let rig = rig(1, 2);
    for connection in fill(&rig) {
        for about in BOTH {
            let packet = about.packet(&connection, Flags::ACK);
            let complaint = about.complaint(&connection, (3, 4), &packet, 40);
            arrives(&rig, about, &complaint, &about.translated(&connection, (3, 4), &packet, 40));
        }
    }
}

#[test]
fn the_same_port_of_another_address_is_another_connections() {
    let rig = rig(1, 2);
    let connection = Connection::established(&rig, CLIENT);
    let [other] = addresses(2).filter(|address| address != connection.nat.ip()).collect::<Vec<_>>()[..]
    else {
        panic!("{} is one of two", connection.nat);
    };
    let elsewhere = Connection { nat: SocketAddrV4::new(other, connection.nat.port()), ..connection };
    assert_eq!(rig.run(&elsewhere.by_server(Flags::ACK).bytes()), Out::Passed(Reason::NoConnection));
}

/// A server's packet to the NAT range at some address.
fn to(address: Ipv4Addr) -> Frame {
    Frame::new(server(0), at_our_mac(SocketAddrV4::new(address, NAT_FIRST)), SYN_ACK, 1, 1)
}

fn first_fragment(frame: Frame) -> Frame {
    frame.with(|frame| {
        frame.ip.dont_fragment = false;
        frame.ip.more_fragments = true;
        frame.ip.fragment_offset = IpFragOffset::ZERO;
    })
}

fn with_options(frame: Frame) -> Frame {
    frame.with(|frame| frame.ip.options = Ipv4Options::from([0x94, 4, 0, 0]))
}

#[test]
fn only_nat_addresses_are_ours() {
    let rig = rig(1, 2);
    // The frontend's, the next one after them, and what stands in the list where none is.
    for address in [*FRONTEND.ip(), Ipv4Addr::new(198, 18, 0, 22), Ipv4Addr::UNSPECIFIED] {
        for frame in [to(address), first_fragment(to(address)), with_options(to(address))] {
            assert_eq!(rig.run(&frame.bytes()), Out::Passed(Reason::OtherAddress), "{address}");
        }
    }
    for address in addresses(2) {
        assert_eq!(rig.run(&to(address).bytes()), Out::Passed(Reason::NoConnection), "{address}");
        let fragment = first_fragment(to(address)).bytes();
        assert_eq!(rig.run(&fragment), Out::Dropped(Reason::FirstFragment), "{address}");
        let options = with_options(to(address)).bytes();
        assert_eq!(rig.run(&options), Out::Dropped(Reason::IpOptions), "{address}");
    }
}

#[test]
fn an_error_about_another_address_of_ours_is_the_hosts() {
    let rig = rig(1, 2);
    for connection in fill(&rig) {
        let elsewhere =
            Connection { nat: SocketAddrV4::new(*FRONTEND.ip(), connection.nat.port()), ..connection };
        let complaint = about_client_packet(&elsewhere, &elsewhere.by_client(Flags::ACK));
        assert_eq!(rig.run(&complaint.bytes()), Out::Passed(Reason::OtherIcmp));
    }
}

#[test]
fn a_router_that_takes_over_does_not_move_a_connection_to_another_address() {
    let rig = rig(1, 2);
    for (number, mut connection) in (1..).zip(fill(&rig)) {
        connection.client = End { mac: Mac([2, 0, 0, 0, 2, number]), ..connection.client };
        connection.works(&rig);
    }
}

#[test]
fn a_syn_that_goes_on_goes_by_the_address_of_its_new_slot() {
    for position in 0..2 * PORTS {
        let mut rig = rig(2, 2);
        // From one address to the other.
        for (server, position) in [(0, position), (1, position + PORTS)] {
            let cursor = Cursor { position: position.into(), ..Cursor::default() };
            rig.control.maps_mut().slot_cursors.set(server, cursor).expect("can be written");
        }
        let first = Connection::open(&rig, CLIENT);
        let mut second = first.moved(&rig, &syn(CLIENT), rig.run(&first.refusal().bytes()), Reason::Refused);
        assert_ne!(first.nat.ip(), second.nat.ip());
        second.server_sends(&rig, SYN_ACK, b"");
        second.client_sends(&rig, Flags::ACK, b"");
        second.works(&rig);
    }
}
