//! What a notification of the kernel means for the next hops.

use rtnetlink::packet_core::NetlinkPayload;
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::link::{LinkAttribute, LinkMessage};

use super::Interface;
use super::entry::Entry;
use super::netlink::Notification;

/// Something that the resolver must react to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Notice {
    /// An entry of our interface is now like this.
    Changed(Entry),
    /// An entry of our interface is gone.
    Deleted(Entry),
    /// Routes, our link or an unknown number of things have changed: everything has to be looked at
    /// again.
    LookAgain,
}

impl Notice {
    /// Reads a notification; none if it does not concern `interface`.
    pub fn of(notification: &Notification, interface: &Interface) -> Option<Self> {
        match notification {
            NetlinkPayload::Overrun(_) => Some(Self::LookAgain),
            NetlinkPayload::InnerMessage(message) => Self::of_message(message, interface),
            _ => None,
        }
    }

    fn of_message(message: &RouteNetlinkMessage, interface: &Interface) -> Option<Self> {
        use RouteNetlinkMessage::{DelLink, DelNeighbour, DelRoute, NewLink, NewNeighbour, NewRoute};
        match message {
            NewNeighbour(entry) => Entry::parse(entry, interface.index).map(Self::Changed),
            DelNeighbour(entry) => Entry::parse(entry, interface.index).map(Self::Deleted),
            NewRoute(_) | DelRoute(_) => Some(Self::LookAgain),
            NewLink(link) | DelLink(link) if is_of(link, interface) => Some(Self::LookAgain),
            _ => None,
        }
    }
}

/// Whether a link is our interface, or has its name: one that is made anew has another number.
fn is_of(link: &LinkMessage, interface: &Interface) -> bool {
    let has_name = |attribute: &LinkAttribute| matches!(attribute, LinkAttribute::IfName(name) if *name == interface.name);
    link.header.index == interface.index || link.attributes.iter().any(has_name)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use lb_common::net::Mac;
    use rtnetlink::packet_route::AddressFamily;
    use rtnetlink::packet_route::neighbour::{NeighbourAttribute, NeighbourMessage};
    use rtnetlink::packet_route::route::RouteMessage;

    use super::*;

    fn eth0() -> Interface {
        Interface {
            index: 3,
            name: "eth0".to_owned(),
            mac: Mac([2, 0, 0, 0, 0, 10]),
            mtu: 1500,
            addresses: Vec::new(),
            is_up: true,
            has_carrier: true,
            driver: None,
            has_native_xdp: None,
            xdp: None,
        }
    }

    fn notice(message: RouteNetlinkMessage) -> Option<Notice> {
        Notice::of(&NetlinkPayload::InnerMessage(message), &eth0())
    }

    fn neighbour(interface: u32) -> NeighbourMessage {
        let mut message = NeighbourMessage::default();
        message.header.family = AddressFamily::Inet;
        message.header.ifindex = interface;
        message.attributes.push(NeighbourAttribute::Destination(Ipv4Addr::LOCALHOST.into()));
        message
    }

    fn link(index: u32, name: &str) -> LinkMessage {
        let mut message = LinkMessage::default();
        message.header.index = index;
        message.attributes.push(LinkAttribute::IfName(name.to_owned()));
        message
    }

    #[test]
    fn lost_notifications_mean_looking_again() {
        assert_eq!(Notice::of(&NetlinkPayload::Overrun(Vec::new()), &eth0()), Some(Notice::LookAgain));
    }

    #[test]
    fn routes_and_our_link_mean_looking_again() {
        use RouteNetlinkMessage::{DelLink, DelRoute, NewLink, NewRoute};
        let route = RouteMessage::default;
        assert_eq!(notice(NewRoute(route())), Some(Notice::LookAgain));
        assert_eq!(notice(DelRoute(route())), Some(Notice::LookAgain));
        assert_eq!(notice(NewLink(link(3, "eth0"))), Some(Notice::LookAgain));
        assert_eq!(notice(DelLink(link(3, "eth0"))), Some(Notice::LookAgain));
        assert_eq!(notice(NewLink(link(3, "renamed"))), Some(Notice::LookAgain));
        assert_eq!(notice(NewLink(link(4, "eth0"))), Some(Notice::LookAgain), "made anew");
        assert_eq!(notice(NewLink(link(4, "eth1"))), None);
        assert_eq!(notice(DelLink(link(4, "eth1"))), None);
    }

    #[test]
    fn neighbours_of_our_interface_count() {
        let changed = notice(RouteNetlinkMessage::NewNeighbour(neighbour(3)));
        assert!(matches!(changed, Some(Notice::Changed(entry)) if entry.address == Ipv4Addr::LOCALHOST));
        let deleted = notice(RouteNetlinkMessage::DelNeighbour(neighbour(3)));
        assert!(matches!(deleted, Some(Notice::Deleted(_))));
        assert_eq!(notice(RouteNetlinkMessage::NewNeighbour(neighbour(4))), None);
    }
}
