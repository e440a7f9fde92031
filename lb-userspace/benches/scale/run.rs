//! Frames through the bench object's programs, by test runs.

use std::net::SocketAddrV4;

use anyhow::{Context, Result, bail, ensure};
use aya::Ebpf;
use aya::programs::{Program, TestRun, TestRunOptions};
use etherparse::PacketBuilder;
use lb_common::net::Mac;
use lb_common::tcp::Flags;

/// A floor to compare with, and the product's core behind entries that vary the packet.
pub static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/bench.bpf.o"));

/// The program that is the floor, and the one whose packets are each of another flow.
pub const FLOOR: &str = "floor";
pub const NEXT_FLOW: &str = "next_flow";

/// `linux/bpf.h`.
pub const XDP_TX: u32 = 3;

/// What either side has sent by the time that it has opened the connection, in every flow.
pub const SERVER_SEQ: u32 = 1_000_000;
pub const CLIENT_SEQ: u32 = 2_000_000;

/// One end of a frame's way.
#[derive(Clone, Copy, Debug)]
pub struct End {
    pub mac: Mac,
    pub socket: SocketAddrV4,
}

/// A segment without options; one that opens nothing has ten bytes of data.
#[derive(Clone, Copy, Debug)]
pub struct Segment {
    pub flags: u8,
    pub seq: u32,
    pub ack: u32,
}

/// A client's first.
pub const SYN: Segment = Segment { flags: Flags::SYN, seq: CLIENT_SEQ - 1, ack: 0 };
/// A client's next ones.
pub const FROM_CLIENT: Segment = Segment { flags: Flags::ACK, seq: CLIENT_SEQ, ack: SERVER_SEQ };
/// A server's.
pub const FROM_SERVER: Segment = Segment { flags: Flags::ACK, seq: SERVER_SEQ, ack: CLIENT_SEQ };

/// A frame of 64 bytes.
pub fn frame(source: End, destination: End, segment: Segment) -> Vec<u8> {
    let Segment { flags, seq, ack } = segment;
    let ip = PacketBuilder::ethernet2(source.mac.0, destination.mac.0).ipv4(
        source.socket.ip().octets(),
        destination.socket.ip().octets(),
        64,
    );
    let tcp = ip.tcp(source.socket.port(), destination.socket.port(), seq, 64_000);
    let opens = flags & Flags::SYN != 0;
    let tcp = if opens { tcp.syn() } else { tcp };
    let tcp = if flags & Flags::ACK != 0 { tcp.ack(ack) } else { tcp };
    let mut frame = Vec::new();
    tcp.write(&mut frame, if opens { &[] } else { &[0; 10] }).expect("a vector takes any frame");
    frame.resize(64, 0);
    frame
}

/// Runs a frame through a program so many times, and returns the nanoseconds that each took; the last one
/// has to end with this verdict.
pub fn run(ebpf: &Ebpf, name: &str, frame: &[u8], repeat: u32, verdict: u32) -> Result<f64> {
    let mut out = vec![0; frame.len()];
    let options =
        TestRunOptions { data_in: Some(frame), data_out: Some(&mut out), repeat, ..TestRunOptions::new() };
    let result = match ebpf.program(name).context("the object has the program")? {
        Program::Xdp(program) => program.test_run(options)?,
        Program::SchedClassifier(program) => program.test_run(options)?,
        _ => bail!("{name} is a program of another kind"),
    };
    ensure!(result.return_value == verdict, "{name} ended with verdict {}", result.return_value);
    Ok(result.duration.as_nanos() as f64)
}
