//! What can go wrong with netlink and with what it finds.

use std::io;
use std::net::Ipv4Addr;

use crate::kind::Kind;

/// Why an interface or a next hop could not be found or used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configured interface does not exist.
    #[error("there is no interface {0:?}")]
    NoInterface(String),
    /// The interface has no Ethernet address, so frames cannot be addressed.
    #[error("interface {0:?} is not an Ethernet interface")]
    NotEthernet(String),
    /// A server is not reached through the balancer's interface.
    #[error(
        "server {server} is reached by interface {actual:?}, not by {wanted:?}; set `interface = {actual:?}`, or \
         give it a route: `ip route add {server} via GATEWAY dev {wanted}`"
    )]
    OtherInterface {
        /// The server.
        server: Ipv4Addr,
        /// The configured interface.
        wanted: String,
        /// The interface by which packets to the server would leave.
        actual: String,
    },
    /// A server is this host itself.
    #[error("server {0} is an address of this host; use a server on another host")]
    OwnAddress(Ipv4Addr),
    /// Nothing can be sent to the server.
    #[error(
        "there is no route to server {server}: {reason}; give it one, such as `ip route add {server} via GATEWAY`"
    )]
    NoRoute {
        /// The server.
        server: Ipv4Addr,
        /// What the kernel says.
        reason: io::Error,
    },
    /// The server's next hop is not an IPv4 address.
    #[error("server {0} is reached by a gateway with an IPv6 address, which is not supported")]
    GatewayNotIpv4(Ipv4Addr),
    /// The netlink socket could not be opened.
    #[error("cannot open a netlink socket: {0}")]
    Socket(#[source] io::Error),
    /// A request that should have worked.
    #[error("netlink: cannot {doing}: {reason}")]
    Request {
        /// What was asked for.
        doing: &'static str,
        /// What the kernel says.
        reason: io::Error,
    },
}

impl Error {
    /// What kind of failure it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Socket(_) | Self::Request { .. } => Kind::Failed,
            _ => Kind::Environment,
        }
    }

    /// Puts a failed request into words.
    pub(super) fn request(doing: &'static str) -> impl FnOnce(rtnetlink::Error) -> Self {
        move |error| Self::Request { doing, reason: reason(error) }
    }
}

/// The kernel's answer where it gave one.
pub(super) fn reason(error: rtnetlink::Error) -> io::Error {
    match error {
        rtnetlink::Error::NetlinkError(message) => message.to_io(),
        other => io::Error::other(other),
    }
}
