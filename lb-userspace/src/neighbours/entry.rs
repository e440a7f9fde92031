//! The kernel's neighbour entries: reading them, and having the kernel keep those that we need.

use std::net::Ipv4Addr;

use futures::TryStreamExt;
use lb_common::net::Mac;
use rtnetlink::Handle;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourExtFlags, NeighbourFlags, NeighbourHeader,
    NeighbourMessage, NeighbourState,
};
use rtnetlink::packet_route::route::RouteProtocol;

use super::Error;

/// Who installed an entry (`NDA_PROTOCOL`, shown by `ip neigh` as `proto 88`): a number that
/// nobody else uses, so that our entries are known even after a `kill -9`.
const OURS: RouteProtocol = RouteProtocol::Other(88);

/// A neighbour entry of the balancer's interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Whose entry it is.
    pub address: Ipv4Addr,
    /// Where frames to it go, if the kernel knows.
    pub mac: Option<Mac>,
    /// Whether it stays without being used: managed or permanent.
    pub is_kept: bool,
    /// Whether [`install`] made it.
    pub is_ours: bool,
}

impl Entry {
    /// Reads an entry; none if it belongs to another interface or family.
    pub fn parse(message: &NeighbourMessage, interface: u32) -> Option<Self> {
        let header = &message.header;
        if header.ifindex != interface || header.family != AddressFamily::Inet {
            return None;
        }
        let mut entry =
            Self { address: address(message)?, mac: None, is_kept: stays(header), is_ours: false };
        for attribute in &message.attributes {
            match attribute {
                NeighbourAttribute::LinkLayerAddress(bytes) if is_usable(header.state) => {
                    entry.mac = mac(bytes);
                }
                NeighbourAttribute::ExtFlags(flags) => {
                    entry.is_kept |= flags.contains(NeighbourExtFlags::Managed);
                }
                NeighbourAttribute::Protocol(protocol) => entry.is_ours = *protocol == OURS,
                _ => {}
            }
        }
        Some(entry)
    }
}

/// All entries of an interface.
pub(super) async fn list(handle: &Handle, interface: u32) -> Result<Vec<Entry>, Error> {
    let request = handle.neighbours().get().set_address_family(AddressFamily::Inet);
    let messages: Vec<_> =
        request.execute().try_collect().await.map_err(Error::request("list the neighbours"))?;
    Ok(messages.iter().filter_map(|message| Entry::parse(message, interface)).collect())
}

/// Has the kernel resolve `address` now and keep the result fresh, until [`release`].
pub(super) async fn install(handle: &Handle, interface: u32, address: Ipv4Addr) -> Result<(), Error> {
    let request = handle.neighbours().add(interface, address.into());
    let mut request = request.state(NeighbourState::None).replace();
    let attributes = &mut request.message_mut().attributes;
    attributes.push(NeighbourAttribute::ExtFlags(NeighbourExtFlags::Managed));
    attributes.push(NeighbourAttribute::Protocol(OURS));
    request.execute().await.map_err(Error::request("install a managed neighbour"))
}

/// Deletes the entries that [`install`] made. The host resolves anew what it needs itself.
pub(super) async fn release(handle: &Handle, interface: u32) -> Result<(), Error> {
    release_unless(handle, interface, |_| false).await
}

/// Deletes those of them that are not needed any more.
pub(super) async fn release_unless(
    handle: &Handle,
    interface: u32,
    is_needed: impl Fn(Ipv4Addr) -> bool,
) -> Result<(), Error> {
    let entries = list(handle, interface).await?;
    for entry in entries.into_iter().filter(|entry| entry.is_ours && !is_needed(entry.address)) {
        match handle.neighbours().del(deletion(interface, entry.address)).execute().await {
            Err(rtnetlink::Error::NetlinkError(error)) if error.raw_code() == -libc::ENOENT => {}
            result => result.map_err(Error::request("delete a managed neighbour"))?,
        }
    }
    Ok(())
}

fn deletion(interface: u32, address: Ipv4Addr) -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    message.header = NeighbourHeader {
        family: AddressFamily::Inet,
        ifindex: interface,
        flags: NeighbourFlags::empty(),
        ..NeighbourHeader::default()
    };
    message.attributes.push(NeighbourAttribute::Destination(address.into()));
    message
}

fn address(message: &NeighbourMessage) -> Option<Ipv4Addr> {
    message.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::Destination(NeighbourAddress::Inet(address)) => Some(*address),
        _ => None,
    })
}

/// Whether an administrator made the entry, which must then stay as it is.
fn stays(header: &NeighbourHeader) -> bool {
    matches!(header.state, NeighbourState::Permanent | NeighbourState::Noarp)
}

/// Whether the kernel itself would send to the address of an entry in this state (`NUD_VALID`).
fn is_usable(state: NeighbourState) -> bool {
    use NeighbourState::{Delay, Noarp, Permanent, Probe, Reachable, Stale};
    matches!(state, Reachable | Stale | Delay | Probe | Permanent | Noarp)
}

fn mac(bytes: &[u8]) -> Option<Mac> {
    let mac = Mac(bytes.try_into().ok()?);
    mac.is_unicast().then_some(mac)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 11);
    const MAC: [u8; 6] = [2, 0, 0, 0, 0, 11];

    fn message(state: NeighbourState, attributes: &[NeighbourAttribute]) -> NeighbourMessage {
        let mut message = deletion(3, ADDRESS);
        message.header.state = state;
        message.attributes.extend_from_slice(attributes);
        message
    }

    fn parse(state: NeighbourState, attributes: &[NeighbourAttribute]) -> Entry {
        Entry::parse(&message(state, attributes), 3).unwrap()
    }

    #[test]
    fn only_valid_states_give_an_address() {
        use NeighbourState::{Delay, Failed, Incomplete, Noarp, None, Permanent, Probe, Reachable, Stale};
        let lladdr = [NeighbourAttribute::LinkLayerAddress(MAC.to_vec())];
        for state in [Reachable, Stale, Delay, Probe, Permanent, Noarp] {
            assert_eq!(parse(state, &lladdr).mac, Some(Mac(MAC)), "{state}");
        }
        for state in [None, Incomplete, Failed] {
            assert_eq!(parse(state, &lladdr).mac, Option::None, "{state}");
        }
    }

    #[test]
    fn an_address_that_is_not_one_hosts_is_none() {
        for bytes in [&[0; 6][..], &[0xff; 6], &[2, 0, 0, 1]] {
            let lladdr = [NeighbourAttribute::LinkLayerAddress(bytes.to_vec())];
            assert_eq!(parse(NeighbourState::Reachable, &lladdr).mac, None, "{bytes:?}");
        }
    }

    #[test]
    fn managed_and_permanent_entries_stay() {
        let managed = [NeighbourAttribute::ExtFlags(NeighbourExtFlags::Managed)];
        assert!(parse(NeighbourState::Reachable, &managed).is_kept);
        assert!(parse(NeighbourState::Permanent, &[]).is_kept);
        assert!(!parse(NeighbourState::Reachable, &[]).is_kept);
    }

    #[test]
    fn ours_are_those_of_our_protocol() {
        let ours = |protocol| parse(NeighbourState::Stale, &[NeighbourAttribute::Protocol(protocol)]).is_ours;
        assert!(ours(OURS));
        assert!(!ours(RouteProtocol::Zebra));
        assert!(!parse(NeighbourState::Stale, &[]).is_ours);
    }

    #[test]
    fn other_interfaces_are_none_of_ours() {
        assert_eq!(Entry::parse(&message(NeighbourState::Reachable, &[]), 4), None);
    }
}
