//! ICMP errors about packets that we sent: what is translated, and what the ends get.

use std::net::{Ipv4Addr, SocketAddrV4};

use etherparse::{IpFragOffset, IpNumber, Ipv4Options};
use lb_common::nat::NatAddrs;
use lb_common::net::Mac;
use lb_common::reason::Reason;
use lb_common::tcp::{Flags, State};
use lb_common::time::Ticks;
use zerocopy::IntoBytes;

use crate::connection::{Connection, SERVER_ISN, SYN_ACK, syn};
use crate::entry::Entry;
use crate::frame::{Complaint, End, Frame, QUOTE_AT};
use crate::rig::{A_WHILE, CLIENT, FRONTEND, NAT_FIRST, OUR_MAC, Out, Rig, TIMEOUTS, at_our_mac, server};

/// Types and codes.
const HOST_UNREACHABLE: (u8, u8) = (3, 1);
const FRAGMENTATION_NEEDED: (u8, u8) = (3, 4);
pub const ERRORS: [(u8, u8); 9] =
    [(3, 0), HOST_UNREACHABLE, (3, 2), (3, 3), FRAGMENTATION_NEEDED, (3, 13), (11, 0), (11, 1), (12, 0)];

/// Somebody on the way.
const ROUTER: End =
    End { mac: Mac([2, 0, 0, 0, 0, 1]), socket: SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 1), 0) };

/// Another address of the balancer's, which its connections to servers come from.
const NAT_ADDRESS: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 20);

/// Where the sequence number is in a quote, and how much is quoted at least.
pub const QUOTED_SEQ: usize = 24;
const LEAST: usize = 28;

fn rig() -> Rig {
    Rig::with(|wanted| wanted.sizes.nat_addrs = NatAddrs::one(NAT_ADDRESS.into()))
}

/// The two ways of a packet, and so of an error about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// A client's packet, which we sent to a server: the client is told.
    Client,
    /// A server's packet, which we sent to a client: the server is told.
    Server,
}

pub const BOTH: [About; 2] = [About::Client, About::Server];

impl About {
    /// The next packet of the side.
    pub fn packet(self, connection: &Connection, flags: u8) -> Frame {
        match self {
            Self::Client => connection.by_client(flags),
            Self::Server => connection.by_server(flags),
        }
    }

    /// A router's complaint about a packet of this side's, after we sent it on.
    pub fn complaint(
        self,
        connection: &Connection,
        kind: (u8, u8),
        packet: &Frame,
        length: usize,
    ) -> Complaint {
        let (us, sent) = match self {
            Self::Client => (connection.nat, connection.at_server(packet.clone())),
            Self::Server => (connection.frontend, connection.at_client(packet.clone())),
        };
        Complaint::new(ROUTER, at_our_mac(us), kind, &sent, length)
    }

    /// The same complaint as the side must get it: about the packet that it sent.
    pub fn translated(
        self,
        connection: &Connection,
        kind: (u8, u8),
        packet: &Frame,
        length: usize,
    ) -> Complaint {
        let side = match self {
            Self::Client => connection.client,
            Self::Server => server(connection.server),
        };
        let by_us = End { mac: OUR_MAC, ..ROUTER };
        let packet = packet.clone().with(|packet| packet.ip.time_to_live -= 1);
        Complaint::new(by_us, side, kind, &packet, length).with(|complaint| complaint.ip.time_to_live -= 1)
    }

    /// The end that a packet of this side's goes to, with the address that it has for its peer.
    fn other_end(self, connection: &Connection) -> (End, Ipv4Addr) {
        match self {
            Self::Client => (server(connection.server), *connection.frontend.ip()),
            Self::Server => (connection.client, *connection.nat.ip()),
        }
    }

    const fn reason(self) -> Reason {
        match self {
            Self::Client => Reason::IcmpToClient,
            Self::Server => Reason::IcmpToServer,
        }
    }
}

/// A router's complaint that a client's packet does not reach its server.
pub fn about_client_packet(connection: &Connection, packet: &Frame) -> Complaint {
    About::Client.complaint(connection, HOST_UNREACHABLE, packet, LEAST)
}

/// Runs a complaint that must be translated.
#[track_caller]
pub fn arrives(rig: &Rig, about: About, complaint: &Complaint, translated: &Complaint) {
    let before = rig.reason(about.reason());
    assert_eq!(rig.run(&complaint.bytes()), Out::Sent(translated.bytes()), "{about:?} {:?}", complaint.kind);
    assert_eq!(rig.reason(about.reason()), before + 1);
}

#[test]
fn errors_reach_those_who_sent_what_they_are_about() {
    let rig = rig();
    let connection = Connection::established(&rig, CLIENT);
    for about in BOTH {
        let packet = about.packet(&connection, Flags::ACK).payload(b"a payload of 23 bytes, ");
        // Eight bytes of TCP, up to its checksum and with it, a whole header, odd and even parts of the
        // payload, and all of it.
        for length in [LEAST, 29, 36, 38, 39, 40, 41, 50, 62, 63] {
            for kind in ERRORS {
                let complaint = about.complaint(&connection, kind, &packet, length);
                let translated = about.translated(&connection, kind, &packet, length);
                arrives(&rig, about, &complaint, &translated);
            }
        }
    }
}

#[test]
fn half_a_checksum_is_kept() {
    let rig = rig();
    let connection = Connection::established(&rig, CLIENT);
    for about in BOTH {
        let packet = about.packet(&connection, Flags::ACK);
        let complaint = about.complaint(&connection, (3, 1), &packet, 37);
        let translated = about
            .translated(&connection, (3, 1), &packet, 37)
            .with(|translated| translated.quote[36] = complaint.quote[36]);
        arrives(&rig, about, &complaint, &translated);
    }
}

#[test]
fn the_other_end_complains_as_we() {
    let rig = rig();
    let connection = Connection::established(&rig, CLIENT);
    for about in BOTH {
        let packet = about.packet(&connection, Flags::ACK);
        let (other_end, known_as) = about.other_end(&connection);
        let complaint = about.complaint(&connection, (3, 10), &packet, LEAST).with(|complaint| {
            complaint.ip.source = other_end.socket.ip().octets();
            complaint.eth.source = other_end.mac.0;
        });
        let translated = about
            .translated(&connection, (3, 10), &packet, LEAST)
            .with(|complaint| complaint.ip.source = known_as.octets());
        arrives(&rig, about, &complaint, &translated);
    }
}

#[test]
fn what_stands_behind_the_quote_is_kept() {
    let rig = rig();
    let connection = Connection::established(&rig, CLIENT);
    for about in BOTH {
        let packet = about.packet(&connection, Flags::ACK);
        // 128 bytes of quote, filled up with zeros, and an extension (RFC 4884); and bytes behind the
        // packet, as in a frame of the least length.
        let extend = |complaint: Complaint| {
            complaint.with(|complaint| {
                complaint.rest = [0, 32, 0, 0];
                complaint.quote.resize(128, 0);
                complaint.quote.extend([0x20, 0, 0xff, 0xff, 0, 4, 1, 1]);
            })
        };
        let padded = |complaint: &Complaint| [complaint.bytes(), vec![0xaa; 18]].concat();
        for length in [LEAST, 40] {
            let complaint = about.complaint(&connection, (11, 0), &packet, length);
            let translated = about.translated(&connection, (11, 0), &packet, length);
            assert_eq!(rig.run(&padded(&complaint)), Out::Sent(padded(&translated)));
            if length == 40 {
                arrives(&rig, about, &extend(complaint), &extend(translated));
            }
        }
    }
}

#[test]
fn a_first_fragment_may_be_quoted() {
    let rig = rig();
    let connection = Connection::established(&rig, CLIENT);
    for about in BOTH {
        let packet = about.packet(&connection, Flags::ACK).with(|packet| {
            packet.ip.dont_fragment = false;
            packet.ip.more_fragments = true;
        });
        let complaint = about.complaint(&connection, (11, 1), &packet, LEAST);
        arrives(&rig, about, &complaint, &about.translated(&connection, (11, 1), &packet, LEAST));
    }
}

#[test]
fn an_error_leaves_no_trace_in_its_connection() {
    let rig = rig();
    let connection = Connection::established(&rig, CLIENT);
    let before = (connection.slot(&rig), rig.traffic());
    for about in BOTH {
        for kind in ERRORS {
            let packet = about.packet(&connection, Flags::ACK);
            let complaint = about.complaint(&connection, kind, &packet, LEAST);
            assert!(matches!(rig.run(&complaint.bytes()), Out::Sent(_)));
        }
    }
    assert_eq!(connection.slot(&rig).as_bytes(), before.0.as_bytes());
    assert_eq!(rig.traffic(), before.1);
}

#[test]
fn only_what_is_under_way_can_meet_an_error() {
    let rig = rig();
    let mut connection = Connection::established(&rig, CLIENT);
    let first = [connection.client_seq, connection.server_seq];
    connection.client_sends(&rig, Flags::ACK, &[1; 1000]);
    connection.server_sends(&rig, Flags::ACK, &[2; 1000]);
    // The server's segment has acknowledged the client's; the client has acknowledged nothing.
    let acknowledged = [1000, 0];
    for ((about, first), acknowledged) in BOTH.into_iter().zip(first).zip(acknowledged) {
        for offset in [-1, 0, 1, 500, 999, 1000, 1001, i32::MIN, i32::MAX] {
            let packet = about
                .packet(&connection, Flags::ACK)
                .with(|packet| packet.tcp.sequence_number = first.wrapping_add_signed(offset));
            let complaint = about.complaint(&connection, FRAGMENTATION_NEEDED, &packet, LEAST);
            if (acknowledged..=1000).contains(&offset) {
                let translated = about.translated(&connection, FRAGMENTATION_NEEDED, &packet, LEAST);
                arrives(&rig, about, &complaint, &translated);
            } else {
                let out = rig.run(&complaint.bytes());
                assert_eq!(out, Out::Dropped(Reason::ImplausibleIcmp), "{about:?} {offset}");
            }
        }
    }
}

#[test]
fn an_unreachable_server_is_not_the_clients_concern_before_it_has_answered() {
    let rig = rig();
    let mut connection = Connection::open(&rig, CLIENT);
    for kind in ERRORS {
        let complaint = About::Client.complaint(&connection, kind, &syn(CLIENT), LEAST);
        if kind == FRAGMENTATION_NEEDED {
            let translated = About::Client.translated(&connection, kind, &syn(CLIENT), LEAST);
            arrives(&rig, About::Client, &complaint, &translated);
        } else {
            assert_eq!(rig.run(&complaint.bytes()), Out::Dropped(Reason::UnreachableSyn), "{kind:?}");
        }
        assert_eq!(connection.state(&rig), State::SynSent);
    }
    let guessed = syn(CLIENT).with(|syn| syn.tcp.sequence_number -= 1);
    let complaint = about_client_packet(&connection, &guessed);
    assert_eq!(rig.run(&complaint.bytes()), Out::Dropped(Reason::ImplausibleIcmp));

    // The answer is under way to the client, and the server hears that it does not arrive.
    let answer = connection.by_server(SYN_ACK);
    connection.server_sends(&rig, SYN_ACK, b"");
    let complaint = About::Server.complaint(&connection, HOST_UNREACHABLE, &answer, LEAST);
    let translated = About::Server.translated(&connection, HOST_UNREACHABLE, &answer, LEAST);
    arrives(&rig, About::Server, &complaint, &translated);
    let late = about_client_packet(&connection, &syn(CLIENT));
    assert_eq!(rig.run(&late.bytes()), Out::Dropped(Reason::ImplausibleIcmp));
}

#[test]
fn errors_about_connections_of_others_pass() {
    let rig = rig();
    let connection = Connection {
        client: CLIENT,
        frontend: FRONTEND,
        server: 0,
        nat: SocketAddrV4::new(NAT_ADDRESS, NAT_FIRST + 7),
        client_seq: 1,
        server_seq: SERVER_ISN,
    };
    for about in BOTH {
        let complaint = about.complaint(&connection, (3, 1), &about.packet(&connection, Flags::ACK), LEAST);
        assert_eq!(rig.run(&complaint.bytes()), Out::Passed(Reason::NoConnection), "{about:?}");
    }
}

#[test]
fn what_is_no_error_about_our_packets_passes() {
    let rig = rig();
    let connection = Connection::established(&rig, CLIENT);
    for about in BOTH {
        let packet = about.packet(&connection, Flags::ACK);
        let complaint = |kind| about.complaint(&connection, kind, &packet, 40);
        let error = || complaint(FRAGMENTATION_NEEDED);
        let quoting = |change: fn(&mut Frame)| {
            error().with(|error| {
                // The port and address of ours stay the sender's.
                let quoted = about.complaint(&connection, (3, 4), &packet.clone().with(change), 40);
                error.quote = quoted.quote;
            })
        };
        let patched = |at: usize, byte: u8| error().with(|error| error.quote[at] = byte);
        let fixtures = [
            ("an echo reply", complaint((0, 0))),
            ("source quench", complaint((4, 0))),
            ("a redirect", complaint((5, 1))),
            ("an echo request", complaint((8, 0))),
            ("a router's advertisement", complaint((9, 0))),
            ("a timestamp", complaint((13, 0))),
            ("an unknown type", complaint((200, 0))),
            ("UDP", quoting(|packet| packet.ip.protocol = IpNumber::UDP)),
            (
                "a later fragment",
                quoting(|p| p.ip.fragment_offset = IpFragOffset::ZERO).with(|error| error.quote[7] = 1),
            ),
            ("IP options", patched(0, 0x46)),
            ("a header without end", patched(0, 0x40)),
            ("IPv6", patched(0, 0x65)),
            ("another port of ours", patched(20, 0)),
            ("another address of ours", patched(15, 99)),
            ("one that we did not send", error().with(|error| error.ip.destination[3] = 99)),
            ("IP options before it", error().with(|e| e.ip.options = Ipv4Options::from([0x94, 4, 0, 0]))),
            ("a first fragment of it", error().with(|error| error.ip.more_fragments = true)),
        ];
        for (description, complaint) in fixtures {
            let out = rig.run(&complaint.bytes());
            assert_eq!(out, Out::Passed(Reason::OtherIcmp), "{description} ({about:?})");
        }
    }
}

#[test]
fn an_error_to_another_server_is_not_about_this_one() {
    let rig = rig();
    let connection = Connection::established(&rig, CLIENT);
    let packet = connection.by_client(Flags::ACK);
    for (description, change) in [("a server's other port", (23, 1)), ("a host that is no server", (19, 99))]
    {
        let error = about_client_packet(&connection, &packet).with(|error| error.quote[change.0] = change.1);
        assert_eq!(rig.run(&error.bytes()), Out::Passed(Reason::OtherIcmp), "{description}");
    }
}

#[test]
fn an_error_may_end_anywhere() {
    let rig = rig();
    let connection = Connection::established(&rig, CLIENT);
    for about in BOTH {
        let packet = about.packet(&connection, Flags::ACK).payload(b"payload");
        let whole = about.complaint(&connection, FRAGMENTATION_NEEDED, &packet, usize::MAX).bytes();
        for length in Entry::chosen().shortest()..whole.len() {
            // A frame that is cut, while its packet says that it goes on.
            assert_eq!(rig.run(&whole[..length]), Out::Passed(Reason::Truncated), "{length} bytes");
        }
        assert!(matches!(rig.run(&whole), Out::Sent(_)));
        for length in 0..LEAST {
            let complaint = about.complaint(&connection, FRAGMENTATION_NEEDED, &packet, length);
            assert_eq!(rig.run(&complaint.bytes()), Out::Passed(Reason::Truncated), "{length} quoted");
            // The quote goes on behind the packet, where it does not count.
            let padded = [complaint.bytes(), whole[QUOTE_AT + length..].to_vec()].concat();
            assert_eq!(rig.run(&padded), Out::Passed(Reason::Truncated), "{length} quoted");
        }
    }
}

#[test]
fn an_error_needs_a_hop_to_go() {
    let rig = rig();
    let connection = Connection::established(&rig, CLIENT);
    for about in BOTH {
        let packet = about.packet(&connection, Flags::ACK);
        for ttl in [0, 1, 2, 255] {
            let with_ttl = |complaint: Complaint, ttl| complaint.with(|c| c.ip.time_to_live = ttl);
            let complaint = with_ttl(about.complaint(&connection, (11, 0), &packet, LEAST), ttl);
            if ttl < 2 {
                assert_eq!(rig.run(&complaint.bytes()), Out::Dropped(Reason::TtlExpired));
            } else {
                let translated = about.translated(&connection, (11, 0), &packet, LEAST);
                arrives(&rig, about, &complaint, &with_ttl(translated, ttl - 1));
            }
        }
    }
}

#[test]
fn an_error_for_a_server_needs_its_next_hop() {
    let mut rig = rig();
    let connection = Connection::established(&rig, CLIENT);
    rig.control.set_next_hop(connection.server, None).expect("can be written");
    let packet = connection.by_server(Flags::ACK);
    let complaint = About::Server.complaint(&connection, FRAGMENTATION_NEEDED, &packet, LEAST);
    assert_eq!(rig.run(&complaint.bytes()), Out::Dropped(Reason::NoNextHop));
}

#[test]
fn errors_do_not_keep_a_connection_alive() {
    let rig = rig();
    let connection = Connection::in_state(&rig, CLIENT, State::Closed);
    let complaint = about_client_packet(&connection, &connection.by_client(Flags::ACK));
    rig.age(CLIENT.socket, Ticks(TIMEOUTS.closed.0 - A_WHILE.0));
    assert!(matches!(rig.run(&complaint.bytes()), Out::Sent(_)));
    rig.age(CLIENT.socket, Ticks(A_WHILE.0 + 1));
    assert_eq!(rig.run(&complaint.bytes()), Out::Passed(Reason::NoConnection));
}
