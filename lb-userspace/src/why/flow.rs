//! One connection, and what is to be said of it.

use std::net::SocketAddrV4;
use std::time::Duration;

use lb_common::tcp::State;
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use crate::stats::{ServerState, human};

/// A connection that has a slot, or had one that nobody has taken since.
#[derive(Clone, Debug)]
pub struct Flow {
    /// Where it comes from.
    pub client: SocketAddrV4,
    /// The name of the frontend.
    pub frontend: String,
    /// Where the client connected to.
    pub bind: SocketAddrV4,
    /// The name of the server's backend.
    pub backend: String,
    /// The name of the server.
    pub server: String,
    /// Where the server listens.
    pub server_address: SocketAddrV4,
    /// Whether the server is used now.
    pub server_state: ServerState,
    /// The address and port of ours that the server sees.
    pub nat: SocketAddrV4,
    /// Where frames to the client go.
    pub client_mac: String,
    /// Where frames to the server go; none while unknown.
    pub server_mac: Option<String>,
    /// The number of its slot.
    pub slot: u32,
    /// How often the slot had been taken.
    pub generation: u16,
    /// Its state.
    pub state: State,
    /// Whether it still holds its slot.
    pub is_live: bool,
    /// Whether the client has sent a FIN.
    pub client_closed: bool,
    /// Whether the server has sent a FIN.
    pub server_closed: bool,
    /// Why it went to this server.
    pub choice: Choice,
    /// How long ago its first SYN came.
    pub age: Duration,
    /// How long ago its last plausible packet came.
    pub idle: Duration,
    /// How long the SYN-ACK took; none before it came.
    pub answered_after: Option<Duration>,
    /// How long ago it ended; none while it goes on.
    pub closed: Option<Duration>,
    /// How long it lives if no packet comes; zero for one that has expired.
    pub lives_for: Duration,
    /// After which time a repeated SYN goes to another server.
    pub redispatch_after: Duration,
    /// Packets from the client.
    pub packets_to_server: u64,
    /// Packets from the server.
    pub packets_to_client: u64,
    /// TCP payload bytes from the client.
    pub bytes_to_server: u64,
    /// TCP payload bytes from the server.
    pub bytes_to_client: u64,
}

/// What tells why a connection went to its server: what is still known of its beginning, and the ring that
/// is in force now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Choice {
    /// The servers that it was offered to before, by name.
    pub tried: Vec<String>,
    /// How many turns its server has in the frontend's ring.
    #[serde(rename = "ring_turns")]
    pub turns: u32,
    /// How many turns there are.
    #[serde(rename = "ring_length")]
    pub turns_of_all: u32,
    /// How many servers have one.
    #[serde(rename = "ring_servers")]
    pub servers: u32,
}

impl Flow {
    /// Why this server has it.
    #[must_use]
    pub fn reason(&self) -> String {
        let Choice { tried, turns, turns_of_all, servers } = &self.choice;
        let server = &self.server;
        let now = match (turns, servers) {
            (0, 0) => format!("no server gets new connections now, {server} is {}", self.server_state.name()),
            (0, _) => format!("{server} gets no new connections now, it is {}", self.server_state.name()),
            (_, 1) => format!("{server} is the only server in the ring now"),
            _ => format!("{server} has {turns} of {turns_of_all} turns in the ring of {servers} servers now"),
        };
        if tried.is_empty() {
            return format!("it was its turn; {now}");
        }
        format!("{} did not take it, and {server} was next; {now}", tried.join(", "))
    }

    /// What happens next.
    #[must_use]
    pub fn prospect(&self) -> String {
        if self.state == State::Left {
            return "nothing: the client has another connection by this port".to_owned();
        }
        if !self.is_live {
            return self.past().to_owned();
        }
        let left = human::duration(self.lives_for);
        match self.state {
            State::SynSent => format!(
                "waits for the server's SYN-ACK, for {left}; a SYN that comes again {:?} or more after the last goes to \
                 another server",
                self.redispatch_after
            ),
            State::SynReceived => format!("waits for the client's ACK, for {left}"),
            State::Established => format!("{}; expires in {left} if no packet comes", self.opinion()),
            State::TimeWait => {
                format!(
                    "both sides have closed; rests for {left}, or until its server takes another by the port"
                )
            }
            State::Closed => format!("ended by a RST; rests for {left}"),
            State::Abandoned => {
                format!("went on to another server; what {} still answers gets RST, for {left}", self.server)
            }
            State::Reset => format!("was reset because its server is down; who goes on gets RST, for {left}"),
            State::Free | State::Claimed | State::Left => "nothing".to_owned(),
        }
    }

    /// What an established connection waits for.
    const fn opinion(&self) -> &'static str {
        match (self.client_closed, self.server_closed) {
            (false, false) => "goes on",
            (true, false) => "the client has closed, the server has not",
            (false, true) => "the server has closed, the client has not",
            (true, true) => "both sides have closed",
        }
    }

    /// How a connection that holds nothing any more ended.
    const fn past(&self) -> &'static str {
        match self.state {
            State::SynSent => "over: the server never answered; its slot is free to be taken",
            State::SynReceived => {
                "over: the client never completed the handshake; its slot is free to be taken"
            }
            State::Established => {
                "over: it expired after its idle timeout; its slot is free to be taken, further packets pass to the host"
            }
            State::Closed => "over: ended by a RST; its slot is free to be taken",
            State::Abandoned => "over: it went on to another server; its slot is free to be taken",
            State::Reset => "over: it was reset because its server was down; its slot is free to be taken",
            _ => "over: both sides closed; its slot is free to be taken",
        }
    }
}

impl Serialize for Flow {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let millis = |duration: Duration| duration.as_millis() as u64;
        let mut flow = serializer.serialize_struct("Flow", 25)?;
        flow.serialize_field("client", &self.client)?;
        flow.serialize_field("frontend", &self.frontend)?;
        flow.serialize_field("bind", &self.bind)?;
        flow.serialize_field("backend", &self.backend)?;
        flow.serialize_field("server", &self.server)?;
        flow.serialize_field("server_address", &self.server_address)?;
        flow.serialize_field("server_state", &self.server_state)?;
        flow.serialize_field("nat", &self.nat)?;
        flow.serialize_field("client_mac", &self.client_mac)?;
        flow.serialize_field("server_mac", &self.server_mac)?;
        flow.serialize_field("slot", &self.slot)?;
        flow.serialize_field("generation", &self.generation)?;
        flow.serialize_field("state", self.state.name())?;
        flow.serialize_field("live", &self.is_live)?;
        flow.serialize_field("client_closed", &self.client_closed)?;
        flow.serialize_field("server_closed", &self.server_closed)?;
        flow.serialize_field("choice", &self.choice)?;
        flow.serialize_field("reason", &self.reason())?;
        flow.serialize_field("age_ms", &millis(self.age))?;
        flow.serialize_field("idle_ms", &millis(self.idle))?;
        let answered = self.answered_after.map(|after| after.as_micros() as u64);
        flow.serialize_field("answered_after_us", &answered)?;
        flow.serialize_field("closed_ms_ago", &self.closed.map(millis))?;
        flow.serialize_field("packets", &[self.packets_to_server, self.packets_to_client])?;
        flow.serialize_field("bytes", &[self.bytes_to_server, self.bytes_to_client])?;
        flow.serialize_field("expires_in_ms", &self.is_live.then(|| millis(self.lives_for)))?;
        flow.serialize_field("next", &self.prospect())?;
        flow.end()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn address(host: u8, port: u16) -> SocketAddrV4 {
        SocketAddrV4::new(Ipv4Addr::new(198, 18, 0, host), port)
    }

    /// An established connection from 198.18.0.101:40000 to fenn.
    pub fn flow() -> Flow {
        Flow {
            client: address(101, 40_000),
            frontend: "api".into(),
            bind: address(10, 6443),
            backend: "k8s".into(),
            server: "fenn".into(),
            server_address: address(15, 6443),
            server_state: ServerState::Up,
            nat: address(10, 10_240),
            client_mac: "02:00:c6:12:00:65".into(),
            server_mac: Some("02:00:c6:12:00:0f".into()),
            slot: 4711,
            generation: 3,
            state: State::Established,
            is_live: true,
            client_closed: false,
            server_closed: false,
            choice: Choice { tried: Vec::new(), turns: 1, turns_of_all: 3, servers: 3 },
            age: Duration::from_secs(65),
            idle: Duration::from_millis(1500),
            answered_after: Some(Duration::from_micros(412)),
            closed: None,
            lives_for: Duration::from_secs(86_398),
            redispatch_after: Duration::from_millis(512),
            packets_to_server: 12,
            packets_to_client: 34,
            bytes_to_server: 1536,
            bytes_to_client: 3 << 20,
        }
    }

    #[test]
    fn why_this_server() {
        let reason = |tried: &[&str], turns, turns_of_all, servers, server_state| {
            let tried = tried.iter().map(|name| (*name).to_owned()).collect();
            let choice = Choice { tried, turns, turns_of_all, servers };
            Flow { server_state, choice, ..flow() }.reason()
        };
        let up = ServerState::Up;
        assert_eq!(
            reason(&[], 2, 5, 3, up),
            "it was its turn; fenn has 2 of 5 turns in the ring of 3 servers now"
        );
        assert_eq!(reason(&[], 1, 1, 1, up), "it was its turn; fenn is the only server in the ring now");
        assert_eq!(
            reason(&["bettley", "gardener"], 1, 1, 1, up),
            "bettley, gardener did not take it, and fenn was next; fenn is the only server in the ring now"
        );
        assert_eq!(
            reason(&[], 0, 2, 2, ServerState::Drain),
            "it was its turn; fenn gets no new connections now, it is DRAIN"
        );
        assert_eq!(
            reason(&[], 0, 0, 0, ServerState::Down),
            "it was its turn; no server gets new connections now, fenn is DOWN"
        );
    }

    #[test]
    fn each_state_has_a_next() {
        let next = |state, is_live| Flow { state, is_live, ..flow() }.prospect();
        assert_eq!(next(State::Established, true), "goes on; expires in 23h59m if no packet comes");
        let half = Flow { client_closed: true, ..flow() }.prospect();
        assert!(half.starts_with("the client has closed, the server has not; expires"), "{half}");
        assert!(next(State::SynSent, true).contains("again 512ms or more after the last"));
        for state in [
            State::SynSent,
            State::SynReceived,
            State::Established,
            State::TimeWait,
            State::Closed,
            State::Abandoned,
            State::Reset,
        ] {
            assert!(next(state, true).contains("23h59m"), "{state}");
            assert!(next(state, false).starts_with("over: "), "{state}");
        }
        assert!(next(State::Left, false).starts_with("nothing: "));
    }
}
