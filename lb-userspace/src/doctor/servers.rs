//! Whether each server can be reached, and answers.

use std::net::SocketAddrV4;
use std::time::Duration;

use futures::future::join_all;

use super::Finding;
use super::Severity::Fatal;
use crate::config::Config;
use crate::health::{self, CheckResult, Probe};
use crate::neighbours::{self, Interface, WayTo};
use crate::plan::Checks;

/// How long a server may take to answer; its own checks may wait for less.
const PATIENCE: Duration = Duration::from_secs(2);

/// A server, and what was found of it.
#[derive(Debug)]
pub(super) struct Server {
    /// As `backend/name`.
    pub name: String,
    pub address: SocketAddrV4,
    pub way: Result<WayTo, neighbours::Error>,
    /// What a check of it came to.
    pub check: CheckResult,
}

/// Checks each server once as the agent would, and looks up the way there after that: by then the kernel
/// has asked for its next hop.
pub(super) async fn look(
    config: &Config,
    checks: &Checks,
    interface: &Interface,
) -> Result<Vec<Server>, neighbours::Error> {
    let backends = config.backends.iter().zip(checks);
    let servers: Vec<_> = backends
        .flat_map(|(backend, check)| backend.servers.iter().map(move |server| (backend, server, check)))
        .collect();
    let results =
        servers.iter().map(|(_, server, check)| health::try_once(server.address, once(check.as_ref())));
    let results = join_all(results).await;
    let ways = neighbours::ways(interface, servers.iter().map(|(_, server, _)| *server.address.ip())).await?;
    let found = servers.iter().zip(results).zip(ways);
    Ok(found
        .map(|(((backend, server, _), check), way)| Server {
            name: format!("{}/{}", backend.name, server.name),
            address: server.address,
            way,
            check,
        })
        .collect())
}

/// A check of the configuration's kind; a connection where there is none.
fn once(check: Option<&health::Check>) -> health::Check {
    let plain = health::Check {
        probe: Probe::Tcp,
        interval: PATIENCE,
        timeout: PATIENCE,
        fall: 1,
        rise: 1,
        error_limit: None,
    };
    check.map_or(plain, |check| health::Check { timeout: check.timeout.min(PATIENCE), ..check.clone() })
}

/// The way to it, and what it answers.
pub(super) fn checks(server: &Server) -> Vec<Finding> {
    match &server.way {
        Err(error) => vec![Finding::of_error("route", Fatal, error)],
        Ok(way) => vec![next_hop(server, *way), answer(server)],
    }
}

fn next_hop(server: &Server, WayTo { next_hop, mac }: WayTo) -> Finding {
    const NAME: &str = "next-hop";
    let name = &server.name;
    match mac {
        Some(mac) => Finding::ok(NAME, format!("{name}: {next_hop} is at {mac}")),
        None => Finding::warning(
            NAME,
            format!("{name}: its next hop {next_hop} does not answer ARP, so it gets no connections"),
            format!("turn it on, and see that it has this address (`ip neighbour show {next_hop}`)"),
        ),
    }
}

fn answer(server: &Server) -> Finding {
    const NAME: &str = "server";
    let Server { name, address, check, .. } = server;
    if check.passed() {
        let took = check.duration.as_secs_f64() * 1000.0;
        return Finding::ok(NAME, format!("{name} {address}: {} in {took:.2} ms", check.status.name()));
    }
    let info = check.status.info().map(|info| format!(" ({info})")).unwrap_or_default();
    Finding::warning(
        NAME,
        format!("{name} {address}: {}{info}", check.status.description()),
        "start what listens there, let its firewall take connections from this host, or take it out of the backend",
    )
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Instant;

    use lb_common::net::Mac;

    use super::super::Severity::{self, Ok as Fine, Warning};
    use super::*;
    use crate::health::Status;

    const ADDRESS: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 15);

    fn results(way: Result<WayTo, neighbours::Error>, status: Status) -> Vec<(&'static str, Severity)> {
        let check = CheckResult {
            status,
            duration: Duration::from_millis(1),
            at: Instant::now(),
            certificate_expires: None,
        };
        let server =
            Server { name: "k8s/fenn".into(), address: SocketAddrV4::new(ADDRESS, 6443), way, check };
        checks(&server).iter().map(|finding| (finding.check, finding.result)).collect()
    }

    #[test]
    fn a_server_may_be_without_a_way_without_a_neighbour_or_without_a_listener() {
        let known = Ok(WayTo { next_hop: ADDRESS, mac: Some(Mac([2, 0, 0, 0, 0, 15])) });
        let refused = Status::ConnectionProblem("Connection refused".into());
        assert_eq!(results(known, Status::Connected), [("next-hop", Fine), ("server", Fine)]);
        let known = Ok(WayTo { next_hop: ADDRESS, mac: Some(Mac([2, 0, 0, 0, 0, 15])) });
        assert_eq!(results(known, refused.clone()), [("next-hop", Fine), ("server", Warning)]);
        let silent = Ok(WayTo { next_hop: ADDRESS, mac: None });
        assert_eq!(results(silent, refused.clone()), [("next-hop", Warning), ("server", Warning)]);
        assert_eq!(results(Err(neighbours::Error::OwnAddress(ADDRESS)), refused), [("route", Fatal)]);
    }

    #[test]
    fn checks_are_those_of_the_configuration_but_not_as_long() {
        let slow = health::Check { timeout: PATIENCE * 10, fall: 7, ..once(None) };
        assert_eq!((once(Some(&slow)).timeout, once(Some(&slow)).fall), (PATIENCE, 7));
    }
}
