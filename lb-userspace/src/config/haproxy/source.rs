//! The addresses that connections to servers come from.

use super::note::Note;
use super::proxy::{Proxy, Said};
use super::section::Setting;

/// The addresses by which `HAProxy` leaves the choice to the kernel.
const ANY: [&str; 2] = ["0.0.0.0", "*"];

/// The address of a `source`; none if the kernel is to choose it. What stands behind it is not carried.
pub(super) fn read(
    address: &str,
    options: &[&str],
    setting: &Setting,
    notes: &mut Vec<Note>,
) -> Option<Said<String>> {
    let address = address.trim_start_matches("ipv4@");
    let (address, ports) = match address.rsplit_once(':') {
        Some((host, ports)) if !host.contains(':') => (host, Some(ports)),
        _ => (address, None),
    };
    let said = |text: String| Note::at(setting.line, format!("source {address}: {text}"));
    if let Some(ports) = ports {
        notes.push(said(format!("the ports {ports} are not carried: nat_ports says which xlb takes")));
    }
    if !options.is_empty() {
        notes.push(said(format!("`{}` is not carried: xlb has no counterpart", options.join(" "))));
    }
    (!ANY.contains(&address)).then(|| Said { line: setting.line, value: address.to_owned() })
}

/// The addresses of all servers of these proxies, each once. `HAProxy` has one for each server, xlb all of
/// them for all servers.
pub(super) fn addresses(proxies: &[&Proxy], notes: &mut Vec<Note>) -> Vec<String> {
    let servers = || proxies.iter().filter(|proxy| proxy.has_servers()).flat_map(|proxy| sources(proxy));
    let mut addresses: Vec<String> = Vec::new();
    for source in servers().flatten() {
        if !addresses.contains(&source.value) {
            addresses.push(source.value.clone());
        }
    }
    let is_the_same = |source: Option<&Said<String>>| source.is_some_and(|it| it.value == addresses[0]);
    if !addresses.is_empty() && !servers().all(is_the_same) {
        notes.extend(servers().flatten().map(|Said { line, value }| {
            let text = format!("source {value}: carried in nat_addresses, which xlb uses for all servers");
            Note::at(*line, text)
        }));
    }
    addresses
}

/// What each server of a proxy has.
fn sources(proxy: &Proxy) -> impl Iterator<Item = Option<&Said<String>>> {
    proxy.servers.iter().map(|server| server.options.source.as_ref().or(proxy.source.as_ref()))
}
