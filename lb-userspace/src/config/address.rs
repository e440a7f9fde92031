//! Addresses: which ones a load balancer can use, and why not the others.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use toml::de::DeValue;

use super::value::{Parsed, refuse, string};

const ENDPOINT: &str = "an IPv4 address and a port such as \"10.4.0.10:6443\"";
const ADDRESS: &str = "an IPv4 address such as \"10.4.0.10\"";

/// An address and port that packets can be forwarded from or to.
pub(super) fn endpoint(value: &DeValue<'_>) -> Parsed<SocketAddrV4> {
    let text = string(value, ENDPOINT)?;
    if text.parse::<SocketAddrV6>().is_ok() || text.parse::<Ipv6Addr>().is_ok() {
        return ipv6();
    }
    let Some((address, port)) = text.rsplit_once(':') else {
        return refuse(format!("expected {ENDPOINT}"), "add \":\" and the port");
    };
    Ok(SocketAddrV4::new(host(address, ENDPOINT)?, self::port(port)?))
}

/// An address of one host.
pub(super) fn ipv4(value: &DeValue<'_>) -> Parsed<Ipv4Addr> {
    host(string(value, ADDRESS)?, ADDRESS)
}

/// An address and port that an ordinary program can listen on.
pub(super) fn listen(value: &DeValue<'_>) -> Parsed<SocketAddr> {
    match string(value, "an address and a port")?.parse() {
        Ok(address) => Ok(address),
        Err(_) => refuse("expected an address and a port", "for all addresses write \"0.0.0.0:port\""),
    }
}

fn host(text: &str, expected: &str) -> Parsed<Ipv4Addr> {
    if text.parse::<Ipv6Addr>().is_ok() {
        return ipv6();
    }
    if text.is_empty() || text == "*" {
        return wildcard();
    }
    let Ok(address) = text.parse::<Ipv4Addr>() else {
        let remedy = if text.contains(char::is_alphabetic) {
            "names are not looked up: write the address in digits"
        } else {
            "write four numbers from 0 to 255, with dots between them"
        };
        return refuse(format!("expected {expected}"), remedy);
    };
    unicast(address)
}

/// Refuses what is not the address of one host on a network.
fn unicast(address: Ipv4Addr) -> Parsed<Ipv4Addr> {
    let kind = match address {
        _ if address.is_unspecified() => return wildcard(),
        _ if address.is_loopback() => "a loopback address, whose packets never cross a network",
        _ if address.is_multicast() => "a multicast address, which stands for many hosts",
        _ if address.is_broadcast() => "the broadcast address, which stands for all hosts",
        _ => return Ok(address),
    };
    refuse(kind, "use the address of one host")
}

fn wildcard<T>() -> Parsed<T> {
    refuse("stands for any address, which is not supported yet", "name one address")
}

fn ipv6<T>() -> Parsed<T> {
    refuse("IPv6 is not supported yet", "use an IPv4 address")
}

fn port(text: &str) -> Parsed<u16> {
    match text.parse() {
        Ok(0) => refuse("port 0 stands for no port", "use a port from 1 to 65535"),
        Ok(port) => Ok(port),
        Err(_) => refuse("expected a port after the last \":\"", "use a port from 1 to 65535"),
    }
}
