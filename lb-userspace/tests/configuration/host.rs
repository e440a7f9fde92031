//! Good configurations on hosts that do not suit them.

use std::net::Ipv4Addr;
use std::time::{Duration, SystemTime};

use xlb::config::{HostFacts, Loaded, PortRange};

use crate::GOOD;

const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 4, 0, 10);

fn range(first: u16, last: u16) -> PortRange {
    PortRange::new(first, last).expect("a range in the test")
}

/// A host that suits the good file.
fn host() -> HostFacts {
    HostFacts {
        interface_addresses: vec![ADDRESS],
        local_ports: range(32_768, 60_999),
        reserved_ports: Vec::new(),
    }
}

/// What is said of a file on a host.
fn said(text: &str, host: &HostFacts) -> String {
    let loaded = Loaded::parse("xlb.toml", text).unwrap_or_else(|problems| panic!("{problems}"));
    loaded.check_host(host).map_or_else(|problems| problems.to_string(), |()| String::new())
}

#[test]
fn a_host_may_suit() {
    assert_eq!(said(GOOD, &host()), "");
}

#[test]
fn our_addresses_are_on_the_interface() {
    let there = vec![Ipv4Addr::new(10, 4, 0, 9), Ipv4Addr::new(192, 0, 2, 1)];
    let text = GOOD.replace("mode = \"auto\"", "nat_addresses = [\"10.4.0.9\", \"10.4.0.8\"]");
    assert_eq!(
        said(&text, &HostFacts { interface_addresses: there, ..host() }),
        "\
xlb.toml:2: nat_addresses[1] = \"10.4.0.8\": interface eth0 does not have this address, only 10.4.0.9,192.0.2.1; use an address that it has, or name the interface that has 10.4.0.8 (`ip -4 address` shows them)
xlb.toml:7: frontend.k8s-api-server.bind = \"10.4.0.10:6443\": interface eth0 does not have this address, only 10.4.0.9,192.0.2.1; use an address that it has, or name the interface that has 10.4.0.10 (`ip -4 address` shows them)"
    );
    assert_eq!(
        said(GOOD, &HostFacts { interface_addresses: Vec::new(), ..host() }),
        "xlb.toml:7: frontend.k8s-api-server.bind = \"10.4.0.10:6443\": interface eth0 has no IPv4 address; use an address that it has, or name the interface that has 10.4.0.10 (`ip -4 address` shows them)"
    );
}

#[test]
fn servers_are_on_other_hosts() {
    let there = vec![ADDRESS, Ipv4Addr::new(10, 4, 0, 15)];
    assert_eq!(
        said(GOOD, &HostFacts { interface_addresses: there, ..host() }),
        "xlb.toml:29: backend.k8s-api-server.server.fenn.address = \"10.4.0.15:6443\": is on the balancer's own host, and packets that never leave it cannot be forwarded; use a server on another host"
    );
}

#[test]
fn the_kernel_leaves_our_ports_alone() {
    let host = HostFacts { local_ports: range(32_000, 60_999), ..host() };
    assert_eq!(
        said(GOOD, &host),
        "xlb.toml:3: nat_ports = \"10240-32767\": the kernel may give the ports 32000-32767 to the host's own connections (ip_local_port_range is 32000-60999); set nat_ports = \"10240-31999\", or reserve them: `sysctl -w net.ipv4.ip_local_reserved_ports=32000-32767`, which lasts as a line in /etc/sysctl.d/xlb.conf"
    );
    let reserved_ports = vec![range(8080, 8080), range(32_000, 32_766)];
    assert_eq!(
        said(GOOD, &HostFacts { reserved_ports, ..host.clone() }),
        "xlb.toml:3: nat_ports = \"10240-32767\": the kernel may give the ports 32000-32767 to the host's own connections (ip_local_port_range is 32000-60999); set nat_ports = \"10240-31999\", or reserve them: `sysctl -w net.ipv4.ip_local_reserved_ports=8080,32000-32766,32000-32767`, which lasts as a line in /etc/sysctl.d/xlb.conf"
    );
    let reserved_ports = vec![range(31_000, 32_500), range(32_501, 40_000)];
    assert_eq!(said(GOOD, &HostFacts { reserved_ports, ..host }), "");
}

#[test]
fn the_default_ports_are_checked_too() {
    let text = GOOD.replace("nat_ports = \"10240-32767\"", "");
    assert_eq!(
        said(&text, &HostFacts { local_ports: range(1024, 65_535), ..host() }),
        "xlb.toml:1: nat_ports (by default) = 10240-32767: the kernel may give the ports 10240-32767 to the host's own connections (ip_local_port_range is 1024-65535); reserve them: `sysctl -w net.ipv4.ip_local_reserved_ports=10240-32767`, which lasts as a line in /etc/sysctl.d/xlb.conf"
    );
}

#[test]
fn proposed_ports_avoid_the_frontends() {
    let text = GOOD.replace("10.4.0.10:6443", "10.4.0.10:30000").replace("10240-32767", "40000-50000");
    assert_eq!(
        said(&text, &host()),
        "xlb.toml:3: nat_ports = \"40000-50000\": the kernel may give the ports 40000-50000 to the host's own connections (ip_local_port_range is 32768-60999); set nat_ports = \"10240-29999\", or reserve them: `sysctl -w net.ipv4.ip_local_reserved_ports=40000-50000`, which lasts as a line in /etc/sysctl.d/xlb.conf"
    );
}

#[test]
fn files_of_authorities_must_hold_certificates() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("ca.pem");
    let (name, missing) =
        (file.display().to_string(), directory.path().join("none.pem").display().to_string());
    let check = |name: &str| {
        let text = GOOD.replace("fall = 3", &format!("type = \"https\"\nca_file = \"{name}\""));
        Loaded::parse("xlb.toml", &text)
            .expect("a good file")
            .check_files()
            .map_err(|wrong| wrong.to_string())
    };
    assert_eq!(
        check(&missing),
        Err(format!(
            "xlb.toml:20: backend.k8s-api-server.check.ca_file = \"{missing}\": cannot be read: No such file or \
             directory; check its name and its permissions"
        ))
    );
    std::fs::write(&file, "nothing").expect("the directory is there");
    assert_eq!(
        check(&name),
        Err(format!(
            "xlb.toml:20: backend.k8s-api-server.check.ca_file = \"{name}\": has no certificate of an authority; \
             name a file in PEM format, such as /etc/kubernetes/pki/ca.crt"
        ))
    );
    let authority = lb_lab::Authority::new("kubernetes").expect("an authority");
    std::fs::write(&file, authority.pem()).expect("the directory is there");
    assert_eq!(check(&name), Ok(()));
}

#[test]
fn a_page_needs_a_certificate_and_its_key() {
    let directory = tempfile::tempdir().expect("a directory");
    let authority = lb_lab::Authority::new("authority").expect("an authority");
    let expires = SystemTime::now() + Duration::from_secs(24 * 60 * 60);
    let certified = || authority.certify(&["127.0.0.1"], expires).expect("a certificate");
    let (ours, other) = (certified(), certified());
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).expect("the directory is there");
        path.display().to_string()
    };
    let (certificate, key) = (file("page.pem", &ours.certificate), file("page.key", &ours.key));
    let both = file("both.pem", &format!("{}{}", ours.certificate, ours.key));
    let other = file("other.key", &other.key);
    let missing = directory.path().join("none.key").display().to_string();
    let check = |settings: &str| {
        let text = format!("{GOOD}[stats]\nbind = \"0.0.0.0:8404\"\n{settings}\n");
        let loaded = Loaded::parse("xlb.toml", &text).expect("a good file");
        loaded.check_files().map_err(|wrong| wrong.to_string())
    };
    let pair = |key: &str| check(&format!("tls_certificate = \"{certificate}\"\ntls_key = \"{key}\""));
    assert_eq!(pair(&key), Ok(()));
    assert_eq!(check(&format!("tls_certificate = \"{both}\"")), Ok(()));
    assert_eq!(
        pair(&other),
        Err(format!(
            "xlb.toml:33: stats.tls_key = \"{other}\": has the private key of another certificate; name the key that \
             the certificate was made for"
        ))
    );
    assert_eq!(
        pair(&missing),
        Err(format!(
            "xlb.toml:33: stats.tls_key = \"{missing}\": cannot be read: No such file or directory; check its name and \
             its permissions"
        ))
    );
    assert_eq!(
        check(&format!("tls_certificate = \"{certificate}\"")),
        Err(format!(
            "xlb.toml:32: stats.tls_certificate = \"{certificate}\": has no private key that can be read; name a file \
             in PEM format with a private key that needs no password (in tls_key, if it is not in the certificate's \
             file)"
        ))
    );
    assert_eq!(
        check(&format!("tls_certificate = \"{key}\"")),
        Err(format!(
            "xlb.toml:32: stats.tls_certificate = \"{key}\": has no certificate that can be read; name a file in PEM \
             format, with the certificates that lead to the authority's"
        ))
    );
}
