//! Lines as datagrams of syslog (RFC 3164), as HAProxy sends them: without the host's name, and with a line
//! feed at the end.

use chrono::{DateTime, Local};

use crate::config::logging::{Facility, Level};

/// Who writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sender {
    /// The program's name.
    pub tag: String,
    /// The process.
    pub pid: u32,
}

impl Sender {
    /// A line for a syslog daemon.
    pub fn datagram(&self, facility: Facility, level: Level, at: DateTime<Local>, text: &str) -> Vec<u8> {
        let priority = u32::from(facility.number()) * 8 + u32::from(level.number());
        let Self { tag, pid } = self;
        format!("<{priority}>{} {tag}[{pid}]: {text}\n", at.format("%b %e %H:%M:%S")).into_bytes()
    }

    /// A line for systemd's journal, in its native protocol. No line has a line feed in it.
    pub fn entry(&self, facility: Facility, level: Level, text: &str) -> Vec<u8> {
        let Self { tag, pid } = self;
        let (level, facility) = (level.number(), facility.number());
        format!(
            "MESSAGE={text}\nPRIORITY={level}\nSYSLOG_FACILITY={facility}\nSYSLOG_IDENTIFIER={tag}\nSYSLOG_PID={pid}\n"
        )
        .into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone;

    use super::*;

    fn sender() -> Sender {
        Sender { tag: "haproxy".into(), pid: 14389 }
    }

    #[test]
    fn a_datagram_has_priority_time_and_tag() {
        let at = Local.with_ymd_and_hms(2026, 2, 6, 12, 14, 14).single().expect("a time");
        let datagram = sender().datagram(Facility::LOCAL0, Level::INFO, at, "198.18.0.2:1 …");
        let text = String::from_utf8(datagram).expect("text");
        assert_eq!(text, "<134>Feb  6 12:14:14 haproxy[14389]: 198.18.0.2:1 …\n");
    }

    #[test]
    fn the_journal_gets_fields() {
        let entry = sender().entry(Facility::LOCAL0, Level::ALERT, "Server b/s is DOWN");
        let text = String::from_utf8(entry).expect("text");
        assert!(text.starts_with("MESSAGE=Server b/s is DOWN\nPRIORITY=1\nSYSLOG_FACILITY=16\n"), "{text}");
        assert!(text.ends_with("SYSLOG_IDENTIFIER=haproxy\nSYSLOG_PID=14389\n"), "{text}");
    }
}
