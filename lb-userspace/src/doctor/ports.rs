//! Who uses the ports of frontends and of NAT.

use std::collections::BTreeSet;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};

use super::Finding;
use crate::config::{self, Config, PortRange};
use crate::local::sock_diag::{HostSocket, SockDiag};

/// A socket that listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listener {
    /// Where; `0.0.0.0` for all addresses.
    pub address: SocketAddrV4,
    /// Whose it is, as `haproxy (process 4711)`; none where that cannot be seen.
    pub owner: Option<String>,
}

impl Listener {
    fn takes(&self, address: SocketAddrV4) -> bool {
        self.address.port() == address.port()
            && (self.address.ip().is_unspecified() || self.address.ip() == address.ip())
    }

    fn owner(&self) -> &str {
        self.owner.as_deref().unwrap_or("another program (only root can see which)")
    }
}

/// A connection of this host from a NAT port to a server, by its own end.
pub(crate) type Taken = (SocketAddrV4, SocketAddrV4);

/// Whose the frontends' packets are when xlb passes them.
pub(super) fn fallbacks(config: &Config, listeners: &[Listener]) -> Vec<Finding> {
    let binds = config.frontends.iter().map(|frontend| frontend.bind);
    binds.map(|bind| fallback(bind, listeners.iter().find(|listener| listener.takes(bind)))).collect()
}

fn fallback(bind: SocketAddrV4, listener: Option<&Listener>) -> Finding {
    const NAME: &str = "fallback";
    let Some(listener) = listener else {
        return Finding::ok(NAME, format!("nobody listens on {bind}: without xlb, connections are refused"));
    };
    let owner = listener.owner();
    let reason = format!(
        "{owner} listens on {bind}: while xlb forwards it gets no new connections, and all without it"
    );
    Finding::note(NAME, reason).with_remedy("nothing: it is the way back, and goes on after `xlb detach`")
}

/// Services that listen on NAT ports, which packets of servers do not reach.
pub(super) fn nat_listeners(config: &Config, listeners: &[Listener]) -> Vec<Finding> {
    const NAME: &str = "nat-listeners";
    let ours = |listener: &&Listener| {
        let ip = listener.address.ip();
        config.nat_ports.contains(listener.address.port())
            && (ip.is_unspecified() || config.nat_addresses.contains(ip))
    };
    // One program may listen by several sockets.
    let listeners: BTreeSet<_> =
        listeners.iter().filter(ours).map(|listener| (listener.address.port(), listener.owner())).collect();
    let mut found: Vec<Finding> = listeners
        .into_iter()
        .map(|(port, owner)| {
            Finding::note(
                NAME,
                format!("{owner} listens on the NAT port {port}: only the servers of xlb cannot reach it"),
            )
            .with_remedy("nothing, unless servers are its clients: then move `nat_ports`")
        })
        .collect();
    if found.is_empty() {
        found.push(Finding::ok(NAME, format!("nobody listens on the NAT ports {}", config.nat_ports)));
    }
    found
}

/// Whether a program of this host talks to a server from one of the NAT ports: its replies are ours.
pub(crate) fn in_use(taken: &io::Result<Option<Taken>>) -> Finding {
    const NAME: &str = "ports-in-use";
    match taken {
        Ok(None) => Finding::ok(NAME, "no program of this host talks to a server from a NAT port"),
        Ok(Some((local, server))) => Finding::warning(
            NAME,
            format!(
                "a program of this host uses the NAT port {port} of {address} to {server}, and its answers are taken \
                 from it",
                port = local.port(),
                address = local.ip()
            ),
            format!("end its connection, or start it anew; `ss -tnp sport = {}` names it", local.port()),
        ),
        Err(error) => Finding::note(NAME, format!("cannot list this host's sockets: {error}")),
    }
}

/// Looks for such a connection to one of these servers.
pub(crate) fn taken(
    servers: impl IntoIterator<Item = SocketAddrV4>,
    is_nat: impl Fn(SocketAddrV4) -> bool,
) -> io::Result<Option<Taken>> {
    let diag = SockDiag::open()?;
    for server in servers {
        let sockets = diag.connected_to(server)?;
        if let Some(local) = sockets.iter().filter_map(HostSocket::local).find(|local| is_nat(*local)) {
            return Ok(Some((local, server)));
        }
    }
    Ok(None)
}

/// Whether the kernel leaves the NAT ports to us.
pub(crate) fn nat_ports(nat: PortRange, taken: Option<config::Taken>, kernels_own: PortRange) -> Finding {
    const NAME: &str = "nat-ports";
    match taken {
        None => Finding::ok(NAME, format!("{nat}, apart from the host's own {kernels_own}")),
        Some(taken) => Finding::fatal(
            NAME,
            format!("the kernel may give {} to the host's own connections", taken.ports),
            taken.remedy(),
        ),
    }
}

/// Whether a socket's own end is a NAT address and port of a configuration.
pub(super) fn is_nat(addresses: &[Ipv4Addr], ports: PortRange, local: SocketAddrV4) -> bool {
    ports.contains(local.port()) && addresses.contains(local.ip())
}

#[cfg(test)]
mod tests {
    use super::super::Severity::{Fatal, Note, Ok as Fine, Warning};
    use super::*;
    use crate::config::tests::one_server;

    fn listener(address: &str) -> Listener {
        Listener {
            address: address.parse().expect("an address"),
            owner: Some("haproxy (process 4711)".into()),
        }
    }

    #[test]
    fn whoever_listens_on_a_frontend_is_the_fallback() {
        let config = one_server("");
        let result = |listeners: &[Listener]| fallbacks(&config, listeners)[0].clone();
        assert_eq!(result(&[]).result, Fine);
        for address in ["198.18.0.10:6443", "0.0.0.0:6443"] {
            let finding = result(&[listener("198.18.0.10:80"), listener(address)]);
            assert_eq!(finding.result, Note);
            assert!(
                finding.reason.starts_with("haproxy (process 4711) listens on 198.18.0.10:6443"),
                "{finding}"
            );
        }
        assert_eq!(result(&[listener("198.18.0.9:6443")]).result, Fine);
        let unknown = Listener { owner: None, ..listener("0.0.0.0:6443") };
        assert!(result(&[unknown]).reason.contains("only root can see which"));
    }

    #[test]
    fn listeners_on_nat_ports_are_named() {
        let config = one_server("");
        let result = |address| nat_listeners(&config, &[listener(address)])[0].result;
        assert_eq!(result("0.0.0.0:10250"), Note);
        assert_eq!(result("198.18.0.10:32767"), Note);
        assert_eq!(result("198.18.0.10:32768"), Fine);
        assert_eq!(result("127.0.0.1:10250"), Fine);
        let twice = ["0.0.0.0:10250", "198.18.0.10:10250", "0.0.0.0:10251"].map(listener);
        assert_eq!(nat_listeners(&config, &twice).len(), 2, "one for each port");
    }

    #[test]
    fn a_connection_from_a_nat_port_is_a_warning() {
        let [local, server] =
            ["198.18.0.10:10240", "198.18.0.11:6443"].map(|text| text.parse().expect("an address"));
        assert_eq!(in_use(&Ok(None)).result, Fine);
        assert_eq!(in_use(&Ok(Some((local, server)))).result, Warning);
        assert_eq!(in_use(&Err(io::ErrorKind::PermissionDenied.into())).result, Note);
        let nat = PortRange::DEFAULT_NAT;
        assert!(is_nat(&[*local.ip()], nat, local));
        assert!(!is_nat(&[*server.ip()], nat, local));
        assert!(!is_nat(&[*server.ip()], nat, server));
    }

    #[test]
    fn nat_ports_must_be_left_alone_by_the_kernel() {
        let range = |first, last| PortRange::new(first, last).expect("a range");
        let finding = |taken| nat_ports(PortRange::DEFAULT_NAT, taken, range(32_000, 60_999));
        assert_eq!(finding(None).result, Fine);
        let taken = config::Taken {
            ports: range(32_000, 32_767),
            reserved: vec![range(8080, 8080), range(9000, 9009)],
        };
        let taken = finding(Some(taken));
        assert_eq!(taken.result, Fatal);
        assert!(taken.to_string().contains("reserved_ports=8080,9000-9009,32000-32767`"), "{taken}");
    }
}
