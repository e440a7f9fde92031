//! Several frontends, and clients that are also servers.

use std::net::{Ipv4Addr, SocketAddrV4};

use lb_common::tcp::{Flags, State};

use crate::connection::{CLIENT_ISN, Connection, SYN_ACK, syn_to};
use crate::frame::End;
use crate::rig::{CLIENT, FRONTEND, Rig, frontend, server};

/// The first frontend's port at another address, another port at its address, and its port at a
/// third address.
const FRONTENDS: [SocketAddrV4; 4] = [
    FRONTEND,
    SocketAddrV4::new(Ipv4Addr::new(198, 18, 0, 20), 6443),
    SocketAddrV4::new(Ipv4Addr::new(198, 18, 0, 10), 443),
    SocketAddrV4::new(Ipv4Addr::new(198, 18, 0, 30), 6443),
];

fn rig() -> Rig {
    Rig::with(|wanted| wanted.frontends = FRONTENDS.map(frontend).to_vec())
}

fn establish(rig: &Rig, client: End, frontend: SocketAddrV4) -> Connection {
    let mut connection = Connection::open_with(rig, client, &syn_to(frontend, client, CLIENT_ISN));
    connection.server_sends(rig, SYN_ACK, b"");
    connection.client_sends(rig, Flags::ACK, b"");
    assert_eq!(connection.state(rig), State::Established);
    connection
}

#[test]
fn one_client_port_has_a_connection_to_each_frontend() {
    let rig = rig();
    let mut connections = FRONTENDS.map(|frontend| establish(&rig, CLIENT, frontend));
    assert_eq!(rig.slots_of(CLIENT.socket).len(), FRONTENDS.len());
    // Each answer comes from the frontend that was asked; `works` compares every byte.
    for connection in &mut connections {
        connection.works(&rig);
    }
    // Each has its own turn in its own ring.
    assert_eq!(connections.map(|connection| connection.server), [0; 4]);
}

#[test]
fn the_end_of_one_leaves_the_others() {
    let rig = rig();
    let [mut first, mut second, ..] = FRONTENDS.map(|frontend| establish(&rig, CLIENT, frontend));
    first.client_sends(&rig, Flags::RST, b"");
    second.works(&rig);
    assert_eq!((first.state(&rig), second.state(&rig)), (State::Closed, State::Established));
}

#[test]
fn traffic_counts_for_its_own_frontend() {
    let rig = rig();
    establish(&rig, CLIENT, FRONTENDS[1]).works(&rig);
    for number in [0, 2, 3] {
        assert_eq!(rig.path(number, 0).packets, [0, 0], "frontend {number}");
    }
    assert_eq!(rig.path(1, 0).packets, [3, 2]);
}

#[test]
fn a_server_may_be_a_client() {
    // The port of its own service is as good as any other.
    for port in [40_000, 6443] {
        let rig = rig();
        let end = server(0);
        let client = End { socket: SocketAddrV4::new(*end.socket.ip(), port), ..end };
        for frontend in [FRONTENDS[0], FRONTENDS[1]] {
            let mut connection = establish(&rig, client, frontend);
            assert_eq!(connection.server, 0);
            connection.works(&rig);
        }
    }
}
