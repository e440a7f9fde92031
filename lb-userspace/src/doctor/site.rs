//! Whether a configuration fits its host and its network.

use std::io;

use super::Severity::Fatal;
use super::{Finding, interface, ports, processes, servers, system};
use crate::config::{Claim, Config, HostFacts, Loaded};
use crate::dataplane::attach::{self, choose};
use crate::dataplane::pins::Pins;
use crate::neighbours::{Interface, Merging};
use crate::{plan, preflight};

pub(super) async fn checks(loaded: &Loaded, pins: &Pins) -> Vec<Finding> {
    let config = &loaded.config;
    let mut findings = files(loaded);
    match Interface::lookup(&config.interface).await {
        Ok(interface) => {
            findings.extend(interface_checks(&interface, config, pins));
            findings.extend(host_facts(loaded, HostFacts::read(&interface.name)));
            findings.extend(server_checks(config, &interface).await);
        }
        Err(error) => findings.push(interface::unusable(&error)),
    }
    findings.extend(port_checks(config));
    findings
}

/// Files that the configuration names.
fn files(loaded: &Loaded) -> Vec<Finding> {
    const NAME: &str = "files";
    let Err(problems) = loaded.check_files() else { return Vec::new() };
    problems.iter().map(|problem| Finding::of_problem(NAME, Fatal, loaded.file(), problem)).collect()
}

fn interface_checks(interface: &Interface, config: &Config, pins: &Pins) -> Vec<Finding> {
    let wanted = plan::mode(config);
    // What is attached stays as it is, whatever would be chosen now.
    let attached = attach::find(pins, interface).ok().flatten();
    let mode = attached.unwrap_or_else(|| choose(wanted, interface).first);
    let mut findings = vec![
        interface::link(interface),
        interface::driver(interface),
        interface::other_xdp(interface, wanted, &pins.programs()),
    ];
    findings.extend(
        attach::others_in_tc(interface, pins).ok().map(|others| interface::other_tc(interface, others)),
    );
    findings.push(interface::mode(interface, wanted));
    findings.push(interface::other_traffic(interface, mode));
    findings.push(interface::merging(interface, mode, Merging::of(&interface.name)));
    findings.push(interface::checksums(interface, Some(mode)));
    findings.push(interface::mtu(interface, mode, system::machine().page));
    findings.extend(interface::strict_filter(&interface.name, interface::rp_filter(&interface.name)));
    findings
}

/// What the host does not agree with, and what it does.
fn host_facts(loaded: &Loaded, facts: io::Result<HostFacts>) -> Vec<Finding> {
    const ADDRESSES: &str = "addresses";
    const NAT_PORTS: &str = "nat-ports";
    let facts = match facts {
        Ok(facts) => facts,
        Err(error) => return vec![Finding::of_error(ADDRESSES, Fatal, &preflight::Error::Facts(error))],
    };
    let disagreements = loaded.disagreements(&facts);
    let agrees = |claim| disagreements.iter().all(|(about, _)| *about != claim);
    let mut findings = Vec::new();
    if agrees(Claim::Address) {
        findings.push(Finding::ok(ADDRESSES, format!("{} has all that are ours", loaded.config.interface)));
    }
    if agrees(Claim::NatPorts) {
        findings.push(ports::nat_ports(loaded.config.nat_ports, None, facts.local_ports));
    }
    findings.extend(disagreements.iter().map(|(claim, problem)| {
        let name = match claim {
            Claim::Address => ADDRESSES,
            Claim::Server => "route",
            Claim::NatPorts => NAT_PORTS,
        };
        Finding::of_problem(name, Fatal, loaded.file(), problem)
    }));
    findings
}

async fn server_checks(config: &Config, interface: &Interface) -> Vec<Finding> {
    // What is wrong with the files of authorities was said.
    let Ok(checks) = plan::checks(config) else { return Vec::new() };
    match servers::look(config, &checks, interface).await {
        Ok(found) => {
            // What is on this host was said of the configuration.
            let is_here = |server: &&servers::Server| {
                interface.addresses.iter().any(|(own, _)| own == server.address.ip())
            };
            found.iter().filter(|server| !is_here(server)).flat_map(servers::checks).collect()
        }
        Err(error) => vec![Finding::of_error("route", Fatal, &error)],
    }
}

fn port_checks(config: &Config) -> Vec<Finding> {
    let taken = ports::taken(config.servers().map(|(_, server)| server.address), |local| {
        ports::is_nat(&config.nat_addresses, config.nat_ports, local)
    });
    let mut findings = vec![ports::in_use(&taken)];
    match processes::listeners() {
        Ok(listeners) => {
            findings.extend(ports::fallbacks(config, &listeners));
            findings.extend(ports::nat_listeners(config, &listeners));
        }
        Err(error) => {
            findings.push(Finding::note("fallback", format!("cannot list this host's sockets: {error}")));
        }
    }
    findings
}
