//! The snapshot as JSON: exact numbers, all reasons, whatever the table leaves out.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::{Agent, Frontend, Reason, Server, Snapshot};

/// The document, in the order in which it is read.
#[derive(Serialize)]
struct Document<'a> {
    interface: &'a str,
    mode: &'a str,
    mode_reason: &'a str,
    agent: Agent,
    #[serde(rename = "confirm_within_ms", serialize_with = "optional_millis")]
    confirm_within: Option<Duration>,
    frontends: &'a [Frontend],
    servers: &'a [Server],
    #[serde(serialize_with = "counts")]
    reasons: &'a [Reason],
    memory_bytes: u64,
    memory: &'a BTreeMap<String, u64>,
}

/// One JSON object.
#[must_use]
pub fn json(snapshot: &Snapshot) -> String {
    let document = Document {
        interface: &snapshot.interface,
        mode: &snapshot.mode,
        mode_reason: &snapshot.mode_reason,
        agent: snapshot.agent,
        confirm_within: snapshot.confirm_within,
        frontends: &snapshot.frontends,
        servers: &snapshot.servers,
        reasons: &snapshot.reasons,
        memory_bytes: snapshot.memory_bytes(),
        memory: &snapshot.memory,
    };
    pretty(&document)
}

/// Any of our documents as text.
pub(crate) fn pretty(document: &impl Serialize) -> String {
    serde_json::to_string_pretty(document).expect("strings as keys, and nothing that can fail to serialize")
}

/// A duration as whole milliseconds.
pub(super) fn millis<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(duration.as_millis() as u64)
}

/// The same, or null.
#[expect(clippy::ref_option, reason = "the signature that serde calls")]
pub(super) fn optional_millis<S: Serializer>(
    duration: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    duration.map(|duration| duration.as_millis() as u64).serialize(serializer)
}

/// A moment as RFC 3339 has it, or null.
#[expect(clippy::ref_option, reason = "the signature that serde calls")]
pub(super) fn optional_time<S: Serializer>(
    time: &Option<SystemTime>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    time.map(|time| humantime::format_rfc3339_seconds(time).to_string()).serialize(serializer)
}

/// An object from a reason's name to its count.
fn counts<S: Serializer>(reasons: &&[Reason], serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(reasons.len()))?;
    for reason in *reasons {
        map.serialize_entry(&reason.name, &reason.count)?;
    }
    map.end()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::stats::table::tests::snapshot;

    #[test]
    fn the_document_is_what_programs_expect() {
        let document: Value = serde_json::from_str(&super::json(&snapshot())).unwrap();
        let traffic = (1536, 3_145_728, 12, 34);
        assert_eq!(document["interface"], "eth0");
        assert_eq!(document["mode"], "native");
        assert_eq!(document["agent"], json!({"state": "running", "pid": 4711}));
        assert_eq!(
            document["frontends"],
            json!([{
                "name": "k8s-api-server", "bind": "198.18.0.10:6443", "backend": "k8s-api-server",
                "connections": 900, "refused": 10, "redispatched": 4, "current": 7, "open": 3,
                "max_connections": 4096, "removed": false, "local": {"connections": 120, "current": 2}, "bytes_in": traffic.0, "bytes_out": traffic.1,
                "packets_in": traffic.2, "packets_out": traffic.3,
            }])
        );
        assert_eq!(
            document["servers"][1],
            json!({
                "backend": "k8s-api-server", "name": "fenn", "address": "198.18.0.15:6443", "weight": 2,
                "configured_weight": 1, "backup": false, "slots": 22_528,
                "standing": {"counter": 1, "rise": 2, "fall": 3},
                "history": {"failures": 3, "downs": 1, "down_for": 0},
                "state": "DOWN", "status": "DOWN 1/2", "since_ms": 61_000,
                "check": {
                    "status": "L4CON", "code": null, "description": "Layer4 connection problem",
                    "info": "Connection refused", "duration_ms": 0, "age_ms": 1500,
                },
                "certificate_expires": null, "next_hop": null, "connections": 300, "established": 290, "refused": 10, "redispatched": 4, "current": 4, "open": 3,
                "states": {"ESTAB": 3, "TIME-WAIT": 1}, "local": {"connections": 40, "current": 2}, "bytes_in": traffic.0, "bytes_out": traffic.1,
                "packets_in": traffic.2, "packets_out": traffic.3,
            })
        );
        assert_eq!(document["servers"][2]["state"], "no check");
        assert_eq!(document["reasons"], json!({"no_slot": 0, "not_tcp": 5}));
        assert_eq!(document["memory_bytes"], 3_145_728 + 1024);
        assert_eq!(document["memory"], json!({"INDEX": 1024, "SLOTS": 3_145_728}));
    }

    #[test]
    fn an_absent_agent_has_no_pid() {
        let mut snapshot = snapshot();
        snapshot.agent = crate::stats::Agent::NotRunning;
        let document: Value = serde_json::from_str(&super::json(&snapshot)).unwrap();
        assert_eq!(document["agent"], json!({"state": "not_running"}));
    }
}
