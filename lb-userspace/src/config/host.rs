//! What a configuration takes for granted about its host.
//!
//! Pure: [`HostFacts`] come from [`HostFacts::read`] or from a test.

use std::fmt::Display;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};

use super::draft::Draft;
use super::ports::PortRange;
use super::problem::{Located, Place, Problem};
use super::validate;

/// Ports that can be proposed as NAT ports: those above most services that a host runs.
const PROPOSED: (u16, u16) = (PortRange::DEFAULT_NAT.first(), u16::MAX);

/// What the configuration depends on and only its host knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostFacts {
    /// The IPv4 addresses of the configured interface.
    pub interface_addresses: Vec<Ipv4Addr>,
    /// `net.ipv4.ip_local_port_range`: where the kernel takes the ports of outbound connections from.
    pub local_ports: PortRange,
    /// `net.ipv4.ip_local_reserved_ports`: which of these it leaves alone.
    pub reserved_ports: Vec<PortRange>,
}

impl HostFacts {
    /// The ports of a range that the kernel may give to the host's own connections.
    #[must_use]
    pub fn taken(&self, ports: PortRange) -> Option<Taken> {
        let ports = ports.intersection(self.local_ports)?;
        let is_reserved = |port| self.reserved_ports.iter().any(|reserved| reserved.contains(port));
        let is_taken = !(ports.first()..=ports.last()).all(is_reserved);
        is_taken.then(|| Taken { ports, reserved: self.reserved_ports.clone() })
    }
}

/// Ports that the kernel may give to the host's own connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The ports.
    pub ports: PortRange,
    /// Those that somebody has reserved already.
    pub reserved: Vec<PortRange>,
}

impl Taken {
    /// How to reserve them: with the others, as the setting is one list, and for the next start as well.
    #[must_use]
    pub fn remedy(&self) -> String {
        let all = list(self.reserved.iter().chain([&self.ports]));
        let setting = format!("net.ipv4.ip_local_reserved_ports={all}");
        format!("reserve them: `sysctl -w {setting}`, which lasts as a line in /etc/sysctl.d/xlb.conf")
    }
}

/// What a host may not agree with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// An address of ours is on the interface.
    Address,
    /// A server is on another host.
    Server,
    /// The kernel leaves the NAT ports alone.
    NatPorts,
}

/// The settings that the host must agree with.
#[derive(Debug)]
pub(super) struct Claims {
    interface: String,
    binds: Vec<Located<SocketAddrV4>>,
    servers: Vec<Located<SocketAddrV4>>,
    nat_addresses: Vec<Located<Ipv4Addr>>,
    nat_ports: Located<PortRange>,
    ca_files: Vec<Located<PathBuf>>,
    identity: Option<(Located<PathBuf>, Located<PathBuf>)>,
}

/// Which of two files something is wrong with, what, and what to do.
#[derive(Debug)]
pub(super) struct Flaw {
    pub is_of_key: bool,
    pub finding: String,
    pub remedy: String,
}

impl Claims {
    /// The claims of a draft that has become the configuration of `interface`.
    pub fn new(draft: Draft, interface: &str) -> Self {
        let default_ports = || Located {
            value: PortRange::DEFAULT_NAT,
            place: Place::default_of("nat_ports", PortRange::DEFAULT_NAT),
        };
        Self {
            interface: interface.to_owned(),
            binds: validate::frontend_binds(&draft).cloned().collect(),
            servers: validate::servers(&draft).filter_map(|server| server.value.address.clone()).collect(),
            ca_files: validate::ca_files(&draft).cloned().collect(),
            identity: draft.stats.as_ref().and_then(|stats| validate::identity(&stats.value)),
            nat_addresses: draft.nat_addresses.map_or_else(Vec::new, |list| list.value),
            nat_ports: draft.nat_ports.unwrap_or_else(default_ports),
        }
    }

    /// Everything that the host does not agree with.
    pub fn problems(&self, facts: &HostFacts) -> Vec<(Claim, Problem)> {
        let binds = self.binds.iter().map(|bind| (&bind.place, *bind.value.ip()));
        let addresses = binds.chain(self.nat_addresses.iter().map(|address| (&address.place, address.value)));
        let foreign = addresses.filter_map(|(place, address)| self.foreign(place, address, facts));
        let mut problems: Vec<_> = foreign.map(|problem| (Claim::Address, problem)).collect();
        let local = |server: &&Located<SocketAddrV4>| facts.interface_addresses.contains(server.value.ip());
        let local = self.servers.iter().filter(local).map(|server| validate::on_this_host(&server.place));
        problems.extend(local.map(|problem| (Claim::Server, problem)));
        problems.extend(self.taken_ports(facts).map(|problem| (Claim::NatPorts, problem)));
        problems
    }

    /// Every file that cannot be used; `look` says what is wrong with one of authorities, and what to do, `compare` with a
    /// certificate and its key.
    pub fn file_problems(
        &self,
        look: impl Fn(&Path) -> Option<(String, String)>,
        compare: impl Fn(&Path, &Path) -> Option<Flaw>,
    ) -> Vec<Problem> {
        let problem = |file: &Located<PathBuf>| {
            look(&file.value).map(|(finding, remedy)| file.place.problem(finding, remedy))
        };
        let flawed = self.identity.as_ref().and_then(|(certificate, key)| {
            let Flaw { is_of_key, finding, remedy } = compare(&certificate.value, &key.value)?;
            Some(if is_of_key { key } else { certificate }.place.problem(finding, remedy))
        });
        self.ca_files.iter().filter_map(problem).chain(flawed).collect()
    }

    /// An address of ours that the interface does not have.
    fn foreign(&self, place: &Place, address: Ipv4Addr, facts: &HostFacts) -> Option<Problem> {
        let Self { interface, .. } = self;
        let there = &facts.interface_addresses;
        if there.contains(&address) {
            return None;
        }
        let finding = match there.as_slice() {
            [] => format!("interface {interface} has no IPv4 address"),
            _ => format!("interface {interface} does not have this address, only {}", list(there)),
        };
        let remedy = format!(
            "use an address that it has, or name the interface that has {address} (`ip -4 address` shows them)"
        );
        Some(place.problem(finding, remedy))
    }

    /// NAT ports that the kernel may give to the host's own connections.
    fn taken_ports(&self, facts: &HostFacts) -> Option<Problem> {
        let taken = facts.taken(self.nat_ports.value)?;
        let finding = format!(
            "the kernel may give the ports {} to the host's own connections (ip_local_port_range is {})",
            taken.ports, facts.local_ports
        );
        let remedy = match self.free_ports(facts) {
            Some(free) => format!("set nat_ports = \"{free}\", or {}", taken.remedy()),
            None => taken.remedy(),
        };
        Some(self.nat_ports.place.problem(finding, remedy))
    }

    /// The largest range of ports that neither the kernel nor a frontend uses.
    fn free_ports(&self, facts: &HostFacts) -> Option<PortRange> {
        let frontends =
            self.binds.iter().filter_map(|bind| PortRange::new(bind.value.port(), bind.value.port()));
        let mut free: Vec<PortRange> = PortRange::new(PROPOSED.0, PROPOSED.1).into_iter().collect();
        for used in frontends.chain([facts.local_ports]) {
            free = free.into_iter().flat_map(|range| range.without(used)).collect();
        }
        // Of equally large ones the lowest.
        free.into_iter().rev().max_by_key(|range| range.count())
    }
}

fn list<T: Display>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    items.join(",")
}
