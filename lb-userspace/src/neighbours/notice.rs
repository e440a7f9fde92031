//! What a notification of the kernel means for the next hops.

use rtnetlink::packet_core::NetlinkPayload;
use rtnetlink::packet_route::RouteNetlinkMessage;

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
    pub fn of(notification: &Notification, interface: u32) -> Option<Self> {
        match notification {
            NetlinkPayload::Overrun(_) => Some(Self::LookAgain),
            NetlinkPayload::InnerMessage(message) => Self::of_message(message, interface),
            _ => None,
        }
    }

    fn of_message(message: &RouteNetlinkMessage, interface: u32) -> Option<Self> {
        use RouteNetlinkMessage::{DelNeighbour, DelRoute, NewLink, NewNeighbour, NewRoute};
        match message {
            NewNeighbour(entry) => Entry::parse(entry, interface).map(Self::Changed),
            DelNeighbour(entry) => Entry::parse(entry, interface).map(Self::Deleted),
            NewRoute(_) | DelRoute(_) => Some(Self::LookAgain),
            NewLink(link) if link.header.index == interface => Some(Self::LookAgain),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use rtnetlink::packet_route::AddressFamily;
    use rtnetlink::packet_route::link::LinkMessage;
    use rtnetlink::packet_route::neighbour::{NeighbourAttribute, NeighbourMessage};
    use rtnetlink::packet_route::route::RouteMessage;

    use super::*;

    fn notice(message: RouteNetlinkMessage) -> Option<Notice> {
        Notice::of(&NetlinkPayload::InnerMessage(message), 3)
    }

    fn neighbour(interface: u32) -> NeighbourMessage {
        let mut message = NeighbourMessage::default();
        message.header.family = AddressFamily::Inet;
        message.header.ifindex = interface;
        message.attributes.push(NeighbourAttribute::Destination(Ipv4Addr::LOCALHOST.into()));
        message
    }

    fn link(index: u32) -> RouteNetlinkMessage {
        let mut message = LinkMessage::default();
        message.header.index = index;
        RouteNetlinkMessage::NewLink(message)
    }

    #[test]
    fn lost_notifications_mean_looking_again() {
        assert_eq!(Notice::of(&NetlinkPayload::Overrun(Vec::new()), 3), Some(Notice::LookAgain));
    }

    #[test]
    fn routes_and_our_link_mean_looking_again() {
        let route = RouteMessage::default;
        assert_eq!(notice(RouteNetlinkMessage::NewRoute(route())), Some(Notice::LookAgain));
        assert_eq!(notice(RouteNetlinkMessage::DelRoute(route())), Some(Notice::LookAgain));
        assert_eq!(notice(link(3)), Some(Notice::LookAgain));
        assert_eq!(notice(link(4)), None);
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
