//! Both ends of a connection through the balancer: what they send, and what must arrive.

use std::net::SocketAddrV4;

use lb_common::net::Mac;
use lb_common::reason::Reason;
use lb_common::slot::{Details, Slot};
use lb_common::tcp::{Flags, State};

use crate::frame::{End, Frame};
use crate::rig::{CLIENT, FRONTEND, NAT_FIRST, Out, Rig, at_our_mac, server};

/// Initial sequence numbers. The client's wraps within a connection.
pub const CLIENT_ISN: u32 = 0xffff_fff0;
pub const SERVER_ISN: u32 = 5_000_000;

pub const SYN_ACK: u8 = Flags::SYN | Flags::ACK;
pub const FIN_ACK: u8 = Flags::FIN | Flags::ACK;
pub const RST_ACK: u8 = Flags::RST | Flags::ACK;

/// All states of a connection.
pub const STATES: [State; 7] = [
    State::SynSent,
    State::SynReceived,
    State::Established,
    State::TimeWait,
    State::Closed,
    State::Abandoned,
    State::Reset,
];

/// A connection, as it is agreed between a client and the server that it was given to.
#[derive(Clone, Debug)]
pub struct Connection {
    pub client: End,
    pub frontend: SocketAddrV4,
    /// The server's number.
    pub server: u16,
    /// Its client as the server sees it.
    pub nat: SocketAddrV4,
    /// What either side sends next.
    pub client_seq: u32,
    pub server_seq: u32,
}

/// A client's SYN to a frontend.
pub fn syn_to(frontend: SocketAddrV4, client: End, isn: u32) -> Frame {
    Frame::new(client, at_our_mac(frontend), Flags::SYN, isn, 0)
}

/// A client's first SYN to the frontend.
pub fn syn(client: End) -> Frame {
    syn_to(FRONTEND, client, CLIENT_ISN)
}

impl Connection {
    /// A SYN, forwarded to a server.
    pub fn open(rig: &Rig, client: End) -> Self {
        Self::open_with(rig, client, &syn(client))
    }

    /// The same with a SYN of the test's own.
    pub fn open_with(rig: &Rig, client: End, syn: &Frame) -> Self {
        Self::try_open_with(rig, client, syn)
            .unwrap_or_else(|out| panic!("the SYN was not forwarded: {out:?}"))
    }

    /// A SYN that may come to nothing.
    pub fn try_open(rig: &Rig, client: End) -> Result<Self, Out> {
        Self::try_open_with(rig, client, &syn(client))
    }

    fn try_open_with(rig: &Rig, client: End, syn: &Frame) -> Result<Self, Out> {
        let sent = match rig.run(&syn.bytes()) {
            Out::Sent(sent) => sent,
            other => return Err(other),
        };
        let connection = Self::given(rig, client, syn, &sent);
        assert_eq!(sent, connection.at_server(syn.clone()).bytes(), "the SYN as the server gets it");
        Ok(connection)
    }

    /// The connection of a SYN by what was sent to the server: that it goes where it does, no test
    /// has to know.
    fn given(rig: &Rig, client: End, syn: &Frame, sent: &[u8]) -> Self {
        let (nat, server_socket) = nat_of(sent);
        let is_it =
            |number: &u16| rig.control.wanted().servers[usize::from(*number)].address == server_socket;
        Self {
            client,
            frontend: SocketAddrV4::new(syn.ip.destination.into(), syn.tcp.destination_port),
            server: (0..rig.control.wanted().servers.len() as u16).find(is_it).expect("one of the servers"),
            nat,
            client_seq: syn.end(),
            server_seq: SERVER_ISN,
        }
    }

    /// The connection after an answer in whose place its SYN went on to another server, made anew
    /// from `syn`: without its data, and with the IP header of a packet that begins here.
    #[track_caller]
    pub fn moved(&self, rig: &Rig, syn: &Frame, out: Out, reason: Reason) -> Self {
        let Out::Answered(why, sent) = out else { panic!("{reason:?}: the SYN did not go on, but {out:?}") };
        assert_eq!(why, reason);
        let syn = syn.clone().payload(b"").with(|syn| {
            syn.ip.identification = 0;
            syn.ip.dont_fragment = true;
        });
        let moved = Self::given(rig, self.client, &syn, &sent);
        assert_eq!(sent, moved.at_server(syn).bytes(), "the SYN as the next server gets it");
        moved
    }

    /// A new connection, brought to `state`.
    ///
    /// # Panics
    ///
    /// For the states that no packet leads to.
    pub fn in_state(rig: &Rig, client: End, state: State) -> Self {
        let mut connection = Self::open(rig, client);
        connection.go_on(rig, state);
        assert_eq!(connection.state(rig), state);
        connection
    }

    fn go_on(&mut self, rig: &Rig, state: State) {
        match state {
            State::SynSent => {}
            State::SynReceived => self.server_sends(rig, SYN_ACK, b""),
            State::Established => {
                self.go_on(rig, State::SynReceived);
                self.client_sends(rig, Flags::ACK, b"");
            }
            State::TimeWait => {
                self.go_on(rig, State::Established);
                self.client_sends(rig, FIN_ACK, b"");
                self.server_sends(rig, FIN_ACK, b"");
            }
            State::Closed => {
                self.go_on(rig, State::Established);
                self.client_sends(rig, Flags::RST, b"");
            }
            State::Free | State::Claimed | State::Abandoned | State::Reset | State::Left => {
                panic!("no packet of its own brings a connection to {state}")
            }
        }
    }

    /// An established connection.
    pub fn established(rig: &Rig, client: End) -> Self {
        Self::in_state(rig, client, State::Established)
    }

    /// The client's next segment. Its acknowledgement is that of all that the server sent.
    pub fn by_client(&self, flags: u8) -> Frame {
        Frame::new(
            self.client,
            at_our_mac(self.frontend),
            flags,
            self.client_seq,
            acknowledges(flags, self.server_seq),
        )
    }

    /// The server's next segment.
    pub fn by_server(&self, flags: u8) -> Frame {
        let ack = acknowledges(flags, self.client_seq);
        Frame::new(server(self.server), at_our_mac(self.nat), flags, self.server_seq, ack)
    }

    /// The server refuses the connection, as a host does when nobody listens (RFC 9293 §3.5.2).
    pub fn refusal(&self) -> Frame {
        self.by_server(RST_ACK).with(|frame| frame.tcp.sequence_number = 0)
    }

    /// An answer of a server that knows an older connection by the same addresses and ports, half
    /// over: a challenge ACK (RFC 5961 §4).
    pub fn challenge(&self) -> Frame {
        self.by_server(Flags::ACK).with(|frame| {
            frame.tcp.sequence_number = 77_000;
            frame.tcp.acknowledgment_number = 88_000;
        })
    }

    /// A frame of either side as its sender must get it back: the RST of a host that does not know
    /// the connection.
    pub fn reset_of(frame: &Frame) -> Frame {
        let socket = |addr: [u8; 4], port| SocketAddrV4::new(addr.into(), port);
        let from = |mac, socket| End { mac: Mac(mac), socket };
        let Frame { eth, ip, tcp, .. } = frame;
        let sender = from(eth.source, socket(ip.source, tcp.source_port));
        let receiver = from(eth.destination, socket(ip.destination, tcp.destination_port));
        let (flags, seq, ack) =
            if tcp.ack { (Flags::RST, tcp.acknowledgment_number, 0) } else { (RST_ACK, 0, frame.end()) };
        Frame::new(receiver, sender, flags, seq, ack).with(|rst| {
            rst.ip.identification = 0;
            rst.tcp.window_size = 0;
        })
    }

    /// A client's frame as the server must get it.
    pub fn at_server(&self, frame: Frame) -> Frame {
        frame.forwarded(at_our_mac(self.nat), server(self.server))
    }

    /// A server's frame as the client must get it.
    pub fn at_client(&self, frame: Frame) -> Frame {
        frame.forwarded(at_our_mac(self.frontend), self.client)
    }

    /// The client sends its next segment, which arrives.
    pub fn client_sends(&mut self, rig: &Rig, flags: u8, payload: &[u8]) {
        let frame = self.by_client(flags).payload(payload);
        self.client_seq = frame.end();
        self.reaches_server(rig, frame);
    }

    /// The server sends its next segment, which arrives.
    pub fn server_sends(&mut self, rig: &Rig, flags: u8, payload: &[u8]) {
        let frame = self.by_server(flags).payload(payload);
        self.server_seq = frame.end();
        self.reaches_client(rig, frame);
    }

    /// A client's frame arrives as it must.
    #[track_caller]
    pub fn reaches_server(&self, rig: &Rig, frame: Frame) {
        assert_eq!(rig.run(&frame.bytes()), Out::Sent(self.at_server(frame).bytes()));
    }

    /// A server's frame arrives as it must.
    #[track_caller]
    pub fn reaches_client(&self, rig: &Rig, frame: Frame) {
        assert_eq!(rig.run(&frame.bytes()), Out::Sent(self.at_client(frame).bytes()));
    }

    /// Data go both ways.
    #[track_caller]
    pub fn works(&mut self, rig: &Rig) {
        self.client_sends(rig, Flags::ACK, b"ping");
        self.server_sends(rig, Flags::ACK, b"pong!");
    }

    /// The balancer does not know the connection any more, from either side.
    #[track_caller]
    pub fn is_unknown(&self, rig: &Rig) {
        for frame in [self.by_client(Flags::ACK), self.by_server(Flags::ACK)] {
            assert_eq!(rig.run(&frame.bytes()), Out::Passed(Reason::NoConnection));
        }
    }

    /// The number of its slot.
    pub fn slot_number(&self, rig: &Rig) -> u32 {
        let setup = rig.control.maps().setup.get();
        let nat = setup.settings.nat_addrs.find((*self.nat.ip()).into(), 0).expect("a NAT address");
        setup.slots_of(self.server).start + setup.settings.slot_of(nat, self.nat.port() - NAT_FIRST)
    }

    /// Its slot.
    pub fn slot(&self, rig: &Rig) -> Slot {
        rig.slot(self.slot_number(rig))
    }

    /// Its slot's details.
    pub fn details(&self, rig: &Rig) -> Details {
        rig.details(self.slot_number(rig))
    }

    /// Its state.
    pub fn state(&self, rig: &Rig) -> State {
        self.slot(rig).word().state()
    }
}

/// A forwarded packet's source and destination.
pub fn nat_of(sent: &[u8]) -> (SocketAddrV4, SocketAddrV4) {
    let socket = |addr: usize, port: usize| {
        let addr: [u8; 4] = sent[addr..addr + 4].try_into().expect("four bytes");
        SocketAddrV4::new(addr.into(), u16::from_be_bytes([sent[port], sent[port + 1]]))
    };
    (socket(26, 34), socket(30, 36))
}

/// The acknowledgement field of a segment.
const fn acknowledges(flags: u8, next: u32) -> u32 {
    if flags & Flags::ACK == 0 { 0 } else { next }
}

#[test]
fn every_connection_state_can_be_reached() {
    let rig = Rig::new();
    for state in [State::SynSent, State::SynReceived, State::Established, State::TimeWait, State::Closed] {
        let client = End { socket: SocketAddrV4::new(*CLIENT.socket.ip(), 30_000 + state as u16), ..CLIENT };
        Connection::in_state(&rig, client, state);
    }
}
