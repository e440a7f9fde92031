//! A SYN as a real client sends it, with another source each time.

use std::net::{Ipv4Addr, SocketAddrV4};

use crate::host::Mac;

/// Ethernet, IPv4 and TCP headers, and 20 bytes of options.
const LENGTH: usize = IP + IP_LENGTH;
const IP: usize = 14;
const IP_LENGTH: usize = TCP - IP + TCP_LENGTH;
const TCP: usize = IP + 20;
const TCP_LENGTH: usize = 40;
/// Where the checksums stand.
const IP_CHECKSUM: usize = IP + 10;
const TCP_CHECKSUM: usize = TCP + 16;
/// The number of TCP.
const PROTOCOL: u8 = 6;
/// MSS 1460, SACK permitted, timestamps, no operation, window scale 7.
const OPTIONS: [u8; 20] = [2, 4, 0x05, 0xb4, 4, 2, 8, 10, 0, 1, 0, 0, 0, 0, 0, 0, 1, 3, 3, 7];

/// A frame on the wire.
pub(super) type Frame = [u8; LENGTH];

/// SYNs without an end.
#[derive(Debug, Clone)]
pub(super) struct Frames {
    source: Mac,
    destination: Mac,
    targets: Vec<SocketAddrV4>,
    number: usize,
    random: u64,
}

impl Frames {
    /// SYNs from one hardware address to another, to these targets in turns.
    pub(super) fn new(source: Mac, destination: Mac, targets: Vec<SocketAddrV4>) -> Self {
        Self { source, destination, targets, number: 0, random: 0 }
    }

    /// Vigna's `SplitMix64`: every run sends the same frames.
    fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// An address of 198.19.0.0/16, where the lab has no host, and a port that clients use.
    fn client(&mut self) -> SocketAddrV4 {
        let random = self.random();
        let [a, b, port @ .., _, _, _, _] = random.to_be_bytes();
        SocketAddrV4::new(Ipv4Addr::new(198, 19, a, b), u16::from_be_bytes(port) | 0x8000)
    }
}

impl Iterator for Frames {
    type Item = Frame;

    fn next(&mut self) -> Option<Frame> {
        let target = self.targets[self.number % self.targets.len()];
        self.number += 1;
        let (client, sequence) = (self.client(), self.random() as u32);
        Some(frame([self.source, self.destination], client, target, sequence))
    }
}

fn frame(
    [source, destination]: [Mac; 2],
    client: SocketAddrV4,
    target: SocketAddrV4,
    sequence: u32,
) -> Frame {
    let mut frame = [0; LENGTH];
    frame[..6].copy_from_slice(&destination.0);
    frame[6..12].copy_from_slice(&source.0);
    frame[12..14].copy_from_slice(&[0x08, 0x00]);

    // Version and header length, total length, do not fragment, TTL, protocol.
    frame[IP] = 0x45;
    frame[IP + 2..IP + 4].copy_from_slice(&(IP_LENGTH as u16).to_be_bytes());
    frame[IP + 6] = 0x40;
    frame[IP + 8..IP + 10].copy_from_slice(&[64, PROTOCOL]);
    frame[IP + 12..IP + 16].copy_from_slice(&client.ip().octets());
    frame[IP + 16..TCP].copy_from_slice(&target.ip().octets());
    let checksum = !sum(0, &frame[IP..TCP]);
    frame[IP_CHECKSUM..IP_CHECKSUM + 2].copy_from_slice(&checksum.to_be_bytes());

    // Ports, sequence number, header length in words, SYN, window.
    frame[TCP..TCP + 2].copy_from_slice(&client.port().to_be_bytes());
    frame[TCP + 2..TCP + 4].copy_from_slice(&target.port().to_be_bytes());
    frame[TCP + 4..TCP + 8].copy_from_slice(&sequence.to_be_bytes());
    frame[TCP + 12..TCP + 16].copy_from_slice(&[(TCP_LENGTH as u8 / 4) << 4, 0x02, 0xfa, 0xf0]);
    frame[TCP + 20..].copy_from_slice(&OPTIONS);
    // The pseudo-header: both addresses, protocol and length.
    let pseudo = sum(TCP_LENGTH as u16 + u16::from(PROTOCOL), &frame[IP + 12..TCP]);
    let checksum = !sum(pseudo, &frame[TCP..]);
    frame[TCP_CHECKSUM..TCP_CHECKSUM + 2].copy_from_slice(&checksum.to_be_bytes());
    frame
}

/// Adds an even number of bytes in ones' complement, as RFC 1071 has it.
fn sum(start: u16, bytes: &[u8]) -> u16 {
    let words = bytes.chunks_exact(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])));
    let sum = u32::from(start) + words.sum::<u32>();
    let folded = (sum >> 16) + (sum & 0xffff);
    ((folded >> 16) + folded) as u16
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use etherparse::{NetSlice, SlicedPacket, TransportSlice};

    use super::*;

    #[test]
    fn frames_are_whole_syns_from_addresses_of_nobody() {
        let targets = [6443, 7000].map(|port| SocketAddrV4::new(Ipv4Addr::new(198, 18, 0, 10), port));
        let frames = Frames::new(Mac([2, 0, 0, 0, 0, 1]), Mac([2, 0, 0, 0, 0, 2]), targets.to_vec());
        let mut clients = BTreeSet::new();
        for (number, frame) in frames.take(1000).enumerate() {
            let packet = SlicedPacket::from_ethernet(&frame).expect("a frame has headers");
            let (Some(NetSlice::Ipv4(ip)), Some(TransportSlice::Tcp(tcp))) = (packet.net, packet.transport)
            else {
                panic!("{frame:02x?} is not TCP over IPv4");
            };
            let ip = ip.header();
            assert_eq!(ip.header_checksum(), ip.to_header().calc_header_checksum());
            assert_eq!(Ok(tcp.checksum()), tcp.calc_checksum_ipv4(ip.source(), ip.destination()));
            assert!(tcp.syn() && !tcp.ack() && tcp.options_iterator().all(|option| option.is_ok()));
            assert!(ip.source_addr().octets().starts_with(&[198, 19]));
            assert_eq!(tcp.destination_port(), targets[number % 2].port());
            clients.insert((ip.source_addr(), tcp.source_port()));
        }
        assert_eq!(clients.len(), 1000);
    }
}
