//! Which server the next connection goes to.

use lb_common::net::Mac;
use lb_common::reason::Reason;
use lb_common::tcp::{Flags, State};

use crate::connection::{Connection, syn};
use crate::frame::End;
use crate::rig::{CLIENT, Out, Rig, client, server};

/// The clients of a test, each with its own port.
fn clients(host: u8) -> impl Iterator<Item = End> {
    (20_000..).map(move |port| client(host, port))
}

/// The servers that the next `count` connections of a host go to.
fn servers(rig: &Rig, host: u8, count: usize) -> Vec<u16> {
    clients(host).take(count).map(|client| Connection::open(rig, client).server).collect()
}

#[test]
fn equal_weights_take_turns() {
    assert_eq!(servers(&Rig::new(), 1, 9), [0, 1, 2, 0, 1, 2, 0, 1, 2]);
}

#[test]
fn weights_are_spread_evenly() {
    let rig = Rig::with(|wanted| {
        for (server, weight) in wanted.servers.iter_mut().zip([3, 2, 1]) {
            server.weight = weight;
        }
    });
    assert_eq!(servers(&rig, 1, 12), [0, 1, 0, 2, 1, 0, 0, 1, 0, 2, 1, 0]);
}

#[test]
fn a_server_of_weight_zero_gets_nothing() {
    let rig = Rig::with(|wanted| wanted.servers[1].weight = 0);
    assert_eq!(servers(&rig, 1, 4), [0, 2, 0, 2]);
}

#[test]
fn a_server_that_goes_down_gets_no_more_and_keeps_what_it_has() {
    let mut rig = Rig::new();
    let mut kept = Connection::established(&rig, CLIENT);
    assert_eq!(kept.server, 0);
    rig.control.set_up(0, false).expect("can be written");
    let others = servers(&rig, 2, 6);
    assert!(others.iter().all(|server| [1, 2].contains(server)), "{others:?}");
    assert_eq!(others.iter().filter(|server| **server == 1).count(), 3);
    kept.works(&rig);
    assert_eq!(kept.state(&rig), State::Established);

    rig.control.set_up(0, true).expect("can be written");
    assert!(servers(&rig, 3, 3).contains(&0), "back in the ring at once");
}

#[test]
fn without_a_server_new_connections_are_refused_and_old_ones_go_on() {
    let mut rig = Rig::new();
    let mut kept = Connection::established(&rig, CLIENT);
    for server in 0..3 {
        rig.control.set_up(server, false).expect("can be written");
    }
    let syn = syn(client(2, 40_000));
    let refusal = Connection::reset_of(&syn);
    assert_eq!(rig.run(&syn.bytes()), Out::Answered(Reason::NoServer, refusal.bytes()));
    kept.works(&rig);
}

#[test]
fn a_server_whose_next_hop_is_unknown_is_not_chosen() {
    let mut rig = Rig::new();
    let mut kept = Connection::established(&rig, CLIENT);
    rig.control.set_next_hop(kept.server, None).expect("can be written");
    assert!(servers(&rig, 2, 6).iter().all(|server| *server != kept.server));

    let frame = kept.by_client(Flags::ACK);
    assert_eq!(rig.run(&frame.bytes()), Out::Dropped(Reason::NoNextHop));
    rig.control.set_next_hop(kept.server, Some(server(kept.server).mac)).expect("can be written");
    kept.works(&rig);
}

#[test]
fn a_next_hop_that_moves_is_followed_at_once() {
    let mut rig = Rig::new();
    let connection = Connection::established(&rig, CLIENT);
    let mac = Mac([2, 0, 0, 0, 9, 9]);
    rig.control.set_next_hop(connection.server, Some(mac)).expect("can be written");
    let frame = connection.by_client(Flags::ACK);
    let expected = connection.at_server(frame.clone()).with(|frame| frame.eth.destination = mac.0);
    assert_eq!(rig.run(&frame.bytes()), Out::Sent(expected.bytes()));
}
