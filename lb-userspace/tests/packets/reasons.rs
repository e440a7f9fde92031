//! Every packet that is not forwarded, and why.

use std::net::{Ipv4Addr, SocketAddrV4};

use etherparse::{
    EtherType, IpFragOffset, IpHeaders, IpNumber, Ipv4Options, PacketBuilder, PacketBuilderStep,
};
use lb_common::counters::PathCounters;
use lb_common::net::Mac;
use lb_common::reason::{Disposition, Reason};
use lb_common::tcp::Flags;

use crate::connection::{Connection, SYN_ACK, syn};
use crate::entry::Entry;
use crate::frame::{Frame, IP_AT, OPTIONS_AT, TCP_AT};
use crate::rig::{CLIENT, FRONTEND, NAT_FIRST, OUR_MAC, Out, Rig, at_our_mac, client, server};
use crate::{admission, answers, expiry, icmp, index, refusal, silence};

/// A frame to a balancer without connections.
struct Fixture {
    description: &'static str,
    frame: Vec<u8>,
    out: Out,
}

/// A frame to a balancer that something has happened to.
struct Story {
    description: &'static str,
    rig: fn() -> Rig,
    /// What happened, and the frame after it.
    frame: fn(&mut Rig) -> Vec<u8>,
    out: Out,
}

const BROADCAST: Mac = Mac([0xff; 6]);
const OTHER_MAC: Mac = Mac([2, 0, 0, 0, 0, 11]);
const OTHER_ADDRESS: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 99);

/// The first address of the NAT range, and the last port of it that the rig has.
const NAT: SocketAddrV4 = SocketAddrV4::new(*FRONTEND.ip(), NAT_FIRST);
const NAT_LAST: u16 = NAT_FIRST + 63;

/// Where the fields are that no library writes wrong.
const TOTAL_LENGTH_AT: usize = IP_AT + 2;
const DATA_OFFSET_AT: usize = TCP_AT + 12;
const FLAGS_AT: usize = TCP_AT + 13;

fn to(socket: SocketAddrV4, flags: u8) -> Frame {
    Frame::new(CLIENT, at_our_mac(socket), flags, 1, 1)
}

fn by_server(flags: u8) -> Frame {
    Frame::new(server(0), at_our_mac(NAT), flags, 1, 1)
}

fn port(port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(*FRONTEND.ip(), port)
}

fn fragment(frame: Frame, offset: u16, more: bool) -> Frame {
    frame.with(|frame| {
        frame.ip.dont_fragment = false;
        frame.ip.more_fragments = more;
        frame.ip.fragment_offset = IpFragOffset::try_new(offset).expect("thirteen bits");
    })
}

fn ip_options(frame: Frame) -> Frame {
    // Router alert (RFC 2113).
    frame.with(|frame| frame.ip.options = Ipv4Options::from([0x94, 4, 0, 0]))
}

fn other_protocol(build: impl FnOnce(PacketBuilderStep<IpHeaders>, &mut Vec<u8>)) -> Vec<u8> {
    let ethernet = PacketBuilder::ethernet2(CLIENT.mac.0, OUR_MAC.0);
    let mut bytes = Vec::new();
    build(ethernet.ipv4(CLIENT.socket.ip().octets(), FRONTEND.ip().octets(), 64), &mut bytes);
    bytes
}

fn udp() -> Vec<u8> {
    other_protocol(|ip, bytes| ip.udp(40_000, FRONTEND.port()).write(bytes, b"query").expect("fits"))
}

fn ping() -> Vec<u8> {
    other_protocol(|ip, bytes| ip.icmpv4_echo_request(7, 1).write(bytes, b"ping").expect("fits"))
}

fn ipv6() -> Vec<u8> {
    let mut bytes = Vec::new();
    let ip = PacketBuilder::ethernet2(CLIENT.mac.0, OUR_MAC.0).ipv6([0xfd; 16], [0xfe; 16], 64);
    ip.tcp(40_000, FRONTEND.port(), 1, 64_240).syn().write(&mut bytes, &[]).expect("fits");
    bytes
}

fn vlan() -> Vec<u8> {
    let mut bytes = syn(CLIENT).bytes();
    bytes.splice(12..12, [0x81, 0x00, 0x00, 0x05]);
    bytes
}

fn arp() -> Vec<u8> {
    let mut bytes = [&OUR_MAC.0[..], &CLIENT.mac.0, &[0x08, 0x06], &[0, 1, 8, 0, 6, 4, 0, 1]].concat();
    bytes.resize(60, 0);
    bytes
}

/// What is not ours goes its way.
fn not_ours() -> Vec<Fixture> {
    let pass = |description, frame, reason| Fixture { description, frame, out: Out::Passed(reason) };
    let elsewhere = SocketAddrV4::new(OTHER_ADDRESS, FRONTEND.port());
    let mac = |mac: Mac| syn(CLIENT).with(|frame| frame.eth.destination = mac.0).bytes();
    let protocol = |number| syn(CLIENT).with(|frame| frame.ip.protocol = IpNumber(number)).bytes();
    vec![
        pass("for another host", mac(OTHER_MAC), Reason::OtherHost),
        pass("for all", mac(BROADCAST), Reason::OtherHost),
        pass("for a group", mac(Mac([1, 0, 0x5e, 0, 0, 1])), Reason::OtherHost),
        pass("ARP", arp(), Reason::NotIpv4),
        pass("IPv6", ipv6(), Reason::NotIpv4),
        pass("a VLAN tag", vlan(), Reason::NotIpv4),
        pass(
            "a frame length instead of a type",
            syn(CLIENT).with(|f| f.eth.ether_type = EtherType(46)).bytes(),
            Reason::NotIpv4,
        ),
        pass("version 6 in an IPv4 frame", syn(CLIENT).patched(IP_AT, &[0x65]), Reason::NotIpv4),
        pass("UDP to the frontend's port", udp(), Reason::NotTcp),
        pass("ICMP", ping(), Reason::OtherIcmp),
        pass("IP in IP", protocol(4), Reason::NotTcp),
        pass("SSH", to(port(22), Flags::SYN).bytes(), Reason::OtherPort),
        pass(
            "the port after the frontend's",
            to(port(FRONTEND.port() + 1), Flags::SYN).bytes(),
            Reason::OtherPort,
        ),
        pass("the port before the NAT range", to(port(NAT_FIRST - 1), Flags::ACK).bytes(), Reason::OtherPort),
        pass("the port after the NAT range", to(port(NAT_LAST + 1), Flags::ACK).bytes(), Reason::OtherPort),
        pass("port 0", to(port(0), Flags::SYN).bytes(), Reason::OtherPort),
        pass("port 65535", to(port(u16::MAX), Flags::SYN).bytes(), Reason::OtherPort),
        pass("the frontend's port elsewhere", to(elsewhere, Flags::SYN).bytes(), Reason::OtherAddress),
        pass(
            "a server to the NAT range elsewhere",
            Frame::new(server(0), at_our_mac(SocketAddrV4::new(OTHER_ADDRESS, NAT_FIRST)), SYN_ACK, 1, 1)
                .bytes(),
            Reason::OtherAddress,
        ),
        pass("a stranger to the NAT range", to(NAT, Flags::SYN).bytes(), Reason::NotAServer),
        pass("a stranger to its end", to(port(NAT_LAST), SYN_ACK).bytes(), Reason::NotAServer),
        pass(
            "a server's other port to the NAT range",
            by_server(SYN_ACK).with(|frame| frame.tcp.source_port += 1).bytes(),
            Reason::NotAServer,
        ),
        pass(
            "a server's port at another address to the NAT range",
            by_server(SYN_ACK).with(|frame| frame.ip.source = OTHER_ADDRESS.octets()).bytes(),
            Reason::NotAServer,
        ),
        pass(
            "a first fragment for another port",
            fragment(to(port(22), Flags::ACK), 0, true).bytes(),
            Reason::OtherPort,
        ),
        pass(
            "a later fragment",
            fragment(to(FRONTEND, Flags::ACK), 185, true).bytes(),
            Reason::LaterFragment,
        ),
        pass(
            "a last fragment",
            fragment(to(FRONTEND, Flags::ACK), 185, false).bytes(),
            Reason::LaterFragment,
        ),
        pass("IP options for another port", ip_options(to(port(22), Flags::SYN)).bytes(), Reason::OtherPort),
        pass(
            "malformed, for another port",
            to(port(22), Flags::SYN).patched(DATA_OFFSET_AT, &[0x40]),
            Reason::OtherPort,
        ),
        pass("no flags, for another port", to(port(22), 0).bytes(), Reason::OtherPort),
        pass(
            "TTL 1 for another port",
            to(port(22), Flags::SYN).with(|f| f.ip.time_to_live = 1).bytes(),
            Reason::OtherPort,
        ),
        pass("no TCP header", syn(CLIENT).bytes()[..Entry::chosen().shortest()].to_vec(), Reason::Truncated),
        pass("an IP header longer than the frame", syn(CLIENT).patched(IP_AT, &[0x4f]), Reason::Truncated),
    ]
}

/// What is ours but belongs to no connection, or should not be on the wire.
fn ours() -> Vec<Fixture> {
    let pass = |description, frame, reason| Fixture { description, frame, out: Out::Passed(reason) };
    let drop = |description, frame, reason| Fixture { description, frame, out: Out::Dropped(reason) };
    let flags = |flags| syn(CLIENT).patched(FLAGS_AT, &[flags]);
    let total_length = |length: u16| syn(CLIENT).patched(TOTAL_LENGTH_AT, &length.to_be_bytes());
    let data_offset = |words: u8| syn(CLIENT).patched(DATA_OFFSET_AT, &[words << 4]);
    let ttl = |ttl| syn(CLIENT).with(|frame| frame.ip.time_to_live = ttl).bytes();
    let source = |address| syn(CLIENT).with(|frame| frame.ip.source = address).bytes();
    let source_mac = |mac| syn(CLIENT).with(|frame| frame.eth.source = mac).bytes();
    vec![
        pass("an ACK of nobody's", to(FRONTEND, Flags::ACK).bytes(), Reason::NoConnection),
        pass("a SYN-ACK to a frontend", to(FRONTEND, SYN_ACK).bytes(), Reason::NoConnection),
        pass("a RST of nobody's", to(FRONTEND, Flags::RST).bytes(), Reason::NoConnection),
        pass(
            "an ACK of nobody's with its last hop spent",
            to(FRONTEND, Flags::ACK).with(|frame| frame.ip.time_to_live = 1).bytes(),
            Reason::NoConnection,
        ),
        pass("a server's SYN-ACK to nobody", by_server(SYN_ACK).bytes(), Reason::NoConnection),
        pass("a server's SYN to nobody", by_server(Flags::SYN).bytes(), Reason::NoConnection),
        pass("a server's data to nobody", by_server(Flags::ACK).payload(b"x").bytes(), Reason::NoConnection),
        pass("no flags, from nobody", flags(0), Reason::NoConnection),
        pass("FIN alone, from nobody", flags(Flags::FIN), Reason::NoConnection),
        pass("PSH and URG alone, from nobody", flags(0x28), Reason::NoConnection),
        pass("SYN, ACK and FIN, from nobody", flags(SYN_ACK | Flags::FIN), Reason::NoConnection),
        pass("all of them, from nobody", flags(0xff), Reason::NoConnection),
        drop(
            "a first fragment for a frontend",
            fragment(syn(CLIENT), 0, true).bytes(),
            Reason::FirstFragment,
        ),
        drop(
            "a first fragment for the NAT range",
            fragment(by_server(Flags::ACK), 0, true).bytes(),
            Reason::FirstFragment,
        ),
        drop(
            "a first fragment with IP options",
            ip_options(fragment(syn(CLIENT), 0, true)).bytes(),
            Reason::FirstFragment,
        ),
        drop("IP options for a frontend", ip_options(syn(CLIENT)).bytes(), Reason::IpOptions),
        drop("IP options for the NAT range", ip_options(by_server(Flags::ACK)).bytes(), Reason::IpOptions),
        drop("a packet longer than its frame", total_length(41), Reason::Malformed),
        drop("a packet far longer than its frame", total_length(u16::MAX), Reason::Malformed),
        drop("a packet shorter than its headers", total_length(39), Reason::Malformed),
        drop("a packet of no length", total_length(0), Reason::Malformed),
        drop("a TCP header of no length", data_offset(0), Reason::Malformed),
        drop("a TCP header that is too short", data_offset(4), Reason::Malformed),
        drop("a TCP header longer than its packet", data_offset(6), Reason::Malformed),
        drop("the longest TCP header without its bytes", data_offset(15), Reason::Malformed),
        drop("SYN and FIN", flags(Flags::SYN | Flags::FIN), Reason::BadFlags),
        drop("SYN and RST", flags(Flags::SYN | Flags::RST), Reason::BadFlags),
        drop("its last hop spent", ttl(1), Reason::TtlExpired),
        drop("no hop left at all", ttl(0), Reason::TtlExpired),
        drop("a SYN from this network", source([0, 0, 0, 1]), Reason::BadSource),
        drop("a SYN from a loopback address", source([127, 0, 0, 1]), Reason::BadSource),
        drop("a SYN from a group's address", source([224, 0, 0, 1]), Reason::BadSource),
        drop("a SYN from the address of all", source([255; 4]), Reason::BadSource),
        drop("a SYN from nobody", source_mac([0; 6]), Reason::BadSourceMac),
        drop("a SYN from a group", source_mac([1, 0, 0x5e, 0, 0, 1]), Reason::BadSourceMac),
        drop("a SYN from all", source_mac(BROADCAST.0), Reason::BadSourceMac),
    ]
}

/// ICMP errors about packets of a connection.
fn errors() -> Vec<Story> {
    vec![
        Story {
            description: "an error about a packet that nobody has sent",
            rig: Rig::new,
            frame: |rig| {
                let connection = Connection::established(rig, CLIENT);
                icmp::about_client_packet(&connection, &connection.by_client(Flags::ACK))
                    .with(|complaint| complaint.quote[icmp::QUOTED_SEQ] ^= 0x80)
                    .bytes()
            },
            out: Out::Dropped(Reason::ImplausibleIcmp),
        },
        Story {
            description: "an error that a SYN does not reach its server",
            rig: Rig::new,
            frame: |rig| icmp::about_client_packet(&Connection::open(rig, CLIENT), &syn(CLIENT)).bytes(),
            out: Out::Dropped(Reason::UnreachableSyn),
        },
    ]
}

/// Segments that no TCP sends, in a connection.
fn unsound() -> Vec<Story> {
    vec![
        Story {
            description: "malformed, in a connection",
            rig: Rig::new,
            frame: |rig| {
                Connection::established(rig, CLIENT).by_client(Flags::ACK).patched(DATA_OFFSET_AT, &[0x40])
            },
            out: Out::Dropped(Reason::Malformed),
        },
        Story {
            description: "malformed, from the server of a connection",
            rig: Rig::new,
            frame: |rig| {
                Connection::established(rig, CLIENT).by_server(Flags::ACK).patched(DATA_OFFSET_AT, &[0xf0])
            },
            out: Out::Dropped(Reason::Malformed),
        },
        Story {
            description: "no flags, from the server of a connection",
            rig: Rig::new,
            frame: |rig| Connection::established(rig, CLIENT).by_server(Flags::ACK).patched(FLAGS_AT, &[0]),
            out: Out::Dropped(Reason::BadFlags),
        },
        Story {
            description: "its last hop spent, from the server of a connection",
            rig: Rig::new,
            frame: |rig| {
                let connection = Connection::established(rig, CLIENT);
                connection.by_server(Flags::ACK).with(|frame| frame.ip.time_to_live = 1).bytes()
            },
            out: Out::Dropped(Reason::TtlExpired),
        },
    ]
}

/// What else depends on what was before.
fn stories() -> Vec<Story> {
    vec![
        Story {
            description: "a SYN to a frontend that is going away",
            rig: || admission::rig(|frontend| frontend.draining = 1),
            frame: |_| syn(CLIENT).bytes(),
            out: Out::Passed(Reason::Draining),
        },
        Story {
            description: "a source that opens connections too fast",
            rig: || admission::rig(|frontend| frontend.limits.source_rate = admission::ONE_IN_A_DAY),
            frame: |rig| {
                Connection::open(rig, client(1, 50_000));
                syn(CLIENT).bytes()
            },
            out: Out::Dropped(Reason::SourceRate),
        },
        Story {
            description: "all connections that the frontend may have",
            rig: || admission::rig(|frontend| frontend.limits.max_connections = 1),
            frame: |rig| {
                Connection::established(rig, client(9, 50_000));
                syn(CLIENT).bytes()
            },
            out: Out::Dropped(Reason::FrontendFull),
        },
        Story {
            description: "a refusal, when the SYN is not known any more",
            rig: refusal::rig_of_many_slots,
            frame: |rig| {
                let connection = Connection::open(rig, CLIENT);
                refusal::forget_syn(rig, &connection);
                connection.refusal().bytes()
            },
            out: Out::Dropped(Reason::Refused),
        },
        Story {
            description: "a RST from the server of a connection that was given up",
            rig: Rig::new,
            frame: |rig| silence::abandoned(rig).refusal().bytes(),
            out: Out::Dropped(Reason::LateAnswer),
        },
        Story {
            description: "a RST in a connection that was reset",
            rig: Rig::new,
            frame: |rig| {
                let connection = Connection::established(rig, CLIENT);
                rig.reset(CLIENT.socket);
                connection.by_client(Flags::RST).bytes()
            },
            out: Out::Dropped(Reason::ServerDown),
        },
        Story {
            description: "the next hop of the connection's server is lost",
            rig: Rig::new,
            frame: |rig| {
                let connection = Connection::established(rig, CLIENT);
                rig.control.set_next_hop(connection.server, None).expect("can be written");
                connection.by_client(Flags::ACK).bytes()
            },
            out: Out::Dropped(Reason::NoNextHop),
        },
        Story {
            description: "all slots are held",
            rig: || Rig::with_one_server(4),
            frame: |rig| {
                expiry::fill(rig);
                syn(client(9, 50_000)).bytes()
            },
            out: Out::Dropped(Reason::NoSlot),
        },
        Story {
            description: "both buckets are full",
            rig: Rig::new,
            frame: |rig| {
                let client = index::client_of_two_buckets(rig);
                index::fill_both(rig, client);
                syn(client).bytes()
            },
            out: Out::Dropped(Reason::IndexFull),
        },
    ]
}

fn all_stories() -> impl Iterator<Item = Story> {
    stories().into_iter().chain(unsound()).chain(errors())
}

#[test]
fn what_is_not_forwarded_leaves_no_trace_but_its_reason() {
    let rig = Rig::new();
    for Fixture { description, frame, out } in not_ours().into_iter().chain(ours()) {
        assert_eq!(rig.run(&frame), out, "{description}");
    }
    assert!(rig.slots_of(CLIENT.socket).is_empty());
    assert_eq!(rig.traffic(), PathCounters::default());
}

#[test]
fn what_a_connection_sends_is_not_always_forwarded() {
    for Story { description, rig, frame, out } in all_stories() {
        let mut rig = rig();
        let frame = frame(&mut rig);
        assert_eq!(rig.run(&frame), out, "{description}");
    }
}

#[test]
fn every_reason_has_a_fixture() {
    let fixtures = not_ours().into_iter().chain(ours()).map(|fixture| fixture.out);
    let outs: Vec<Out> = fixtures.chain(all_stories().map(|story| story.out)).collect();
    for reason in Reason::ALL {
        let is_covered = outs.contains(&Out::Passed(*reason)) || outs.contains(&Out::Dropped(*reason));
        // That one takes two CPUs: see `race`. What is answered is compared byte by byte elsewhere, and
        // what is sent all the same is in `icmp`.
        let is_elsewhere = *reason == Reason::LostRace
            || answers::REASONS.contains(reason)
            || reason.disposition() == Disposition::Forward;
        assert!(is_covered || is_elsewhere, "{reason:?} has no fixture");
    }
}

#[test]
fn a_frame_may_end_anywhere() {
    let rig = Rig::new();
    let whole = syn(CLIENT).options(&[2, 4, 0x05, 0xb4]).payload(b"early data").bytes();
    for length in Entry::chosen().shortest()..whole.len() {
        // Ours as soon as its ports can be read.
        let expected = if length < OPTIONS_AT {
            Out::Passed(Reason::Truncated)
        } else {
            Out::Dropped(Reason::Malformed)
        };
        assert_eq!(rig.run(&whole[..length]), expected, "{length} bytes");
    }
    assert!(matches!(rig.run(&whole), Out::Sent(_)));
}

#[test]
fn the_ttl_falls_by_one_each_time() {
    let rig = Rig::new();
    let connection = Connection::established(&rig, CLIENT);
    for ttl in [2, 64, 128, 255] {
        let with_ttl = |frame: Frame| frame.with(|frame| frame.ip.time_to_live = ttl);
        connection.reaches_server(&rig, with_ttl(connection.by_client(Flags::ACK)));
        connection.reaches_client(&rig, with_ttl(connection.by_server(Flags::ACK)));
    }
}
