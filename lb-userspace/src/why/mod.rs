//! What `xlb why` tells: which way a client's connections go, and why.
//!
//! Plain data and its rendering; the maps are read by [`crate::observe`].

mod flow;
mod prospect;
mod show;

use std::net::SocketAddrV4;

use serde::Serialize;

use crate::stats::{ClientFilter, Connection};

pub use flow::{Choice, Flow};
pub use prospect::{Facts, Fate, Prospect, fate};
pub use show::{json, text};

/// All that there is to tell of a client.
#[derive(Clone, Debug, Serialize)]
pub struct Why {
    /// What was asked.
    pub client: String,
    /// Its connections, the latest first, those that are over behind the others.
    pub flows: Vec<Flow>,
    /// Those that never cross the interface, because the client is on this host.
    pub local: Vec<Connection>,
    /// What would become of a new connection to each frontend; empty while one is open.
    pub new_connection: Vec<Prospect>,
    /// Whether the client is this host.
    pub is_this_host: bool,
}

/// The client that is asked about: an address, or one of its ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// All ports of an address.
    Address(std::net::Ipv4Addr),
    /// One port.
    Endpoint(SocketAddrV4),
}

/// Not a client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no client: expected an address (198.18.0.7) or an address with its port (198.18.0.7:40000)"
)]
pub struct NotAClient(String);

impl std::str::FromStr for Client {
    type Err = NotAClient;

    fn from_str(text: &str) -> Result<Self, NotAClient> {
        let endpoint = text.parse().map(Self::Endpoint);
        endpoint.or_else(|_| text.parse().map(Self::Address)).map_err(|_| NotAClient(text.to_owned()))
    }
}

impl Client {
    /// Its address.
    #[must_use]
    pub const fn address(self) -> std::net::Ipv4Addr {
        match self {
            Self::Address(address) => address,
            Self::Endpoint(endpoint) => *endpoint.ip(),
        }
    }

    /// The connections that are its own.
    #[must_use]
    pub const fn filter(self) -> ClientFilter {
        match self {
            Self::Address(network) => ClientFilter::Prefix { network, length: 32 },
            Self::Endpoint(endpoint) => ClientFilter::Endpoint(endpoint),
        }
    }

    /// Whether one connection is asked for, and not a list.
    #[must_use]
    pub const fn is_one(self) -> bool {
        matches!(self, Self::Endpoint(_))
    }
}

impl std::fmt::Display for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Endpoint(endpoint) => endpoint.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_an_address_or_one_of_its_ports() {
        let endpoint: Client = "198.18.0.7:40000".parse().unwrap();
        assert!(endpoint.is_one());
        assert_eq!(endpoint.to_string(), "198.18.0.7:40000");
        let address: Client = "198.18.0.7".parse().unwrap();
        assert_eq!((address.is_one(), address.address()), (false, endpoint.address()));
        assert!(address.filter().contains("198.18.0.7:1".parse().unwrap()));
        assert!(!endpoint.filter().contains("198.18.0.7:1".parse().unwrap()));
        for text in ["", "fenn", "198.18.0.0/16", "198.18.0.7:", "::1"] {
            assert_eq!(text.parse::<Client>(), Err(NotAClient(text.into())));
        }
    }
}
