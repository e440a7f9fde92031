//! Whether a driver has native XDP, as `NETDEV` of generic netlink tells since Linux 6.3.

use std::convert::Infallible;
use std::io;

use rtnetlink::packet_core::{
    DefaultNla, Emitable, NLM_F_ACK, NetlinkDeserializable, NetlinkHeader, NetlinkSerializable, Nla,
    NlasIterator,
};
use rtnetlink::sys::protocols::NETLINK_GENERIC;

use crate::netlink::Line;

/// `linux/genetlink.h`: who knows the numbers of all families, and what it is asked.
const CONTROLLER: u16 = 0x10;
const GET_FAMILY: u8 = 3;
const FAMILY_ID: u16 = 1;
const FAMILY_NAME: u16 = 2;

/// `linux/netdev.h`.
const GET_DEVICE: u8 = 1;
const INTERFACE: u16 = 1;
const XDP_FEATURES: u16 = 3;
/// A program may pass, drop and transmit.
const BASIC: u64 = 1;

/// Whether the driver of an interface has native XDP; none where the kernel does not tell.
pub(super) fn has_native_xdp(interface: u32) -> Option<bool> {
    let line = Line::open(NETLINK_GENERIC).ok()?;
    let family = ask(&line, CONTROLLER, GET_FAMILY, (FAMILY_NAME, b"netdev\0"), FAMILY_ID).ok()??;
    let family = u16::from_ne_bytes(family.try_into().ok()?);
    let index = interface.to_ne_bytes();
    let features = ask(&line, family, GET_DEVICE, (INTERFACE, &index), XDP_FEATURES).ok()??;
    Some(u64::from_ne_bytes(features.try_into().ok()?) & BASIC != 0)
}

/// Asks a family about what an attribute names, and returns the value of another in the answer.
fn ask(
    line: &Line,
    family: u16,
    command: u8,
    (name, value): (u16, &[u8]),
    wanted: u16,
) -> io::Result<Option<Vec<u8>>> {
    let attribute = DefaultNla::new(name, value.to_vec());
    line.send(Message { family, command, attributes: vec![attribute] }, NLM_F_ACK)?;
    let mut found = None;
    line.receive(|Message { attributes, .. }| {
        let attribute = attributes.iter().find(|attribute| attribute.kind() == wanted);
        found = attribute.map(|attribute| {
            let mut value = vec![0; attribute.value_len()];
            attribute.emit_value(&mut value);
            value
        });
    })?;
    Ok(found)
}

/// A message of a family of generic netlink.
struct Message {
    family: u16,
    command: u8,
    attributes: Vec<DefaultNla>,
}

impl Message {
    /// Command, version, and two bytes that nobody uses.
    const HEADER: usize = 4;
}

impl NetlinkSerializable for Message {
    fn message_type(&self) -> u16 {
        self.family
    }

    fn buffer_len(&self) -> usize {
        Self::HEADER + self.attributes.as_slice().buffer_len()
    }

    fn serialize(&self, buffer: &mut [u8]) {
        let (header, attributes) = buffer.split_at_mut(Self::HEADER);
        header.copy_from_slice(&[self.command, 1, 0, 0]);
        self.attributes.as_slice().emit(attributes);
    }
}

impl NetlinkDeserializable for Message {
    type Error = Infallible;

    /// What cannot be read is left out.
    fn deserialize(header: &NetlinkHeader, payload: &[u8]) -> Result<Self, Infallible> {
        let attributes = NlasIterator::new(payload.get(Self::HEADER..).unwrap_or_default());
        let attributes = attributes
            .filter_map(Result::ok)
            .map(|attribute| DefaultNla::new(attribute.kind(), attribute.value().to_vec()));
        Ok(Self {
            family: header.message_type,
            command: payload.first().copied().unwrap_or_default(),
            attributes: attributes.collect(),
        })
    }
}

impl From<Message> for rtnetlink::packet_core::NetlinkPayload<Message> {
    fn from(message: Message) -> Self {
        Self::InnerMessage(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_has_none() {
        // A kernel that does not tell is older than any that this is tested on, but may be.
        assert!(matches!(has_native_xdp(1), Some(false) | None));
    }
}
