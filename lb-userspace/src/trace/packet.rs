//! A traced packet in words.

use std::fmt::{self, Write};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, SystemTime};

use lb_common::reason::Reason;
use lb_common::trace::{Ended, Record, SNAP};
use serde::Serialize;

use super::Names;

/// A packet, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Packet {
    /// When it came, as RFC 3339 has it.
    pub time: String,
    /// As it came.
    pub came: Frame,
    /// As it left, or what left in its place; none for what did not leave.
    pub left: Option<Frame>,
    /// What became of it: `forwarded`, `passed`, `dropped`, or `answered` by another packet.
    pub verdict: &'static str,
    /// Why, if it was not plainly forwarded.
    pub reason: Option<&'static str>,
    /// The server of its connection, as `backend/name`.
    pub server: Option<String>,
    /// The slot of its connection.
    pub slot: Option<u32>,
}

/// What a frame says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Frame {
    /// Source address and port.
    pub source: SocketAddrV4,
    /// Destination address and port.
    pub destination: SocketAddrV4,
    /// The flags, as tcpdump has them; empty for what is not TCP.
    pub flags: String,
    /// The sequence number.
    pub seq: u32,
    /// The acknowledgement.
    pub ack: u32,
    /// Bytes of payload.
    pub payload: u32,
}

impl Packet {
    /// Reads a record; `boot` is when `CLOCK_MONOTONIC` was zero.
    #[must_use]
    pub fn new(record: &Record, names: &Names, boot: SystemTime) -> Self {
        let time = boot + Duration::from_nanos(record.at);
        let reason = record.outcome.reason();
        let left = (record.lengths[1] > 0).then(|| frame(&record.frames[1]));
        let place = names.place(record);
        Self {
            time: humantime::format_rfc3339_micros(time).to_string(),
            came: frame(&record.frames[0]),
            verdict: verdict(record, reason),
            left,
            reason: reason.map(Reason::name),
            slot: place.as_ref().map(|place| place.slot),
            server: place.map(|place| place.server),
        }
    }
}

fn verdict(record: &Record, reason: Option<Reason>) -> &'static str {
    match (record.ended, reason) {
        (ended, None) if ended == Ended::Sent as u8 => "forwarded",
        (ended, Some(Reason::IcmpToClient | Reason::IcmpToServer)) if ended == Ended::Sent as u8 => {
            "forwarded"
        }
        (ended, _) if ended == Ended::Sent as u8 => "answered",
        (ended, _) if ended == Ended::Passed as u8 => "passed",
        _ => "dropped",
    }
}

/// Where headers are, and what is in them.
const IP: usize = 14;
const PROTOCOL: usize = IP + 9;
const SOURCE: usize = IP + 12;
const DESTINATION: usize = IP + 16;
const TCP_PROTOCOL: u8 = 6;

fn frame(bytes: &[u8; SNAP]) -> Frame {
    let half = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
    let word = |at: usize| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let address = |at: usize| Ipv4Addr::from(word(at));
    let header = usize::from(bytes[IP] & 0xf) * 4;
    let tcp = IP + header;
    if bytes[PROTOCOL] != TCP_PROTOCOL {
        let end = |at| SocketAddrV4::new(address(at), 0);
        let (source, destination) = (end(SOURCE), end(DESTINATION));
        return Frame { source, destination, flags: String::new(), seq: 0, ack: 0, payload: 0 };
    }
    let headers = header + usize::from(bytes[tcp + 12] >> 4) * 4;
    Frame {
        source: SocketAddrV4::new(address(SOURCE), half(tcp)),
        destination: SocketAddrV4::new(address(DESTINATION), half(tcp + 2)),
        flags: flags(bytes[tcp + 13]),
        seq: word(tcp + 4),
        ack: word(tcp + 8),
        payload: u32::from(half(IP + 2)).saturating_sub(headers as u32),
    }
}

/// The letters of tcpdump, in its order.
fn flags(bits: u8) -> String {
    const LETTERS: [(u8, char); 8] = [
        (0x01, 'F'),
        (0x02, 'S'),
        (0x04, 'R'),
        (0x08, 'P'),
        (0x10, '.'),
        (0x20, 'U'),
        (0x40, 'E'),
        (0x80, 'W'),
    ];
    LETTERS.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, letter)| letter).collect()
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { source, destination, flags, seq, ack, payload } = self;
        if flags.is_empty() {
            return write!(f, "{} > {} icmp", source.ip(), destination.ip());
        }
        write!(f, "{source} > {destination} [{flags}] seq {seq}")?;
        if flags.contains('.') {
            write!(f, " ack {ack}")?;
        }
        write!(f, " length {payload}")
    }
}

impl fmt::Display for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = self.time.split_once('T').map_or(self.time.as_str(), |(_, time)| time);
        write!(f, "{} {}: ", time.trim_end_matches('Z'), self.came)?;
        let mut text = self.verdict.to_owned();
        // Writing to a string cannot fail.
        if let Some(reason) = self.reason {
            let _ = write!(text, " ({reason})");
        }
        if let Some(left) = &self.left {
            if self.verdict == "forwarded" {
                let _ = write!(text, " as {} > {}", left.source, left.destination);
            } else {
                let _ = write!(text, " by {left}");
            }
        }
        if let (Some(server), Some(slot)) = (&self.server, self.slot) {
            let _ = write!(text, ", {server} slot {slot}");
        }
        f.write_str(&text)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use etherparse::PacketBuilder;
    use lb_common::trace::Outcome;
    use zerocopy::FromZeros;

    use super::*;

    fn bytes(source: ([u8; 4], u16), destination: ([u8; 4], u16), syn: bool) -> Vec<u8> {
        let builder = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4(source.0, destination.0, 64);
        let builder = builder.tcp(source.1, destination.1, 7, 1_000);
        let builder = if syn { builder.syn() } else { builder.rst().ack(8) };
        let mut bytes = Vec::new();
        builder.write(&mut bytes, if syn { b"" } else { b"four" }).expect("fits");
        bytes
    }

    /// A SYN, forwarded to fenn, a second after the epoch.
    pub fn record() -> Record {
        let mut record = Record::new_zeroed();
        record.at = 1_000_000_000;
        let came = bytes(([198, 18, 0, 101], 40_000), ([198, 18, 0, 10], 6443), true);
        let left = bytes(([198, 18, 0, 10], 10_242), ([198, 18, 0, 15], 6443), true);
        for (place, frame) in record.frames.iter_mut().zip([&came, &left]) {
            place[..frame.len()].copy_from_slice(frame);
        }
        record.lengths = [came.len() as u32, left.len() as u32];
        record.ended = Ended::Sent as u8;
        record
    }

    fn shown(record: &Record) -> String {
        Packet::new(record, &Names::example(), SystemTime::UNIX_EPOCH).to_string()
    }

    #[test]
    fn a_forwarded_packet_has_two_sides() {
        assert_eq!(
            shown(&record()),
            "00:00:01.000000 198.18.0.101:40000 > 198.18.0.10:6443 [S] seq 7 length 0: forwarded as \
             198.18.0.10:10242 > 198.18.0.15:6443, k8s/fenn slot 1002"
        );
    }

    #[test]
    fn another_has_a_reason() {
        let mut record = record();
        record.outcome = Outcome::of(Reason::SourceRate);
        record.lengths[1] = 0;
        record.ended = Ended::Dropped as u8;
        assert!(shown(&record).ends_with("[S] seq 7 length 0: dropped (source_rate)"), "{}", shown(&record));
        record.outcome = Outcome::of(Reason::NoConnection);
        record.ended = Ended::Passed as u8;
        assert!(shown(&record).ends_with(": passed (no_connection)"), "{}", shown(&record));
    }

    #[test]
    fn an_answer_is_shown_in_full() {
        let mut record = record();
        record.outcome = Outcome::of(Reason::NoServer);
        let answer = bytes(([198, 18, 0, 10], 6443), ([198, 18, 0, 101], 40_000), false);
        record.frames[1][..answer.len()].copy_from_slice(&answer);
        record.lengths[1] = answer.len() as u32;
        let expected =
            "answered (no_server) by 198.18.0.10:6443 > 198.18.0.101:40000 [R.] seq 7 ack 8 length 4";
        assert!(shown(&record).ends_with(expected), "{}", shown(&record));
    }

    #[test]
    fn what_has_no_ports_is_no_tcp() {
        let mut record = record();
        record.frames[0][PROTOCOL] = 1;
        record.outcome = Outcome::of(Reason::IcmpToServer);
        let line = shown(&record);
        assert!(line.contains("198.18.0.101 > 198.18.0.10 icmp: forwarded (icmp_to_server) as"), "{line}");
    }
}
