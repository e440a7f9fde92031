//! The list of connections.

use std::net::SocketAddrV4;
use std::time::Duration;

use comfy_table::Cell;
use lb_common::tcp::State;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::style::{number, render};
use super::{Style, human, json};

/// One connection.
#[derive(Clone, Debug, Serialize)]
pub struct Connection {
    /// Where it comes from.
    pub client: SocketAddrV4,
    /// The name of the frontend that it came to.
    pub frontend: String,
    /// The name of the server's backend.
    pub backend: String,
    /// The name of the server that it was given to.
    pub server: String,
    /// The address and port of ours that the server sees it come from; two fields in JSON.
    #[serde(flatten, serialize_with = "nat_fields")]
    pub nat: SocketAddrV4,
    /// Whether its client is on the balancer's own host: then the host's own TCP has counted, and these
    /// are the client's.
    pub local: bool,
    /// Its state.
    #[serde(serialize_with = "state_name")]
    pub state: State,
    /// How long ago it was opened, in milliseconds in JSON.
    #[serde(rename = "age_ms", serialize_with = "json::millis")]
    pub age: Duration,
    /// How long ago its last packet came, in milliseconds in JSON.
    #[serde(rename = "idle_ms", serialize_with = "json::millis")]
    pub idle: Duration,
    /// Packets from the client.
    pub packets_to_server: u64,
    /// Packets from the server.
    pub packets_to_client: u64,
    /// TCP payload bytes from the client.
    pub bytes_to_server: u64,
    /// TCP payload bytes from the server.
    pub bytes_to_client: u64,
}

/// The connections for a person: one line each, below a header.
#[must_use]
pub fn connections_table(connections: &[Connection], style: Style) -> String {
    let mut table = style.table(&[
        "CLIENT",
        "FRONTEND",
        "SERVER",
        "NAT",
        "STATE",
        "AGE",
        "IDLE",
        "PACKETS IN",
        "PACKETS OUT",
        "BYTES IN",
        "BYTES OUT",
    ]);
    for connection in connections {
        table.add_row([
            Cell::new(connection.client),
            Cell::new(&connection.frontend),
            Cell::new(format!("{}/{}", connection.backend, connection.server)),
            nat(connection),
            Cell::new(connection.state),
            number(human::duration(connection.age)),
            number(human::duration(connection.idle)),
            number(connection.packets_to_server),
            number(connection.packets_to_client),
            number(human::bytes(connection.bytes_to_server)),
            number(human::bytes(connection.bytes_to_client)),
        ]);
    }
    render(&mut table)
}

/// A client on this host has no NAT address and port.
fn nat(connection: &Connection) -> Cell {
    if connection.local { Cell::new("local") } else { Cell::new(connection.nat) }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde calls")]
fn nat_fields<S: Serializer>(nat: &SocketAddrV4, serializer: S) -> Result<S::Ok, S::Error> {
    let mut fields = serializer.serialize_map(Some(2))?;
    fields.serialize_entry("nat_address", nat.ip())?;
    fields.serialize_entry("nat_port", &nat.port())?;
    fields.end()
}

/// The connections as a JSON array.
#[must_use]
pub fn connections_json(connections: &[Connection]) -> String {
    json::pretty(&connections)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde calls")]
fn state_name<S: Serializer>(state: &State, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(state)
}

#[cfg(test)]
pub(super) mod tests {
    use std::net::Ipv4Addr;

    use serde_json::{Value, json};

    use super::*;

    /// An established connection from 198.18.1.7:40000 to fenn.
    pub fn connection() -> Connection {
        Connection {
            client: SocketAddrV4::new(Ipv4Addr::new(198, 18, 1, 7), 40_000),
            frontend: "api".into(),
            backend: "k8s-api-server".into(),
            server: "fenn".into(),
            nat: SocketAddrV4::new(Ipv4Addr::new(198, 18, 0, 10), 10_240),
            local: false,
            state: State::Established,
            age: Duration::from_millis(65_250),
            idle: Duration::from_millis(1500),
            packets_to_server: 12,
            packets_to_client: 34,
            bytes_to_server: 1536,
            bytes_to_client: 3 << 20,
        }
    }

    #[test]
    fn json_is_exact() {
        let document: Value = serde_json::from_str(&connections_json(&[connection()])).unwrap();
        let expected = json!([{
            "client": "198.18.1.7:40000", "frontend": "api", "backend": "k8s-api-server", "server": "fenn",
            "nat_address": "198.18.0.10", "nat_port": 10_240, "local": false, "state": "ESTAB", "age_ms": 65_250, "idle_ms": 1500,
            "packets_to_server": 12, "packets_to_client": 34,
            "bytes_to_server": 1536, "bytes_to_client": 3_145_728,
        }]);
        assert_eq!(document, expected);
    }

    #[test]
    fn the_table_is_readable() {
        let shown = connections_table(&[connection()], Style::Plain);
        let cells = |line: &str| {
            line.split("  ")
                .map(str::trim)
                .filter(|cell| !cell.is_empty())
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        let lines: Vec<_> = shown.lines().map(cells).collect();
        let expected = [
            "198.18.1.7:40000",
            "api",
            "k8s-api-server/fenn",
            "198.18.0.10:10240",
            "ESTAB",
            "1m5s",
            "1s",
            "12",
            "34",
            "1.50 KiB",
            "3.00 MiB",
        ];
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0].len(), expected.len());
        assert_eq!(lines[1], expected);
    }

    #[test]
    fn no_connections_leave_the_header() {
        assert_eq!(connections_table(&[], Style::Plain).lines().count(), 1);
        assert_eq!(connections_json(&[]), "[]");
    }
}
