//! A RST as bytes, from the IPv4 header on.

use std::net::Ipv4Addr;

use lb_common::checksum::Delta;
use lb_common::net::{Addr, Port};
use lb_common::tcp::{Flags, Seq};

/// Bytes of an IPv4 header without options, and of a TCP header without options.
const HEADER: usize = 20;

/// The number of TCP in IPv4 (RFC 9293).
const TCP: u8 = 6;

/// A packet that ends a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reset {
    /// Who it says that it comes from.
    pub source: (Addr, Port),
    /// Whose connection it ends.
    pub destination: (Addr, Port),
    /// The number that the receiver expects next.
    pub seq: Seq,
}

impl Reset {
    /// Where it goes.
    pub fn receiver(&self) -> Ipv4Addr {
        self.destination.0.into()
    }

    /// The packet, without the IPv4 header's length and checksum, which the kernel fills in.
    pub fn bytes(&self) -> [u8; 2 * HEADER] {
        let (source, destination) = (self.source.0.wire(), self.destination.0.wire());
        let mut packet = [0; 2 * HEADER];
        let (ip, tcp) = packet.split_at_mut(HEADER);
        // Version 4, five words; don't fragment; 64 hops.
        ip[0] = 0x45;
        ip[6] = 0x40;
        ip[8] = 64;
        ip[9] = TCP;
        ip[12..16].copy_from_slice(&source.to_ne_bytes());
        ip[16..20].copy_from_slice(&destination.to_ne_bytes());
        tcp[0..2].copy_from_slice(&self.source.1.wire().to_ne_bytes());
        tcp[2..4].copy_from_slice(&self.destination.1.wire().to_ne_bytes());
        tcp[4..8].copy_from_slice(&self.seq.0.to_be_bytes());
        tcp[12] = (HEADER as u8) << 2;
        tcp[13] = Flags::RST;
        let words = tcp.chunks_exact(2).map(|word| u16::from_ne_bytes([word[0], word[1]]));
        let pseudo_header = Delta::new()
            .insert32(source)
            .insert32(destination)
            .insert16(u16::from(TCP).to_be())
            .insert16((HEADER as u16).to_be());
        let sum = words.fold(pseudo_header, Delta::insert16);
        tcp[16..18].copy_from_slice(&sum.checksum().to_ne_bytes());
        packet
    }
}

#[cfg(test)]
mod tests {
    use etherparse::{Ipv4HeaderSlice, TcpSlice};

    use super::*;

    #[test]
    fn another_parser_reads_the_same() {
        let reset = Reset {
            source: (Ipv4Addr::new(198, 18, 0, 10).into(), Port::new(6443)),
            destination: (Ipv4Addr::new(198, 18, 0, 101).into(), Port::new(40_000)),
            seq: Seq(0xfedc_ba98),
        };
        let bytes = reset.bytes();
        let ip = Ipv4HeaderSlice::from_slice(&bytes).expect("an IPv4 header");
        let tcp = TcpSlice::from_slice(&bytes[HEADER..]).expect("a TCP header");
        assert_eq!(ip.source_addr(), Ipv4Addr::new(198, 18, 0, 10));
        assert_eq!(ip.destination_addr(), reset.receiver());
        assert_eq!((tcp.source_port(), tcp.destination_port()), (6443, 40_000));
        assert_eq!((tcp.sequence_number(), tcp.rst(), tcp.ack()), (0xfedc_ba98, true, false));
        assert_eq!(tcp.calc_checksum_ipv4(ip.source(), ip.destination()), Ok(tcp.checksum()));
    }
}
