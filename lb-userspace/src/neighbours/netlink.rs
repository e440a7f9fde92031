//! The two netlink sockets.
//!
//! Requests and notifications do not share one: a burst of notifications that overruns the socket's
//! buffer may then cost no answer to a request.

use futures::channel::mpsc::UnboundedReceiver;
use futures::{FutureExt, StreamExt};
use rtnetlink::packet_core::{NetlinkMessage, NetlinkPayload};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::sys::SocketAddr;
use rtnetlink::{Handle, MulticastGroup};
use tokio::task::JoinSet;

use super::Error;

/// What the kernel tells unasked.
pub(super) type Notification = NetlinkPayload<RouteNetlinkMessage>;

/// A socket for requests, closed when this is dropped.
pub(super) struct Requests {
    handle: Handle,
    _connection: JoinSet<()>,
}

/// A socket that hears of changes, closed when this is dropped.
pub(super) struct Notifications {
    messages: UnboundedReceiver<(NetlinkMessage<RouteNetlinkMessage>, SocketAddr)>,
    _connection: JoinSet<()>,
}

impl Requests {
    /// Opens the socket in the calling thread's network namespace.
    pub fn open() -> Result<Self, Error> {
        let (connection, handle, _) = rtnetlink::new_connection().map_err(Error::Socket)?;
        Ok(Self { handle, _connection: JoinSet::from_iter([connection]) })
    }

    /// What requests are made with.
    pub const fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Notifications {
    /// Subscribes to changes of neighbours, IPv4 routes and links.
    pub fn subscribe() -> Result<Self, Error> {
        let groups = [MulticastGroup::Neigh, MulticastGroup::Ipv4Route, MulticastGroup::Link];
        let (connection, _, messages) =
            rtnetlink::new_multicast_connection(&groups).map_err(Error::Socket)?;
        Ok(Self { messages, _connection: JoinSet::from_iter([connection]) })
    }

    /// Waits for the next notification; none when the socket has failed.
    pub async fn next(&mut self) -> Option<Notification> {
        self.messages.next().await.map(|(message, _)| message.payload)
    }

    /// The next notification if it is there already.
    pub fn queued(&mut self) -> Option<Notification> {
        self.next().now_or_never().flatten()
    }
}
