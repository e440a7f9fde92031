//! Frames of a connection's ends.

use std::net::SocketAddrV4;

use etherparse::PacketBuilder;
use lb_common::net::Mac;
use lb_common::tcp::Flags;

/// What either side has sent by the time that it has opened the connection, in every flow.
pub const SERVER_SEQ: u32 = 1_000_000;
pub const CLIENT_SEQ: u32 = 2_000_000;

/// Of a frame that is sent.
pub const TTL: u8 = 64;

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
pub fn frame(source: End, destination: End, ttl: u8, segment: Segment) -> Vec<u8> {
    let Segment { flags, seq, ack } = segment;
    let ip = PacketBuilder::ethernet2(source.mac.0, destination.mac.0).ipv4(
        source.socket.ip().octets(),
        destination.socket.ip().octets(),
        ttl,
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
