//! Asks the host for its facts.

use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::path::Path;

use nix::ifaddrs::getifaddrs;

use super::host::{Flaw, HostFacts};
use super::model::Identity;
use super::ports::PortRange;
use crate::health::Tls;
use crate::health::tls::AuthoritiesError;
use crate::web;

const LOCAL_PORTS: &str = "/proc/sys/net/ipv4/ip_local_port_range";
const RESERVED_PORTS: &str = "/proc/sys/net/ipv4/ip_local_reserved_ports";

impl HostFacts {
    /// The facts of this host (of this network namespace) about an interface that exists.
    ///
    /// # Errors
    ///
    /// When the kernel does not say.
    pub fn read(interface: &str) -> io::Result<Self> {
        let on_interface = addresses()?.filter(|(name, _)| name == interface);
        Ok(Self {
            interface_addresses: on_interface.map(|(_, address)| address).collect(),
            local_ports: read(LOCAL_PORTS, local_ports)?,
            reserved_ports: read(RESERVED_PORTS, reserved_ports)?,
        })
    }
}

/// What is wrong with a file of authorities' certificates, and what to do.
pub(super) fn no_authorities(path: &Path) -> Option<(String, String)> {
    match Tls::with_authorities(path) {
        Ok(_) => None,
        Err(AuthoritiesError::Unreadable { reason, .. }) => {
            Some((format!("cannot be read: {reason}"), "check its name and its permissions".to_owned()))
        }
        Err(_) => Some((
            "has no certificate of an authority".to_owned(),
            "name a file in PEM format, such as /etc/kubernetes/pki/ca.crt".to_owned(),
        )),
    }
}

/// What is wrong with a certificate or its key.
pub(super) fn no_identity(certificate: &Path, key: &Path) -> Option<Flaw> {
    let identity = Identity { certificate: certificate.to_owned(), key: key.to_owned() };
    let unusable = web::acceptor(&identity).err()?;
    let (finding, remedy) = (unusable.fault.to_string(), unusable.fault.remedy().to_owned());
    Some(Flaw { is_of_key: unusable.fault.is_of_key(), finding, remedy })
}

/// The interface of this host that has an address.
///
/// # Errors
///
/// When the kernel does not say.
pub fn interface_with(address: Ipv4Addr) -> io::Result<Option<String>> {
    Ok(addresses()?.find(|(_, there)| *there == address).map(|(name, _)| name))
}

/// All IPv4 addresses, each with the name of its interface.
fn addresses() -> io::Result<impl Iterator<Item = (String, Ipv4Addr)>> {
    Ok(getifaddrs()?.filter_map(|found| {
        let address = found.address?.as_sockaddr_in()?.ip();
        Some((found.interface_name, address))
    }))
}

fn read<T>(path: &str, parse: impl Fn(&str) -> Option<T>) -> io::Result<T> {
    let text = fs::read_to_string(path)?;
    parse(&text).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("{path}: {text}")))
}

/// Two numbers between white space.
fn local_ports(text: &str) -> Option<PortRange> {
    let (first, last) = text.trim().split_once(char::is_whitespace)?;
    PortRange::new(first.parse().ok()?, last.trim().parse().ok()?)
}

/// Ports and ranges between commas, or nothing.
fn reserved_ports(text: &str) -> Option<Vec<PortRange>> {
    let items = text.trim().split(',').filter(|item| !item.is_empty());
    items.map(|item| item.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_kernel_writes() {
        assert_eq!(local_ports("32768\t60999\n"), PortRange::new(32_768, 60_999));
        assert_eq!(local_ports("\n"), None);
        assert_eq!(reserved_ports("\n"), Some(Vec::new()));
        let ranges = reserved_ports("8080,10240-10250\n").expect("two ranges");
        assert_eq!(ranges.iter().map(PortRange::to_string).collect::<Vec<_>>(), ["8080", "10240-10250"]);
        assert_eq!(reserved_ports("x\n"), None);
    }

    #[test]
    fn finds_loopback_on_this_host() {
        let name = interface_with(Ipv4Addr::LOCALHOST).expect("interfaces can be listed");
        assert_eq!(name.as_deref(), Some("lo"));
        let facts = HostFacts::read("lo").expect("this host has /proc");
        assert!(facts.interface_addresses.contains(&Ipv4Addr::LOCALHOST));
    }
}
