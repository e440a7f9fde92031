//! Every kind of client at once: on the balancer's host, on the servers, on the LAN, and behind a
//! router.

use std::thread;

use lb_lab::curl::{self, Answer};
use lb_lab::{Host, Lab, Result, Topology, size};

use crate::local_clients::{Theatre, assert_peers, mapped, servers};
use crate::stage::{EQUAL, assert_shares};

const TOPOLOGY: Topology = Topology { lan_clients: 1, routed_clients: 1, ..Topology::DEFAULT };

/// Connections of each client. One size for CI and in full: even these take seconds.
fn connections() -> usize {
    size::or_less(500)
}

#[test]
fn every_kind_of_client_is_balanced_at_once_in_native_mode() -> Result<()> {
    every_kind_of_client_is_balanced_at_once("native")
}

#[test]
fn every_kind_of_client_is_balanced_at_once_in_generic_mode() -> Result<()> {
    every_kind_of_client_is_balanced_at_once("generic")
}

#[test]
fn every_kind_of_client_is_balanced_at_once_in_tc() -> Result<()> {
    every_kind_of_client_is_balanced_at_once("tc")
}

fn every_kind_of_client_is_balanced_at_once(mode: &str) -> Result<()> {
    let theatre = Theatre::open(TOPOLOGY, mode)?;
    let web = theatre.stage.web();
    let (own, others) = thread::scope(|scope| {
        let own = [web, mapped(web)].map(|address| {
            let theatre = &theatre;
            scope.spawn(move || theatre.fetch(address, connections()))
        });
        let others =
            others(theatre.lab()).map(|host| scope.spawn(move || curl::fetch(host, web, connections())));
        let others: Vec<_> = others.collect();
        let own = own.map(|client| client.join().expect("curl's caller does not panic"));
        let others: Result<Vec<_>> =
            others.into_iter().map(|client| client.join().expect("curl's caller does not panic")).collect();
        (own, others)
    });
    let ([plain, mapped_], others) = (own, others?);
    let (plain, mapped_) = (plain?, mapped_?);
    assert_peers(&plain, web);
    assert_peers(&mapped_, mapped(web));

    let own: Vec<Answer> = [plain, mapped_].concat();
    assert_eq!(own.len(), 2 * connections());
    for (host, names) in self::others(theatre.lab()).zip(&others) {
        assert_eq!(names.len(), connections(), "{host}");
    }
    // All take turns with all, so their shares are equal together.
    let names = servers(&own).chain(others.iter().flatten().cloned());
    assert_shares(&curl::tally(names), &EQUAL);
    // A server is balanced to itself like to any other.
    for (host, names) in theatre.lab().servers.iter().zip(&others) {
        let to_itself = names.iter().filter(|name| *name == host.name()).count();
        assert!(to_itself > 0, "{host} was never balanced to itself in {} connections", connections());
    }
    Ok(())
}

/// Clients whose packets cross the balancer's interface; the servers first.
fn others(lab: &Lab) -> impl Iterator<Item = &Host> {
    lab.servers.iter().chain(lab.clients())
}
