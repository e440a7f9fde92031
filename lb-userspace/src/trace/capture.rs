//! A capture file (pcapng) that Wireshark opens, with both sides of each rewrite.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::time::{Duration, SystemTime};

use lb_common::trace::{Record, SNAP};
use pcap_file::pcapng::PcapNgWriter;
use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use pcap_file::{DataLink, PcapError};

use super::Packet;

/// Which way a frame went, as the format has it (`epb_flags`, lowest two bits).
const INBOUND: u32 = 1;
const OUTBOUND: u32 = 2;

/// Timestamps are in nanoseconds: ten to the minus nine.
const NANOSECONDS: u8 = 9;

/// A file that is being written.
pub struct Capture<W: Write> {
    writer: PcapNgWriter<W>,
}

impl Capture<BufWriter<File>> {
    /// Begins a file, in place of one that has the name.
    pub fn create(path: &Path, interface: &str) -> io::Result<Self> {
        Self::new(BufWriter::new(File::create(path)?), interface)
    }
}

impl<W: Write> Capture<W> {
    /// Begins a capture of an interface.
    pub fn new(writer: W, interface: &str) -> io::Result<Self> {
        let mut writer = PcapNgWriter::new(writer).map_err(io_error)?;
        let description = InterfaceDescriptionBlock {
            linktype: DataLink::ETHERNET,
            snaplen: SNAP as u32,
            options: vec![
                InterfaceDescriptionOption::IfName(Cow::Owned(interface.to_owned())),
                InterfaceDescriptionOption::IfTsResol(NANOSECONDS),
            ],
        };
        writer.write_pcapng_block(description).map_err(io_error)?;
        Ok(Self { writer })
    }

    /// Writes a packet as it came, with what became of it as a comment, and as it left if it did. `boot` is when
    /// `CLOCK_MONOTONIC` was zero.
    pub fn write(&mut self, record: &Record, packet: &Packet, boot: SystemTime) -> io::Result<()> {
        let time = boot + Duration::from_nanos(record.at);
        let timestamp = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let comment = packet.to_string();
        for (which, direction) in [INBOUND, OUTBOUND].into_iter().enumerate() {
            let length = record.lengths[which];
            if length == 0 {
                continue;
            }
            let kept = (length as usize).min(SNAP);
            let block = EnhancedPacketBlock {
                interface_id: 0,
                timestamp,
                original_len: length,
                data: Cow::Borrowed(&record.frames[which][..kept]),
                options: vec![
                    EnhancedPacketOption::Comment(Cow::Borrowed(&comment)),
                    EnhancedPacketOption::Flags(direction),
                ],
            };
            self.writer.write_pcapng_block(block).map_err(io_error)?;
        }
        Ok(())
    }

    /// Writes out what is held back.
    pub fn flush(&mut self) -> io::Result<()> {
        self.writer.get_mut().flush()
    }
}

fn io_error(error: PcapError) -> io::Error {
    match error {
        PcapError::IoError(error) => error,
        other => io::Error::other(other),
    }
}

#[cfg(test)]
mod tests {
    use pcap_file::pcapng::{Block, PcapNgReader};

    use super::super::packet::tests::record;
    use super::super::{Names, Packet};
    use super::*;

    #[test]
    fn both_sides_are_in_the_file() {
        let record = record();
        let packet = Packet::new(&record, &Names::example(), SystemTime::UNIX_EPOCH);
        let mut bytes = Vec::new();
        let mut capture = Capture::new(&mut bytes, "eth0").expect("memory takes all");
        capture.write(&record, &packet, SystemTime::UNIX_EPOCH).expect("memory takes all");
        let mut reader = PcapNgReader::new(&bytes[..]).expect("it is one");
        let mut frames = Vec::new();
        while let Some(block) = reader.next_block() {
            if let Block::EnhancedPacket(packet) = block.expect("it is sound") {
                let is = |option: &EnhancedPacketOption| matches!(option, EnhancedPacketOption::Flags(way) if *way == frames.len() as u32 + 1);
                assert!(packet.options.iter().any(is), "{:?}", packet.options);
                frames.push(packet.data.to_vec());
            }
        }
        let length = record.lengths[0] as usize;
        assert_eq!(frames, record.frames.map(|frame| frame[..length].to_vec()));
    }
}
