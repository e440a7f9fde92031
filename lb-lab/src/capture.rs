//! Captures of what passes an interface, taken by tcpdump and read by a parser that is not the
//! product's.

use std::io::{self, BufReader, Read};
use std::net::SocketAddrV4;
use std::panic;
use std::process::ChildStdout;
use std::thread::{self, JoinHandle};

use etherparse::{LinkSlice, NetSlice, SlicedPacket, TransportSlice};

use crate::host::Mac;
use crate::process::Process;
use crate::{Error, Host, Result, http};

/// Length of a pcap file's header and of each record's, from pcap-savefile(5).
const FILE_HEADER: usize = 24;
const RECORD_HEADER: usize = 16;
/// Where a record's header tells the length of the captured frame.
const CAPTURED_LENGTH: std::ops::Range<usize> = 8..12;
/// The port of the discard service, which nobody here offers.
const DISCARD: u16 = 9;
/// How much tcpdump lets the kernel buffer, in KiB: enough for the bursts of a test.
const BUFFER: &str = "65536";

/// A TCP frame that passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// Who sent the frame on this network.
    pub source_mac: Mac,
    /// Who it is for on this network.
    pub destination_mac: Mac,
    /// Source address and port.
    pub source: SocketAddrV4,
    /// Destination address and port.
    pub destination: SocketAddrV4,
    /// Whether it opens a connection: SYN without ACK.
    pub opens: bool,
    /// Its length in bytes, with all headers.
    pub length: usize,
    /// Whether both the IP header's and the TCP checksum are right.
    pub checksums_valid: bool,
}

/// A running capture of TCP over IPv4, at the switch's port of one host.
#[derive(Debug)]
pub struct Capture {
    tcpdump: Process,
    reader: JoinHandle<Result<Vec<Frame>>>,
    switch: Host,
    end: SocketAddrV4,
}

impl Capture {
    /// Starts a capture of the TCP frames to and from a host that match a filter, and waits until
    /// it sees them.
    pub fn start(switch: &Host, host: &Host, filter: &str) -> Result<Self> {
        let end = SocketAddrV4::new(host.address(), DISCARD);
        let filter = format!("ip and tcp and (({filter}) or dst port {DISCARD})");
        // tcpdump's usual change of user would undo the order to end with its parent.
        let user = ["-Z", "root"];
        let amount = ["-i", host.name(), "-n", "-s", "0", "-B", BUFFER];
        let output = ["--immediate-mode", "-U", "-w", "-", &filter];
        let mut command = switch.command("tcpdump");
        let (tcpdump, stdout) = Process::spawn_reading(command.args(user).args(amount).args(output))?;
        let reader = thread::spawn(move || read(stdout, end));
        tcpdump.log().wait_for("listening on")?;
        Ok(Self { tcpdump, reader, switch: switch.clone(), end })
    }

    /// Ends the capture and returns its frames, all of those that passed before this call.
    ///
    /// # Panics
    ///
    /// When the parser does.
    pub fn stop(self) -> Result<Vec<Frame>> {
        // What tcpdump has not read when it ends is lost. So it ends after a frame that shows that
        // everything before has been read: an attempt to reach a port where nobody listens.
        let _refused = self.switch.inside(|| http::connect(self.end.into()));
        let frames = self.reader.join().unwrap_or_else(|panic| panic::resume_unwind(panic));
        self.tcpdump.stop()?;
        frames
    }
}

/// Reads frames until one is for `end`.
fn read(stdout: ChildStdout, end: SocketAddrV4) -> Result<Vec<Frame>> {
    let mut stream = BufReader::new(stdout);
    stream.read_exact(&mut [0; FILE_HEADER]).map_err(Error::io("read the capture's header"))?;
    let mut frames = Vec::new();
    loop {
        let frame = parse(&record(&mut stream).map_err(Error::io("read a captured frame"))?)?;
        if frame.destination == end {
            return Ok(frames);
        }
        frames.push(frame);
    }
}

fn record(stream: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut header = [0; RECORD_HEADER];
    stream.read_exact(&mut header)?;
    let length = header[CAPTURED_LENGTH].try_into().map(u32::from_ne_bytes).map_err(io::Error::other)?;
    let mut bytes = vec![0; length as usize];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn parse(bytes: &[u8]) -> Result<Frame> {
    let malformed = |reason: String| Error::malformed(format!("the captured frame {bytes:02x?}"), &reason);
    let packet = SlicedPacket::from_ethernet(bytes).map_err(|error| malformed(error.to_string()))?;
    let (Some(LinkSlice::Ethernet2(ethernet)), Some(NetSlice::Ipv4(ip)), Some(TransportSlice::Tcp(tcp))) =
        (&packet.link, &packet.net, &packet.transport)
    else {
        return Err(malformed("it is not TCP over IPv4 over Ethernet".to_owned()));
    };
    let header = ip.header();
    let tcp_checksum = tcp
        .calc_checksum_ipv4(header.source(), header.destination())
        .map_err(|error| malformed(error.to_string()))?;
    Ok(Frame {
        source_mac: Mac(ethernet.source()),
        destination_mac: Mac(ethernet.destination()),
        source: SocketAddrV4::new(header.source_addr(), tcp.source_port()),
        destination: SocketAddrV4::new(header.destination_addr(), tcp.destination_port()),
        opens: tcp.syn() && !tcp.ack(),
        length: bytes.len(),
        checksums_valid: agree(header.header_checksum(), header.to_header().calc_header_checksum())
            && agree(tcp.checksum(), tcp_checksum),
    })
}

/// Whether two checksums are the same number: in ones' complement, zero is also written 0xffff, and
/// Linux does so where it fills in checksums in software.
fn agree(found: u16, computed: u16) -> bool {
    found % u16::MAX == computed % u16::MAX
}
