//! The answer for people and for programs.

use std::fmt::Write;

use comfy_table::Cell;

use super::{Flow, Prospect, Why};
use crate::stats::{self, Connection, Style, human, render};

/// The answer as one JSON object.
#[must_use]
pub fn json(why: &Why) -> String {
    stats::pretty(why)
}

/// The answer for a person: all about one connection, a list of several. `in_full` asks for all about each.
#[must_use]
pub fn text(why: &Why, in_full: bool, style: Style) -> String {
    let mut parts = Vec::new();
    if why.flows.is_empty() && why.local.is_empty() {
        parts.push(format!("{} has no connection here, and none that is remembered.\n", why.client));
    }
    if in_full || why.flows.len() == 1 {
        parts.extend(why.flows.iter().map(flow));
    } else if !why.flows.is_empty() {
        parts.push(list(&why.flows, style));
    }
    parts.extend(why.local.iter().map(local));
    if !why.new_connection.is_empty() {
        parts.push(prospects(why));
    }
    parts.join("\n")
}

fn list(flows: &[Flow], style: Style) -> String {
    let mut table = style.table(&["CLIENT", "FRONTEND", "SERVER", "STATE", "AGE", "IDLE", "NEXT"]);
    for flow in flows {
        table.add_row([
            Cell::new(flow.client),
            Cell::new(&flow.frontend),
            Cell::new(format!("{}/{}", flow.backend, flow.server)),
            Cell::new(flow.state),
            Cell::new(human::duration(flow.age)),
            Cell::new(human::duration(flow.idle)),
            Cell::new(flow.prospect()),
        ]);
    }
    let first = flows.first().map_or(String::new(), |flow| flow.client.to_string());
    format!("{}\nAll about one of them: xlb why {first}\n", render(&mut table))
}

fn flow(flow: &Flow) -> String {
    let mut text = format!(
        "{} -> {} {} -> {}/{} {}\n",
        flow.client, flow.frontend, flow.bind, flow.backend, flow.server, flow.server_address
    );
    let mut line = |name: &str, value: String| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {name:<12}{value}");
    };
    line("state", format!("{}{}", flow.state, if flow.is_live { "" } else { ", over" }));
    line("server", flow.reason());
    let Flow { client, bind, nat, server_address, .. } = flow;
    line("to server", format!("{client} > {bind}  becomes  {nat} > {server_address}"));
    line("to client", format!("{server_address} > {nat}  becomes  {bind} > {client}"));
    let server_mac = flow.server_mac.as_deref().unwrap_or("unknown");
    line("next hops", format!("client {}, server {server_mac}", flow.client_mac));
    line("times", times(flow));
    line("from client", traffic(flow.packets_to_server, flow.bytes_to_server));
    line("from server", traffic(flow.packets_to_client, flow.bytes_to_client));
    line("next", flow.prospect());
    line("slot", format!("{}, taken for the {}. time", flow.slot, flow.generation));
    text
}

fn times(flow: &Flow) -> String {
    let mut text = format!("opened {} ago", human::duration(flow.age));
    let answered = match flow.answered_after {
        Some(after) => format!(", answered after {after:?}"),
        None => ", not answered".to_owned(),
    };
    text.push_str(&answered);
    if let Some(closed) = flow.closed {
        let _ = write!(text, ", ended {} ago", human::duration(closed));
    }
    let _ = write!(text, ", last packet {} ago", human::duration(flow.idle));
    text
}

fn traffic(packets: u64, bytes: u64) -> String {
    format!("{packets} packets, {} of payload", human::bytes(bytes))
}

/// A connection of the host's own: nothing of it is rewritten, because it was turned in `connect()`.
fn local(connection: &Connection) -> String {
    let Connection { client, frontend, backend, server, state, .. } = connection;
    format!(
        "{client} -> {frontend} -> {backend}/{server}\n  state       {state}\n  server      a client on this host: its \
         connect() was turned to the server whose turn it was; no packet of it is rewritten\n"
    )
}

fn prospects(why: &Why) -> String {
    let mut text = if why.is_this_host {
        "A new connection from this host is turned in connect() where `host_clients` says so. A SYN from its \
         address that came by the interface now:\n"
            .to_owned()
    } else {
        "A SYN from there now:\n".to_owned()
    };
    for prospect in &why.new_connection {
        let Prospect { frontend, bind, .. } = prospect;
        let _ = writeln!(text, "  to {frontend} {bind}: {}", prospect.sentence());
        if let Some(most) = prospect.max_connections {
            let _ = writeln!(text, "    {} of {most} connections are established", prospect.established);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use lb_common::reason::Reason;
    use serde_json::Value;

    use super::super::{flow, prospect};
    use super::*;

    fn why(flows: Vec<Flow>, new_connection: Vec<Prospect>) -> Why {
        Why { client: "198.18.0.101".into(), flows, local: Vec::new(), new_connection, is_this_host: false }
    }

    #[test]
    fn all_about_one_connection() {
        let shown = text(&why(vec![flow::tests::flow()], Vec::new()), false, Style::Plain);
        let expected = "\
198.18.0.101:40000 -> api 198.18.0.10:6443 -> k8s/fenn 198.18.0.15:6443
  state       ESTAB
  server      it was its turn; fenn has 1 of 3 turns in the ring of 3 servers now
  to server   198.18.0.101:40000 > 198.18.0.10:6443  becomes  198.18.0.10:10240 > 198.18.0.15:6443
  to client   198.18.0.15:6443 > 198.18.0.10:10240  becomes  198.18.0.10:6443 > 198.18.0.101:40000
  next hops   client 02:00:c6:12:00:65, server 02:00:c6:12:00:0f
  times       opened 1m5s ago, answered after 412µs, last packet 1s ago
  from client 12 packets, 1.50 KiB of payload
  from server 34 packets, 3.00 MiB of payload
  next        goes on; expires in 23h59m if no packet comes
  slot        4711, taken for the 3. time
";
        assert_eq!(shown, expected, "shown:\n{shown}");
    }

    #[test]
    fn several_are_a_list_unless_all_is_wanted() {
        let several = why(vec![flow::tests::flow(), flow::tests::flow()], Vec::new());
        let list = text(&several, false, Style::Plain);
        assert_eq!(list.lines().filter(|line| line.contains("ESTAB")).count(), 2, "{list}");
        assert!(list.ends_with("All about one of them: xlb why 198.18.0.101:40000\n"), "{list}");
        assert_eq!(text(&several, true, Style::Plain).matches("becomes").count(), 4);
    }

    #[test]
    fn without_a_connection_it_says_what_would_be() {
        let prospects =
            vec![prospect::tests::prospect(Ok(())), prospect::tests::prospect(Err(Reason::NoServer))];
        let why = why(Vec::new(), prospects);
        let shown = text(&why, false, Style::Plain);
        assert!(shown.starts_with("198.18.0.101 has no connection here"), "{shown}");
        assert!(shown.contains("to api 198.18.0.10:6443: goes to fenn, whose turn it is"), "{shown}");
        let document: Value = serde_json::from_str(&json(&why)).unwrap();
        assert_eq!(document["new_connection"][0]["forwarded"], true);
        assert_eq!(document["new_connection"][1]["reason"], "no_server");
    }

    #[test]
    fn json_is_exact() {
        let document: Value =
            serde_json::from_str(&json(&why(vec![flow::tests::flow()], Vec::new()))).unwrap();
        let flow = &document["flows"][0];
        assert_eq!(
            (&flow["client"], &flow["nat"]),
            (&"198.18.0.101:40000".into(), &"198.18.0.10:10240".into())
        );
        assert_eq!((&flow["state"], &flow["live"]), (&"ESTAB".into(), &true.into()));
        assert_eq!((&flow["age_ms"], &flow["answered_after_us"]), (&65_000.into(), &412.into()));
        assert_eq!((&flow["bytes"][1], &flow["expires_in_ms"]), (&3_145_728.into(), &86_398_000.into()));
        assert_eq!(flow["choice"]["ring_length"], 3);
    }
}
