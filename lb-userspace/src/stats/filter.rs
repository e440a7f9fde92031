//! Which connections to show.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::str::FromStr;

use lb_common::tcp::State;

use super::Connection;

/// What a connection must be like to be shown; what is not given does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Whose connections.
    pub client: Option<ClientFilter>,
    /// The name of the server.
    pub server: Option<String>,
    /// The name of the frontend.
    pub frontend: Option<String>,
    /// The state.
    pub state: Option<State>,
}

/// Some clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientFilter {
    /// All with this prefix; a single address is a prefix of 32 bits.
    Prefix {
        /// The prefix, its other bits zero.
        network: Ipv4Addr,
        /// Its length in bits, at most 32.
        length: u8,
    },
    /// One port of one address.
    Endpoint(SocketAddrV4),
}

/// A filter that cannot be understood.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// Neither an address nor a prefix nor an address with a port.
    #[error(
        "{0:?} is no client: expected an address (198.18.0.7), a prefix (198.18.0.0/16) or an address with its port (198.18.0.7:40000)"
    )]
    Client(String),
    /// No state is called so.
    #[error("{0:?} is no state: expected one of {names}", names = state_names().join(", "))]
    State(String),
}

impl Filter {
    /// Whether the connection is to be shown.
    #[must_use]
    pub fn matches(&self, connection: &Connection) -> bool {
        self.is_of(connection.client, connection.state)
            && self.server.as_ref().is_none_or(|name| *name == connection.server)
            && self.frontend.as_ref().is_none_or(|name| *name == connection.frontend)
    }

    /// Whether a connection of this client in this state may be shown, whatever its frontend and server.
    #[must_use]
    pub fn is_of(&self, client: SocketAddrV4, state: State) -> bool {
        self.client.is_none_or(|clients| clients.contains(client))
            && self.state.is_none_or(|wanted| wanted == state)
    }
}

impl ClientFilter {
    /// Whether the client is one of these.
    #[must_use]
    pub fn contains(self, client: SocketAddrV4) -> bool {
        match self {
            Self::Prefix { network, length } => masked(*client.ip(), length) == network,
            Self::Endpoint(endpoint) => client == endpoint,
        }
    }
}

impl FromStr for ClientFilter {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        let error = || FilterError::Client(text.to_owned());
        if let Ok(endpoint) = text.parse() {
            return Ok(Self::Endpoint(endpoint));
        }
        let (address, length) = text.split_once('/').unwrap_or((text, "32"));
        let address: Ipv4Addr = address.parse().map_err(|_| error())?;
        let length = length.parse().ok().filter(|length| *length <= 32).ok_or_else(error)?;
        Ok(Self::Prefix { network: masked(address, length), length })
    }
}

/// Reads a state's name, in upper or lower case.
pub fn parse_state(text: &str) -> Result<State, FilterError> {
    let state = states().find(|state| state.to_string().eq_ignore_ascii_case(text));
    state.ok_or_else(|| FilterError::State(text.to_owned()))
}

/// The states of a slot that holds a connection.
fn states() -> impl Iterator<Item = State> {
    use State::{Closed, Established, SynReceived, SynSent, TimeWait};
    [SynSent, SynReceived, Established, TimeWait, Closed].into_iter()
}

fn state_names() -> Vec<String> {
    states().map(|state| state.to_string()).collect()
}

/// The first `length` bits of an address.
fn masked(address: Ipv4Addr, length: u8) -> Ipv4Addr {
    let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
    Ipv4Addr::from(u32::from(address) & mask)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::stats::connections::tests::connection;

    fn client(text: &str) -> Filter {
        Filter { client: Some(text.parse().unwrap()), ..Filter::default() }
    }

    #[test]
    fn clients_by_address_prefix_and_port() {
        // The connection comes from 198.18.1.7:40000.
        for wanted in [
            "198.18.1.7",
            "198.18.1.7/32",
            "198.18.1.0/24",
            "198.18.1.99/24",
            "0.0.0.0/0",
            "198.18.1.7:40000",
        ] {
            assert!(client(wanted).matches(&connection()), "{wanted}");
        }
        for other in ["198.18.1.8", "198.18.2.0/24", "198.18.1.6/32", "198.18.1.7:40001", "198.18.1.8:40000"]
        {
            assert!(!client(other).matches(&connection()), "{other}");
        }
    }

    #[test]
    fn names_and_states() {
        let name = |name: &str| Some(name.to_owned());
        let all = Filter::default();
        assert!(all.matches(&connection()));
        assert!(Filter { server: name("fenn"), ..all.clone() }.matches(&connection()));
        assert!(!Filter { server: name("fen"), ..all.clone() }.matches(&connection()));
        assert!(Filter { frontend: name("api"), ..all.clone() }.matches(&connection()));
        assert!(!Filter { frontend: name("fenn"), ..all.clone() }.matches(&connection()));
        assert!(Filter { state: Some(State::Established), ..all.clone() }.matches(&connection()));
        assert!(!Filter { state: Some(State::Closed), ..all }.matches(&connection()));
    }

    #[test]
    fn all_conditions_must_hold() {
        let filter = Filter { server: Some("other".into()), ..client("198.18.1.7") };
        assert!(!filter.matches(&connection()));
    }

    #[test]
    fn states_are_called_as_ss_calls_them() {
        assert_eq!(parse_state("ESTAB"), Ok(State::Established));
        assert_eq!(parse_state("time-wait"), Ok(State::TimeWait));
        assert_eq!(
            parse_state("open").unwrap_err().to_string(),
            "\"open\" is no state: expected one of SYN-SENT, SYN-RECV, ESTAB, TIME-WAIT, CLOSED"
        );
    }

    #[test]
    fn nonsense_is_refused() {
        for text in
            ["", "fenn", "198.18.1", "198.18.1.7/33", "198.18.1.7/", "198.18.1.7:", "198.18.1.7:65536", "::1"]
        {
            assert_eq!(text.parse::<ClientFilter>(), Err(FilterError::Client(text.into())));
        }
    }

    proptest! {
        #[test]
        fn a_prefix_has_those_that_share_its_bits(network: u32, host: u32, length in 0u8..=32) {
            let filter: ClientFilter = format!("{}/{length}", Ipv4Addr::from(network)).parse().unwrap();
            let share = (network ^ host).leading_zeros() >= u32::from(length);
            prop_assert_eq!(filter.contains(SocketAddrV4::new(host.into(), 1)), share);
        }
    }
}
