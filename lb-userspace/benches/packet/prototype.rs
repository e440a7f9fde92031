//! The same paths through the prototype: a program with two hash maps of the kernel's, for packets to
//! frontends and for those from servers, and with nothing else.
//!
//! It counts nothing. So a packet is sent through each program first, of a connection with addresses that
//! all differ, and compared byte by byte with what should come out. In the measured flow all are the
//! same. There a packet that the program did not know would stay as it is, and so would all that follow:
//! the verdict of the last tells of all.

use std::net::{Ipv4Addr, SocketAddrV4};

use anyhow::{Context, Result, ensure};
use aya::maps::{HashMap, MapData};
use aya::{Ebpf, EbpfLoader};
use lb_common::bench::{Flows, FourTuple, Onward};
use lb_common::net::{Mac, Port, socket_addr};
use xlb::dataplane::object;
use xlb::dataplane::table::{self, Raw, Table};

use crate::frame::{self, End, FROM_CLIENT, FROM_SERVER, Segment, TTL};
use crate::place::{self, HOST, MAC, SERVICE, own_frame};
use crate::product::{NAT_FIRST, NAT_PORTS};
use crate::subject::{Subject, TC_ACT_REDIRECT, XDP_PASS};
use crate::test_run::{self, OBJECT, XDP_TX};

/// How many of the many flows are looked at one by one: 2⁸.
const SAMPLE_BITS: u32 = 8;

/// Entries of a map for each connection in it. A hash map that is full has longer chains; with one entry for
/// each the prototype was slower, with four it was not faster.
const ROOM: u32 = 2;

/// A connection through the balancer.
struct Connection {
    client: SocketAddrV4,
    client_mac: Mac,
    frontend: SocketAddrV4,
    nat: SocketAddrV4,
    server: SocketAddrV4,
    server_mac: Mac,
}

/// One in which nothing is like anything else.
const EXAMPLE: Connection = Connection {
    client: SocketAddrV4::new(Ipv4Addr::new(198, 18, 1, 1), 40_001),
    client_mac: Mac([2, 0, 0, 0, 1, 1]),
    frontend: SocketAddrV4::new(Ipv4Addr::new(198, 18, 2, 2), 6443),
    nat: SocketAddrV4::new(Ipv4Addr::new(198, 18, 3, 3), 20_003),
    server: SocketAddrV4::new(Ipv4Addr::new(198, 18, 4, 4), 8444),
    server_mac: Mac([2, 0, 0, 0, 4, 4]),
};

/// The one that is its own fixed point.
const FIXED_POINT: Connection = Connection {
    client: SocketAddrV4::new(HOST, NAT_FIRST),
    client_mac: MAC,
    frontend: SERVICE,
    nat: SocketAddrV4::new(HOST, NAT_FIRST),
    server: SERVICE,
    server_mac: MAC,
};

/// Another, to a service of the host that is no frontend. It is known too: every packet would be forwarded if
/// the port did not keep it out.
const OTHER_SERVICE: Connection = Connection {
    client: SocketAddrV4::new(HOST, 40_000),
    frontend: SocketAddrV4::new(HOST, 22),
    nat: SocketAddrV4::new(HOST, 40_000),
    server: SocketAddrV4::new(HOST, 22),
    ..FIXED_POINT
};

/// A packet to another service of the host.
pub fn not_ours() -> Result<Subject> {
    let mut rig = Rig::proven("prototype_plain", &[Way::Forward], XDP_TX)?;
    rig.add(Way::Forward, &OTHER_SERVICE)?;
    Ok(Subject { verdict: XDP_PASS, ..rig.into_subject(OTHER_SERVICE.sent(Way::Forward)) })
}

/// A packet of an established connection, from its client.
pub fn forward() -> Result<Subject> {
    let rig = Rig::proven("prototype_same_flow", &Way::BOTH, XDP_TX)?;
    Ok(rig.into_subject(FIXED_POINT.sent(Way::Forward)))
}

/// The same from its server.
pub fn reverse() -> Result<Subject> {
    let rig = Rig::proven("prototype_same_flow", &Way::BOTH, XDP_TX)?;
    Ok(rig.into_subject(FIXED_POINT.sent(Way::Reverse)))
}

/// From its client, in TC.
pub fn tc() -> Result<Subject> {
    let rig = Rig::proven("prototype_same_flow_tc", &Way::BOTH, TC_ACT_REDIRECT)?;
    let frame = FIXED_POINT.sent(Way::Forward);
    Ok(Subject { verdict: TC_ACT_REDIRECT, ..rig.into_subject(frame) })
}

/// From the clients of 2^`bits` connections, one after the other.
pub fn flows(bits: u32) -> Result<Subject> {
    let mut rig = Rig::new("prototype_next_flow", 1 << bits)?;
    for flow in 0..1 << bits {
        rig.add(Way::Forward, &Connection::of_flow(flow, bits))?;
    }
    for flow in (0..1 << bits).step_by(1 << (bits - SAMPLE_BITS)) {
        rig.flows.set(0, Flows { taken: flow, ..place::flows(bits).sorted() })?;
        rig.prove(Way::Forward, &Connection::of_flow(flow, bits), XDP_TX)?;
    }
    rig.flows.set(0, place::flows(bits))?;
    let flows = rig.flows;
    let known = move || Ok(u64::from(flows.get(0)?.known));
    let subject = Subject::new(rig.ebpf, rig.program, own_frame(0, 0, FROM_CLIENT));
    Ok(Subject { repeat: 1 << 20, proof: Some(Box::new(known)), ..subject })
}

/// A direction.
#[derive(Clone, Copy)]
enum Way {
    Forward,
    Reverse,
}

impl Way {
    const BOTH: [Self; 2] = [Self::Forward, Self::Reverse];

    const fn segment(self) -> Segment {
        match self {
            Self::Forward => FROM_CLIENT,
            Self::Reverse => FROM_SERVER,
        }
    }
}

impl Connection {
    /// That of one of the many flows, by its number.
    fn of_flow(flow: u32, bits: u32) -> Self {
        let (addr, port) = Flows { taken: flow, ..place::flows(bits).sorted() }.next();
        let server = Ipv4Addr::from(u32::from(HOST) + flow / u32::from(NAT_PORTS));
        Self {
            client: socket_addr(addr, port),
            nat: SocketAddrV4::new(HOST, NAT_FIRST + (flow % u32::from(NAT_PORTS)) as u16),
            server: SocketAddrV4::new(server, SERVICE.port()),
            ..FIXED_POINT
        }
    }

    /// Who a packet comes from, and whom it is sent to.
    fn before(&self, way: Way) -> Route {
        let (mac, source, destination) = match way {
            Way::Forward => (self.client_mac, self.client, self.frontend),
            Way::Reverse => (self.server_mac, self.server, self.nat),
        };
        Route { from: End { mac, socket: source }, to: End { mac: MAC, socket: destination }, ttl: TTL }
    }

    /// And what that becomes.
    fn after(&self, way: Way) -> Route {
        let (mac, source, destination) = match way {
            Way::Forward => (self.server_mac, self.nat, self.server),
            Way::Reverse => (self.client_mac, self.frontend, self.client),
        };
        Route { from: End { mac: MAC, socket: source }, to: End { mac, socket: destination }, ttl: TTL - 1 }
    }

    fn sent(&self, way: Way) -> Vec<u8> {
        self.before(way).frame(way)
    }

    fn forwarded(&self, way: Way) -> Vec<u8> {
        self.after(way).frame(way)
    }
}

/// Where a frame is from, where it goes, and how far it can go.
struct Route {
    from: End,
    to: End,
    ttl: u8,
}

impl Route {
    fn frame(&self, way: Way) -> Vec<u8> {
        frame::frame(self.from, self.to, self.ttl, way.segment())
    }

    fn ends(&self) -> FourTuple {
        let [source, destination] = [self.from.socket, self.to.socket];
        FourTuple {
            source: (*source.ip()).into(),
            destination: (*destination.ip()).into(),
            source_port: Port::new(source.port()),
            destination_port: Port::new(destination.port()),
        }
    }
}

type Known = HashMap<MapData, Raw<FourTuple>, Raw<Onward>>;

/// A loaded prototype.
struct Rig {
    program: &'static str,
    ebpf: Ebpf,
    forward: Known,
    reverse: Known,
    flows: Table<Flows>,
}

impl Rig {
    /// One that knows the frontends' port, and has room for so many connections.
    fn new(program: &'static str, connections: u32) -> Result<Self> {
        let entries = connections * ROOM;
        let mut ebpf = EbpfLoader::new()
            .map_max_entries("FORWARD", entries)
            .map_max_entries("REVERSE", entries)
            .load(OBJECT)
            .context("the packet bench needs root")?;
        object::load_program(&mut ebpf, program)?;
        let mut ports = HashMap::<_, Raw<Port>, u16>::try_from(table::take(&mut ebpf, "PORTS")?)?;
        ports.insert(Raw(Port::new(SERVICE.port())), 0, 0)?;
        let forward = table::take(&mut ebpf, "FORWARD")?.try_into()?;
        let reverse = table::take(&mut ebpf, "REVERSE")?.try_into()?;
        let flows = Table::new("FLOWS", table::take(&mut ebpf, "FLOWS")?)?;
        Ok(Self { program, ebpf, forward, reverse, flows })
    }

    /// One that knows the fixed point, and has proven that it forwards.
    fn proven(program: &'static str, ways: &[Way], verdict: u32) -> Result<Self> {
        let mut rig = Self::new(program, 2)?;
        for connection in [&EXAMPLE, &FIXED_POINT] {
            for way in Way::BOTH {
                rig.add(way, connection)?;
            }
        }
        for way in ways {
            rig.prove(*way, &EXAMPLE, verdict)?;
        }
        Ok(rig)
    }

    /// Tells it of one direction of a connection.
    fn add(&mut self, way: Way, connection: &Connection) -> Result<()> {
        let [before, after] = [connection.before(way), connection.after(way)];
        let onward = Onward { next_hop: after.to.mac.into(), ends: after.ends(), padding: 0 };
        let known = match way {
            Way::Forward => &mut self.forward,
            Way::Reverse => &mut self.reverse,
        };
        Ok(known.insert(Raw(before.ends()), Raw(onward), 0)?)
    }

    /// Fails if it does not forward a packet of a connection as it should.
    fn prove(&self, way: Way, connection: &Connection, verdict: u32) -> Result<()> {
        let ran = test_run::run(&self.ebpf, self.program, &connection.sent(way), 1)?;
        let (_, frame) = ran.expect(verdict).context(self.program)?;
        let wanted = connection.forwarded(way);
        ensure!(frame == wanted, "{}: {frame:02x?} should be {wanted:02x?}", self.program);
        Ok(())
    }

    fn into_subject(self, frame: Vec<u8>) -> Subject {
        Subject::new(self.ebpf, self.program, frame)
    }
}
