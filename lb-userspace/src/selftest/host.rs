//! Whether the host around is as the data plane needs it, and the traps that can be seen from here. What
//! the doctor checks, too, it checks for both.

use std::io;
use std::net::SocketAddrV4;

use lb_common::settings::Settings;

use super::dataplane::mode;
use super::{Area, Check, Outcome, Scene};
use crate::config::{HostFacts, PortRange};
use crate::doctor::{Finding, Severity, interface as interfaces, ports};
use crate::neighbours::Interface;

pub(super) fn checks(scene: &Scene) -> Vec<Check> {
    let mut checks = Vec::new();
    if let Ok(interface) = &scene.interface {
        let settings = &scene.maps.setup.get().settings;
        let checksums = interfaces::checksums(interface, mode(&scene.snapshot.mode));
        let rp_filter = interfaces::strict_filter(&interface.name, interfaces::rp_filter(&interface.name));
        checks.push(link(interface, settings));
        checks.push(addresses(scene, interface));
        checks.push(shown("checksums", &checksums, Outcome::Note));
        checks.push(nat_ports(settings, HostFacts::read(&interface.name)));
        checks.extend(rp_filter.map(|finding| shown("rp_filter", &finding, Outcome::Note)));
    }
    let servers = scene.snapshot.servers.iter().map(|server| server.address);
    let taken = ports::taken(servers, |local| is_nat(&scene.maps.setup.get().settings, local));
    checks.push(shown("ports in use", &ports::in_use(&taken), Outcome::Failed));
    checks
}

fn check(subject: &str, outcome: Outcome, detail: impl Into<String>) -> Check {
    Check::new(Area::Host, subject, outcome, detail)
}

/// A finding of the doctor's; a warning is worth this.
fn shown(subject: &str, finding: &Finding, warning: Outcome) -> Check {
    let outcome = match finding.result {
        Severity::Ok => Outcome::Ok,
        Severity::Note => Outcome::Note,
        Severity::Warning => warning,
        Severity::Fatal => Outcome::Failed,
    };
    check(subject, outcome, finding.to_string())
}

/// Whether the interface works, and is still the one that the program was told about.
fn link(interface: &Interface, settings: &Settings) -> Check {
    let Interface { name, mac, .. } = interface;
    let finding = interfaces::link(interface);
    if finding.result == Severity::Ok && *mac != settings.mac {
        let told = settings.mac;
        let detail =
            format!("{name} has the address {mac} now, the program was told {told}; restart the agent");
        return check("interface", Outcome::Failed, detail);
    }
    shown("interface", &finding, Outcome::Failed)
}

/// Whether the frontends' addresses are the host's.
fn addresses(scene: &Scene, interface: &Interface) -> Check {
    let has = |wanted| interface.addresses.iter().any(|(address, _)| *address == wanted);
    let missing: Vec<String> = scene
        .snapshot
        .frontends
        .iter()
        .filter(|frontend| !has(*frontend.bind.ip()))
        .map(|frontend| frontend.bind.ip().to_string())
        .collect();
    let name = &interface.name;
    if missing.is_empty() {
        return check("addresses", Outcome::Ok, format!("{name} has those of all frontends"));
    }
    let missing = missing.join(", ");
    check(
        "addresses",
        Outcome::Failed,
        format!("{name} does not have {missing} (`ip -4 address show dev {name}`)"),
    )
}

/// Whether the kernel leaves the NAT ports to us.
fn nat_ports(settings: &Settings, facts: io::Result<HostFacts>) -> Check {
    let nat = PortRange::new(settings.nat_first, settings.nat_first + (settings.nat_ports.max(1) - 1));
    let (Some(nat), Ok(facts)) = (nat, facts) else {
        return check("NAT ports", Outcome::Failed, "the host does not tell its ports; is /proc mounted?");
    };
    shown("NAT ports", &ports::nat_ports(nat, facts.taken(nat), facts.local_ports), Outcome::Failed)
}

/// Whether packets from a server to a socket's own end are ours.
fn is_nat(settings: &Settings, local: SocketAddrV4) -> bool {
    let place = local.port().checked_sub(settings.nat_first);
    place.is_some_and(|place| place < settings.nat_ports)
        && settings.nat_addrs.find((*local.ip()).into(), 0).is_some()
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use lb_common::nat::NatAddrs;
    use lb_common::net::Mac;
    use zerocopy::FromZeros;

    use super::*;

    fn settings() -> Settings {
        Settings {
            nat_first: 10_240,
            nat_ports: 22_528,
            mac: Mac([2, 0, 0, 0, 0, 10]),
            ..Settings::new_zeroed()
        }
    }

    fn interface() -> Interface {
        Interface {
            index: 2,
            name: "eth0".into(),
            mac: settings().mac,
            mtu: 1500,
            addresses: vec![],
            is_up: true,
            has_carrier: true,
            driver: Some("bcmgenet".into()),
            has_native_xdp: None,
            xdp: None,
        }
    }

    fn facts(local: (u16, u16), reserved: &str) -> HostFacts {
        let reserved_ports = reserved.split(',').filter_map(|range| range.parse().ok()).collect();
        let local_ports = PortRange::new(local.0, local.1).expect("a range in the test");
        HostFacts { interface_addresses: vec![], local_ports, reserved_ports }
    }

    #[test]
    fn only_nat_ports_of_nat_addresses_are_ours() {
        let [first, second, other] = [10, 11, 12].map(|host| Ipv4Addr::new(198, 18, 0, host));
        let nat_addrs = NatAddrs::new([first, second].map(Into::into));
        let settings = Settings { nat_addrs, ..settings() };
        let is_nat = |address, port| is_nat(&settings, SocketAddrV4::new(address, port));
        assert!(is_nat(first, 10_240) && is_nat(second, 32_767));
        assert!(!is_nat(first, 10_239) && !is_nat(second, 32_768) && !is_nat(other, 10_240));
    }

    #[test]
    fn nat_ports_must_be_left_alone_by_the_kernel() {
        let outcome = |local, reserved| nat_ports(&settings(), Ok(facts(local, reserved))).outcome;
        assert_eq!(outcome((32_768, 60_999), ""), Outcome::Ok);
        assert_eq!(outcome((32_000, 60_999), ""), Outcome::Failed);
        assert_eq!(outcome((32_000, 60_999), "8080,32000-32767"), Outcome::Ok);
        assert_eq!(outcome((32_000, 60_999), "32000-32766"), Outcome::Failed);
    }

    #[test]
    fn a_changed_interface_is_noticed() {
        assert_eq!(link(&interface(), &settings()).outcome, Outcome::Ok);
        let outcome = |change: fn(&mut Interface)| {
            let mut interface = interface();
            change(&mut interface);
            link(&interface, &settings()).outcome
        };
        assert_eq!(outcome(|interface| interface.is_up = false), Outcome::Failed);
        assert_eq!(outcome(|interface| interface.has_carrier = false), Outcome::Failed);
        assert_eq!(outcome(|interface| interface.mac = Mac([2, 0, 0, 0, 0, 11])), Outcome::Failed);
    }
}
