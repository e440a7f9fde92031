//! Frames as the network sends them, and what another parser than ours says about them.

use std::net::SocketAddrV4;

use etherparse::checksum::Sum16BitWords;
use etherparse::err::packet::SliceError;
use etherparse::{
    EtherType, Ethernet2Header, Icmpv4Header, Icmpv4Type, IpNumber, Ipv4Header, Ipv4HeaderSlice, Ipv4Slice,
    SlicedPacket, TcpHeader, TcpOptions, TcpSlice, TransportSlice,
};
use lb_common::net::Mac;
use lb_common::tcp::Flags;

/// Where the headers begin, and where the TCP options do.
pub const IP_AT: usize = 14;
pub const TCP_AT: usize = IP_AT + 20;
pub const OPTIONS_AT: usize = TCP_AT + 20;

/// Where an ICMP message begins, and what it quotes.
pub const ICMP_AT: usize = IP_AT + 20;
pub const QUOTE_AT: usize = ICMP_AT + 8;

/// One end of a frame's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    pub mac: Mac,
    pub socket: SocketAddrV4,
}

/// A TCP segment in IPv4 in Ethernet, with lengths and checksums filled in when it becomes bytes.
#[derive(Clone, Debug)]
pub struct Frame {
    pub eth: Ethernet2Header,
    pub ip: Ipv4Header,
    pub tcp: TcpHeader,
    pub payload: Vec<u8>,
}

impl Frame {
    /// A bare segment.
    pub fn new(source: End, destination: End, flags: u8, seq: u32, ack: u32) -> Self {
        let eth = Ethernet2Header {
            source: source.mac.0,
            destination: destination.mac.0,
            ether_type: EtherType::IPV4,
        };
        let ip = Ipv4Header {
            identification: 0x1234,
            dont_fragment: true,
            time_to_live: 64,
            protocol: IpNumber::TCP,
            source: source.socket.ip().octets(),
            destination: destination.socket.ip().octets(),
            ..Ipv4Header::default()
        };
        let tcp = TcpHeader {
            acknowledgment_number: ack,
            fin: flags & Flags::FIN != 0,
            syn: flags & Flags::SYN != 0,
            rst: flags & Flags::RST != 0,
            ack: flags & Flags::ACK != 0,
            ..TcpHeader::new(source.socket.port(), destination.socket.port(), seq, 64_240)
        };
        Self { eth, ip, tcp, payload: Vec::new() }
    }

    /// The same segment with a payload.
    pub fn payload(self, payload: &[u8]) -> Self {
        Self { payload: payload.to_vec(), ..self }
    }

    /// The same segment with TCP options, as they stand there; zeros fill the last word.
    pub fn options(mut self, options: &[u8]) -> Self {
        self.tcp.options = TcpOptions::try_from_slice(options).expect("at most forty bytes");
        self
    }

    /// The same segment with something changed.
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// The frame on its way from `source` to `destination`, one hop further.
    pub fn forwarded(mut self, source: End, destination: End) -> Self {
        self.eth.source = source.mac.0;
        self.eth.destination = destination.mac.0;
        self.ip.source = source.socket.ip().octets();
        self.ip.destination = destination.socket.ip().octets();
        self.ip.time_to_live -= 1;
        self.tcp.source_port = source.socket.port();
        self.tcp.destination_port = destination.socket.port();
        self
    }

    /// The sequence number after the segment.
    pub fn end(&self) -> u32 {
        let length = self.payload.len() as u32 + u32::from(self.tcp.syn) + u32::from(self.tcp.fin);
        self.tcp.sequence_number.wrapping_add(length)
    }

    /// The frame's bytes.
    pub fn bytes(&self) -> Vec<u8> {
        let Self { eth, mut ip, mut tcp, payload } = self.clone();
        ip.set_payload_len(tcp.header_len() + payload.len()).expect("fits a packet");
        ip.header_checksum = ip.calc_header_checksum();
        tcp.checksum = tcp.calc_checksum_ipv4(&ip, &payload).expect("fits a packet");
        [&eth.to_bytes()[..], &ip.to_bytes(), &tcp.to_bytes(), &payload].concat()
    }

    /// The frame's bytes with some of them overwritten: what no library makes.
    pub fn patched(&self, at: usize, patch: &[u8]) -> Vec<u8> {
        let mut bytes = self.bytes();
        bytes[at..at + patch.len()].copy_from_slice(patch);
        bytes
    }
}

/// An ICMP error in IPv4 in Ethernet, with lengths and checksums filled in when it becomes bytes.
#[derive(Clone, Debug)]
pub struct Complaint {
    pub eth: Ethernet2Header,
    pub ip: Ipv4Header,
    /// Type and code.
    pub kind: (u8, u8),
    /// The second word of the header.
    pub rest: [u8; 4],
    /// The packet that it is about, or its beginning.
    pub quote: Vec<u8>,
}

impl Complaint {
    /// About the first bytes of a packet. Ports do not matter.
    pub fn new(source: End, destination: End, kind: (u8, u8), packet: &Frame, length: usize) -> Self {
        let Frame { eth, mut ip, .. } = Frame::new(source, destination, 0, 0, 0);
        ip.protocol = IpNumber::ICMP;
        ip.dont_fragment = false;
        // Such as "fragmentation needed" of a link of 1,400 bytes.
        let rest = [0, 0, 0x05, 0x78];
        let mut quote = packet.bytes().split_off(IP_AT);
        quote.truncate(length);
        Self { eth, ip, kind, rest, quote }
    }

    /// The same complaint with something changed.
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// The frame's bytes.
    pub fn bytes(&self) -> Vec<u8> {
        let Self { eth, mut ip, kind: (type_u8, code_u8), rest, quote } = self.clone();
        let kind = Icmpv4Type::Unknown { type_u8, code_u8, bytes5to8: rest };
        ip.set_payload_len(QUOTE_AT - ICMP_AT + quote.len()).expect("fits a packet");
        ip.header_checksum = ip.calc_header_checksum();
        let icmp = Icmpv4Header::with_checksum(kind, &quote);
        [&eth.to_bytes()[..], &ip.to_bytes(), &icmp.to_bytes(), &quote].concat()
    }
}

/// Whether a frame is a whole TCP segment or ICMP message in IPv4 whose checksums are right, those of
/// what it quotes too.
pub fn is_sound(frame: &[u8]) -> Result<bool, SliceError> {
    let packet = SlicedPacket::from_ethernet(frame)?;
    let Some(ip) = packet.net.as_ref().and_then(|net| net.ipv4_ref()) else { return Ok(false) };
    let is_transport_sound = match &packet.transport {
        Some(TransportSlice::Tcp(tcp)) => is_tcp_sound(tcp, ip.header()),
        Some(TransportSlice::Icmpv4(icmp)) => {
            Sum16BitWords::new().add_slice(icmp.slice()).ones_complement() == 0
                && is_quote_sound(icmp.payload())
        }
        _ => false,
    };
    Ok(is_header_sound(ip.header()) && is_transport_sound)
}

fn is_header_sound(ip: Ipv4HeaderSlice) -> bool {
    ip.header_checksum() == ip.to_header().calc_header_checksum()
}

fn is_tcp_sound(tcp: &TcpSlice, ip: Ipv4HeaderSlice) -> bool {
    Ok(tcp.checksum()) == tcp.calc_checksum_ipv4(ip.source(), ip.destination())
}

/// Whether the checksums of a quoted packet are right, as far as it is quoted.
fn is_quote_sound(quote: &[u8]) -> bool {
    let Ok(header) = Ipv4HeaderSlice::from_slice(quote) else { return false };
    // Only a packet that is quoted whole has a segment whose checksum can be told.
    let whole = Ipv4Slice::from_slice(quote);
    let tcp = whole.as_ref().ok().and_then(|ip| TcpSlice::from_slice(ip.payload().payload).ok());
    is_header_sound(header) && tcp.is_none_or(|tcp| is_tcp_sound(&tcp, header))
}

#[test]
fn the_checker_notices_a_wrong_bit() {
    let end = |last, port| End {
        mac: Mac([2, 0, 0, 0, 0, last]),
        socket: SocketAddrV4::new([10, 0, 0, last].into(), port),
    };
    let frame = Frame::new(end(1, 4000), end(2, 80), Flags::ACK, 1, 2).payload(b"abc").bytes();
    assert_eq!(is_sound(&frame), Ok(true));
    // The TTL, the server's port, the last byte of the payload.
    for at in [IP_AT + 8, TCP_AT + 3, frame.len() - 1] {
        let mut frame = frame.clone();
        frame[at] ^= 1;
        assert_eq!(is_sound(&frame), Ok(false), "byte {at}");
    }
}

#[test]
fn the_checker_notices_a_wrong_bit_in_a_quote() {
    let end = |last, port| End {
        mac: Mac([2, 0, 0, 0, 0, last]),
        socket: SocketAddrV4::new([10, 0, 0, last].into(), port),
    };
    let about = Frame::new(end(1, 4000), end(2, 80), Flags::ACK, 1, 2).payload(b"abc");
    let complaint = Complaint::new(end(3, 0), end(1, 0), (3, 4), &about, usize::MAX);
    assert_eq!(is_sound(&complaint.bytes()), Ok(true));
    // The quote's source, its port, and the last byte of what was sent: sound by the ICMP checksum
    // alone.
    for at in [12, 21, complaint.quote.len() - 1] {
        let wrong = complaint.clone().with(|complaint| complaint.quote[at] ^= 1);
        assert_eq!(is_sound(&wrong.bytes()), Ok(false), "byte {at} of the quote");
    }
    // The code, the MTU, and the same last byte: by the ICMP checksum.
    let bytes = complaint.bytes();
    for at in [ICMP_AT + 1, ICMP_AT + 7, bytes.len() - 1] {
        let mut wrong = bytes.clone();
        wrong[at] ^= 1;
        assert_eq!(is_sound(&wrong), Ok(false), "byte {at}");
    }
}
