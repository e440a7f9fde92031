//! Whether the host around is as the data plane needs it, and the traps that can be seen from here.

use std::fs;
use std::io;
use std::net::SocketAddrV4;

use lb_common::settings::Settings;

use super::dataplane::mode;
use super::{Area, Check, Outcome, Scene};
use crate::config::{HostFacts, PortRange};
use crate::dataplane::attach::Mode;
use crate::local::sock_diag::{HostSocket, SockDiag};
use crate::neighbours::Interface;

pub(super) fn checks(scene: &Scene) -> Vec<Check> {
    let mut checks = Vec::new();
    if let Ok(interface) = &scene.interface {
        let settings = &scene.maps.setup.get().settings;
        checks.push(link(interface, settings));
        checks.push(addresses(scene, interface));
        checks.push(checksums(&scene.snapshot.mode, interface));
        checks.push(nat_ports(settings, HostFacts::read(&interface.name)));
        checks.extend(strict_filter(interface));
    }
    checks.push(nat_ports_in_use(scene));
    checks
}

fn check(subject: &str, outcome: Outcome, detail: impl Into<String>) -> Check {
    Check::new(Area::Host, subject, outcome, detail)
}

/// Whether the interface works, and is still the one that the program was told about.
fn link(interface: &Interface, settings: &Settings) -> Check {
    let Interface { name, mac, .. } = interface;
    let (outcome, detail) = if !interface.is_up {
        (Outcome::Failed, format!("{name} is down; bring it up: `ip link set dev {name} up`"))
    } else if !interface.has_carrier {
        (Outcome::Failed, format!("{name} has no carrier; is its cable connected?"))
    } else if *mac != settings.mac {
        let told = settings.mac;
        (
            Outcome::Failed,
            format!("{name} has the address {mac} now, the program was told {told}; restart the agent"),
        )
    } else {
        (Outcome::Ok, format!("{name} is up, {mac}, MTU {}", interface.mtu))
    };
    check("interface", outcome, detail)
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

/// Checksums that a peer on the same machine has left to a network card that does not exist.
fn checksums(name: &str, interface: &Interface) -> Check {
    let driver = interface.driver.as_deref().unwrap_or("unknown driver");
    if interface.leaves_checksums() && mode(name).is_some_and(Mode::leaves_checksums) {
        let detail = format!(
            "{driver} in {name} mode: frames from this machine's other guests may come with unfinished \
             checksums and be forwarded so; set `mode = \"tc\"`, or turn that off at their end \
             (`ethtool -K DEV tx off`)"
        );
        return check("checksums", Outcome::Note, detail);
    }
    check("checksums", Outcome::Ok, format!("{driver} in {name} mode"))
}

/// Whether the kernel leaves the NAT ports to us.
fn nat_ports(settings: &Settings, facts: io::Result<HostFacts>) -> Check {
    let nat = PortRange::new(settings.nat_first, settings.nat_first + (settings.nat_ports.max(1) - 1));
    let (Some(nat), Ok(facts)) = (nat, facts) else {
        return check("NAT ports", Outcome::Failed, "the host does not tell its ports; is /proc mounted?");
    };
    let is_reserved = |port| facts.reserved_ports.iter().any(|reserved| reserved.contains(port));
    let overlap = nat.intersection(facts.local_ports);
    let taken = overlap.filter(|overlap| !(overlap.first()..=overlap.last()).all(is_reserved));
    match taken {
        None => {
            check("NAT ports", Outcome::Ok, format!("{nat}, apart from the host's own {}", facts.local_ports))
        }
        Some(taken) => check(
            "NAT ports",
            Outcome::Failed,
            format!(
                "the kernel may give {taken} to the host's own connections; reserve them: \
                 `sysctl -w net.ipv4.ip_local_reserved_ports={taken}`"
            ),
        ),
    }
}

/// Whether a program of this host talks to a server from one of the NAT ports: its replies are ours.
fn nat_ports_in_use(scene: &Scene) -> Check {
    let subject = "ports in use";
    match first_in_use(scene) {
        Ok(None) => check(subject, Outcome::Ok, "no program of this host talks to a server from a NAT port"),
        Ok(Some((local, server))) => check(
            subject,
            Outcome::Failed,
            format!(
                "a program of this host uses the NAT port {port} of {address} to {server}, and its answers \
                 are taken from it; `ss -tnp sport = {port}` names it",
                port = local.port(),
                address = local.ip()
            ),
        ),
        Err(error) => check(subject, Outcome::Note, format!("cannot list this host's sockets: {error}")),
    }
}

/// A NAT port of a NAT address that a socket of this host has taken towards a server.
fn first_in_use(scene: &Scene) -> io::Result<Option<(SocketAddrV4, SocketAddrV4)>> {
    let settings = &scene.maps.setup.get().settings;
    let diag = SockDiag::open()?;
    for server in &scene.snapshot.servers {
        let sockets = diag.connected_to(server.address)?;
        if let Some(local) =
            sockets.iter().filter_map(HostSocket::local).find(|local| is_nat(settings, *local))
        {
            return Ok(Some((local, server.address)));
        }
    }
    Ok(None)
}

/// Whether packets from a server to a socket's own end are ours.
fn is_nat(settings: &Settings, local: SocketAddrV4) -> bool {
    let place = local.port().checked_sub(settings.nat_first);
    place.is_some_and(|place| place < settings.nat_ports)
        && settings.nat_addrs.find((*local.ip()).into(), 0).is_some()
}

/// Strict reverse path filtering, which only clients on this host can meet: forwarded packets are
/// gone before the kernel filters.
fn strict_filter(interface: &Interface) -> Option<Check> {
    let value = |name: &str| -> Option<u8> {
        let path = format!("/proc/sys/net/ipv4/conf/{name}/rp_filter");
        fs::read_to_string(path).ok()?.trim().parse().ok()
    };
    // The kernel takes the larger one; 1 is strict, 2 is loose.
    let effective = value("all")?.max(value(&interface.name)?);
    let name = &interface.name;
    Some(match effective {
        1 => check(
            "rp_filter",
            Outcome::Note,
            format!(
                "strict on {name}: no matter to forwarded connections, but a server that answers this \
                 host's own clients by another interface than they use is not heard"
            ),
        ),
        _ => check("rp_filter", Outcome::Ok, format!("not strict on {name}")),
    })
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

    #[test]
    fn unfinished_checksums_are_a_matter_of_driver_and_mode() {
        let outcome = |driver: &str, mode| {
            checksums(mode, &Interface { driver: Some(driver.to_owned()), ..interface() }).outcome
        };
        assert_eq!(outcome("bcmgenet", "native"), Outcome::Ok);
        assert_eq!(outcome("veth", "native"), Outcome::Note);
        assert_eq!(outcome("virtio_net", "generic"), Outcome::Note);
        assert_eq!(outcome("bcmgenet", "tc"), Outcome::Ok);
        assert_eq!(outcome("veth", "tc"), Outcome::Ok);
    }
}
