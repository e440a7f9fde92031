//! The paths through the product, each with the state that leads there.

use std::net::{Ipv4Addr, SocketAddrV4};

use anyhow::{Context, Result, ensure};
use aya::Ebpf;
use lb_common::admission::Limits;
use lb_common::bench::Flows;
use lb_common::counters::PathCounters;
use lb_common::frontend::Timeouts;
use lb_common::nat::NatAddrs;
use lb_common::reason::Reason;
use lb_common::slot::Word;
use lb_common::tcp::{Fins, Seq, Side, State};
use lb_common::time::Ticks;
use xlb::config::Config;
use xlb::control::{Control, Portion, Wanted, WantedFrontend, WantedServer};
use xlb::dataplane::maps::Maps;
use xlb::dataplane::object::{self, Sizes};
use xlb::dataplane::table::{self, Table};

use crate::frame::{CLIENT_SEQ, FROM_CLIENT, FROM_SERVER, SERVER_SEQ, SYN};
use crate::place::{self, HOST, MAC, SERVICE, own_frame};
use crate::subject::{Subject, TC_ACT_REDIRECT, XDP_PASS};
use crate::test_run::{self, FLOOR, NEXT_FLOW, OBJECT, PLAIN, XDP_TX};

pub const NAT_FIRST: u16 = 10_240;
pub const NAT_PORTS: u16 = 22_528;
/// As many as the maps have room for by default.
const SERVERS: u32 = Config::DEFAULT_MAX_SERVERS;

/// The least that a forwarding program does. It touches no map that could prove it; its verdict does.
pub fn floor() -> Result<Subject> {
    let rig = Rig::new(1, FLOOR)?;
    Ok(Subject::new(rig.ebpf, FLOOR, own_frame(40_000, SERVICE.port(), FROM_CLIENT)))
}

/// A packet to another service of the host.
pub fn not_ours() -> Result<Subject> {
    let frame = own_frame(40_000, 22, FROM_CLIENT);
    let subject =
        Rig::new(1, PLAIN)?.into_subject(frame, |control| Ok(control.maps().reason(Reason::OtherPort)?));
    Ok(Subject { verdict: XDP_PASS, ..subject })
}

/// A packet of an established connection, from its client.
pub fn forward() -> Result<Subject> {
    let (rig, nat_port) = Rig::with_fixed_point("same_flow", XDP_TX)?;
    let frame = own_frame(nat_port, SERVICE.port(), FROM_CLIENT);
    Ok(rig.into_subject(frame, |control| Ok(traffic(control)?.packets[0])))
}

/// The same from its server.
pub fn reverse() -> Result<Subject> {
    let (rig, nat_port) = Rig::with_fixed_point("same_flow", XDP_TX)?;
    let frame = own_frame(SERVICE.port(), nat_port, FROM_SERVER);
    Ok(rig.into_subject(frame, |control| Ok(traffic(control)?.packets[1])))
}

/// From its client, in TC.
pub fn tc() -> Result<Subject> {
    let (rig, nat_port) = Rig::with_fixed_point("same_flow_tc", TC_ACT_REDIRECT)?;
    let frame = own_frame(nat_port, SERVICE.port(), FROM_CLIENT);
    let subject = rig.into_subject(frame, |control| Ok(traffic(control)?.packets[0]));
    Ok(Subject { verdict: TC_ACT_REDIRECT, ..subject })
}

/// From the clients of 2^`bits` connections, one after the other.
pub fn flows(bits: u32) -> Result<Subject> {
    let mut rig = Rig::new((1u32 << bits).div_ceil(u32::from(NAT_PORTS)) + 1, NEXT_FLOW)?;
    rig.flows.set(0, place::flows(bits).sorted())?;
    rig.run(&own_frame(0, 0, SYN), 1 << bits, XDP_TX)?;
    ensure!(rig.establish()? == 1 << bits, "not every one of 2^{bits} flows got a slot");
    rig.flows.set(0, place::flows(bits))?;
    let frame = own_frame(0, 0, FROM_CLIENT);
    let subject = rig.into_subject(frame, |control| Ok(traffic(control)?.packets[0]));
    Ok(Subject { repeat: 1 << 20, ..subject })
}

/// Every SYN is another client's; each turn takes the next ones, until half the slots are taken.
pub fn new_flow(rounds: u32) -> Result<Subject> {
    let mut rig = Rig::new(SERVERS, NEXT_FLOW)?;
    rig.flows.set(0, place::flows(24))?;
    let repeat = SERVERS * u32::from(NAT_PORTS) / 2 / rounds;
    let frame = own_frame(0, 0, SYN);
    let subject = rig.into_subject(frame, |control| Ok(traffic(control)?.connections));
    Ok(Subject { repeat, ..subject })
}

/// A loaded data plane.
struct Rig {
    program: &'static str,
    ebpf: Ebpf,
    control: Control,
    flows: Table<Flows>,
}

impl Rig {
    fn new(servers: u32, program: &'static str) -> Result<Self> {
        let wanted = wanted(servers);
        let mut ebpf = object::load(OBJECT, wanted.sizes).context("the packet bench needs root")?;
        object::load_program(&mut ebpf, program)?;
        let maps = Maps::gather(|name| table::take(&mut ebpf, name))?;
        let flows = Table::new("FLOWS", table::take(&mut ebpf, "FLOWS")?)?;
        Ok(Self { program, ebpf, control: Control::new(maps, wanted)?, flows })
    }

    /// A rig with one established connection whose client port is its NAT port.
    fn with_fixed_point(program: &'static str, verdict: u32) -> Result<(Self, u16)> {
        let rig = Self::new(1, program)?;
        let cursor = rig.control.maps().slot_cursors.get(0)?.position;
        let nat_port = NAT_FIRST + (cursor % u64::from(NAT_PORTS)) as u16;
        rig.run(&own_frame(nat_port, SERVICE.port(), SYN), 1, verdict)?;
        ensure!(rig.establish()? == 1, "the fixed point has no slot");
        Ok((rig, nat_port))
    }

    /// Makes every half-open connection established, as its ACK would.
    fn establish(&self) -> Result<u32> {
        let mut slots = self.control.maps().slots.view_mut()?;
        Ok(slots.change_used(|slot| {
            slot.word = Word(slot.word).with(State::Established, Fins::NONE).0;
            slot.sides = [
                Side { end: Seq(CLIENT_SEQ), ack: Seq(SERVER_SEQ) },
                Side { end: Seq(SERVER_SEQ), ack: Seq(CLIENT_SEQ) },
            ];
        }))
    }

    fn run(&self, frame: &[u8], repeat: u32, verdict: u32) -> Result<()> {
        test_run::run(&self.ebpf, self.program, frame, repeat)?.expect(verdict).map(drop)
    }

    /// What is left to do is to measure, with a count of those that took the path.
    fn into_subject(self, frame: Vec<u8>, count: fn(&Control) -> Result<u64>) -> Subject {
        let control = self.control;
        let proof = Some(Box::new(move || count(&control)) as _);
        Subject { proof, ..Subject::new(self.ebpf, self.program, frame) }
    }
}

/// What the frontend and all servers have counted.
fn traffic(control: &Control) -> Result<PathCounters> {
    let mut sum = PathCounters::default();
    for server in 0..control.wanted().servers.len() {
        sum.add(&control.maps().path(0, server as u16)?);
    }
    Ok(sum)
}

fn wanted(servers: u32) -> Wanted {
    let long = Ticks(u32::MAX / 2);
    let server = |number: u32| WantedServer {
        // The first is the fixed point; the others are only there for their slots.
        address: SocketAddrV4::new(Ipv4Addr::from(u32::from(HOST) + number), SERVICE.port()),
        weight: 1,
        portion: Portion::WHOLE,
        backup: false,
        up: true,
        ready: true,
        next_hop: Some(MAC),
    };
    Wanted {
        sizes: Sizes {
            max_servers: servers,
            nat_first: NAT_FIRST,
            nat_ports: NAT_PORTS,
            nat_addrs: NatAddrs::one(HOST.into()),
        },
        mac: MAC,
        mtu: 1500,
        frontends: vec![WantedFrontend {
            limits: Limits::default(),
            bind: SERVICE,
            timeouts: Timeouts { connect: long, idle: long, time_wait: long, closed: long },
            allow: Vec::new(),
            servers: (0..servers as u16).collect(),
            panic: false,
        }],
        servers: (0..servers).map(server).collect(),
    }
}
