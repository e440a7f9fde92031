//! What one packet costs: nanoseconds by the kernel's own test run, beside the least that any
//! forwarding program costs on the same machine in the same minute.
//!
//! All paths take turns, round after round; the table shows medians. Counters prove that every
//! measured packet took the path that it claims to measure.

use std::net::{Ipv4Addr, SocketAddrV4};

use anyhow::{Context, Result, bail, ensure};
use aya::Ebpf;
use aya::programs::{Program, TestRun, TestRunOptions};
use clap::Parser;
use comfy_table::{CellAlignment, Table, presets};
use etherparse::PacketBuilder;
use lb_common::admission::Limits;
use lb_common::bench::Flows;
use lb_common::counters::PathCounters;
use lb_common::frontend::Timeouts;
use lb_common::nat::NatAddrs;
use lb_common::net::{Mac, Port};
use lb_common::reason::Reason;
use lb_common::slot::Word;
use lb_common::tcp::{Fins, Seq, Side, State};
use lb_common::time::Ticks;
use serde::Serialize;
use xlb::config::Config;
use xlb::control::{Control, Portion, Wanted, WantedFrontend, WantedServer};
use xlb::dataplane::maps::Maps;
use xlb::dataplane::object::{self, Sizes};
use xlb::dataplane::table::{self, Table as MapTable};

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/bench.bpf.o"));

/// Address of everything: with client, frontend, NAT address and server all the same, a flow is its
/// own fixed point, and the packet of one repetition is that of the next.
const HOST: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 10);
const SERVICE: SocketAddrV4 = SocketAddrV4::new(HOST, 6443);
const MAC: Mac = Mac([2, 0, 0, 0, 0, 10]);
const NAT_FIRST: u16 = 10_240;
const NAT_PORTS: u16 = 22_528;
/// As many as the maps have room for by default.
const SERVERS: u32 = Config::DEFAULT_MAX_SERVERS;
/// `linux/bpf.h`.
const XDP_PASS: u32 = 2;
const XDP_TX: u32 = 3;
/// `linux/pkt_cls.h`.
const TC_ACT_REDIRECT: u32 = 7;
/// What the server has sent, and the client acknowledges, in every flow.
const SERVER_SEQ: u32 = 1_000_000;
const CLIENT_SEQ: u32 = 2_000_000;

#[derive(Parser)]
#[command(about = "Nanoseconds per packet, beside the least that any forwarding program costs")]
struct Args {
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
    /// How often every path has its turn.
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..1000))]
    rounds: u32,
    /// Fail if a path is over its bound.
    #[arg(long)]
    strict: bool,
    /// Cargo passes this to every bench.
    #[arg(long, hide = true)]
    bench: bool,
}

/// A path of a packet: how it is measured, and what it may cost.
struct Path {
    name: &'static str,
    /// The most that it may cost, in floors.
    bound: f64,
    rig: Rig,
    program: &'static str,
    frame: Vec<u8>,
    /// Packets in one turn.
    repeat: u32,
    /// How each of them has to end.
    verdict: u32,
    /// What is counted for each packet.
    proof: fn(&Rig) -> Result<u64>,
    samples: Vec<f64>,
}

/// A loaded data plane.
struct Rig {
    ebpf: Ebpf,
    control: Control,
    flows: MapTable<Flows>,
}

#[derive(Serialize)]
struct Report {
    floor_ns: f64,
    paths: Vec<PathReport>,
}

#[derive(Serialize)]
struct PathReport {
    path: &'static str,
    ns: f64,
    ratio: f64,
    /// Half of what lies between the quartiles, relative to the median.
    spread: f64,
    bound: f64,
    within_bound: bool,
}

fn main() -> Result<()> {
    let args = Args::parse();
    // In TC, packets are ours only if they are for this host.
    lb_lab::loopback::own(MAC.0).context("the packet bench needs root")?;
    let mut floor = Path::floor()?;
    let mut paths = [
        Path::not_ours()?,
        Path::established_forward()?,
        Path::established_reverse()?,
        Path::established_tc()?,
        Path::flows("flows_65536", 16, 7.0)?,
        Path::flows("flows_1000000", 20, 12.0)?,
        Path::new_flow(args.rounds)?,
    ];
    for round in 0..args.rounds {
        eprint!("\rround {} of {} ", round + 1, args.rounds);
        floor.measure()?;
        for path in &mut paths {
            path.measure()?;
        }
    }
    eprintln!();
    let floor_ns = median(&floor.samples);
    let report = Report { floor_ns, paths: paths.iter().map(|path| path.report(floor_ns)).collect() };
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        println!("{}", render(&report));
    }
    let over: Vec<_> = report.paths.iter().filter(|path| !path.within_bound).map(|path| path.path).collect();
    ensure!(over.is_empty() || !args.strict, "over their bounds: {}", over.join(", "));
    Ok(())
}

impl Path {
    /// A path that forwards to a server, until said otherwise.
    fn new(name: &'static str, bound: f64, rig: Rig, program: &'static str, frame: Vec<u8>) -> Self {
        let proof = |rig: &Rig| Ok(rig.path()?.packets[0]);
        let (repeat, verdict) = (1_000_000, XDP_TX);
        Self { name, bound, rig, program, frame, repeat, verdict, proof, samples: Vec::new() }
    }

    fn floor() -> Result<Self> {
        let rig = Rig::new(1, "floor")?;
        // It touches no map that could prove it; its verdict does.
        Ok(Self {
            proof: |_| Ok(0),
            ..Self::new("floor", 1.0, rig, "floor", frame(40_000, 6443, TcpFlag::Ack))
        })
    }

    fn not_ours() -> Result<Self> {
        let rig = Rig::new(1, "plain")?;
        let proof = |rig: &Rig| Ok(rig.control.maps().reason(Reason::OtherPort)?);
        Ok(Self {
            proof,
            verdict: XDP_PASS,
            ..Self::new("not_ours", 1.2, rig, "plain", frame(40_000, 22, TcpFlag::Ack))
        })
    }

    fn established_forward() -> Result<Self> {
        let (rig, nat_port) = Rig::with_fixed_point("same_flow", XDP_TX)?;
        Ok(Self::new("established_forward", 2.5, rig, "same_flow", frame(nat_port, 6443, TcpFlag::Ack)))
    }

    fn established_reverse() -> Result<Self> {
        let (rig, nat_port) = Rig::with_fixed_point("same_flow", XDP_TX)?;
        let proof = |rig: &Rig| Ok(rig.path()?.packets[1]);
        let frame = frame(6443, nat_port, TcpFlag::Reply);
        Ok(Self { proof, ..Self::new("established_reverse", 2.5, rig, "same_flow", frame) })
    }

    /// From a client to a server, in TC.
    fn established_tc() -> Result<Self> {
        let (rig, nat_port) = Rig::with_fixed_point("same_flow_tc", TC_ACT_REDIRECT)?;
        let frame = frame(nat_port, 6443, TcpFlag::Ack);
        let path = Self::new("established_tc", 4.0, rig, "same_flow_tc", frame);
        Ok(Self { verdict: TC_ACT_REDIRECT, ..path })
    }

    fn flows(name: &'static str, bits: u32, bound: f64) -> Result<Self> {
        let mut rig = Rig::new((1u32 << bits).div_ceil(u32::from(NAT_PORTS)) + 1, "next_flow")?;
        rig.set_flows(bits)?;
        rig.run("next_flow", &frame(0, 0, TcpFlag::Syn), 1 << bits, XDP_TX)?;
        ensure!(rig.establish()? == 1 << bits, "not every flow of {name} got a slot");
        let path = Self::new(name, bound, rig, "next_flow", frame(0, 0, TcpFlag::Ack));
        Ok(Self { repeat: 1 << 20, ..path })
    }

    /// Every SYN is another client's; each turn takes the next ones, until half the slots are taken.
    fn new_flow(rounds: u32) -> Result<Self> {
        let mut rig = Rig::new(SERVERS, "next_flow")?;
        rig.set_flows(24)?;
        let repeat = SERVERS * u32::from(NAT_PORTS) / 2 / rounds;
        let proof = |rig: &Rig| Ok(rig.path()?.connections);
        let path = Self::new("new_flow", 12.0, rig, "next_flow", frame(0, 0, TcpFlag::Syn));
        Ok(Self { repeat, proof, ..path })
    }

    fn measure(&mut self) -> Result<()> {
        let before = (self.proof)(&self.rig)?;
        let ns = self.rig.run(self.program, &self.frame, self.repeat, self.verdict)?;
        let counted = (self.proof)(&self.rig)? - before;
        let wanted = if self.name == "floor" { 0 } else { u64::from(self.repeat) };
        ensure!(counted == wanted, "{}: {counted} of {wanted} packets took the path", self.name);
        self.samples.push(ns);
        Ok(())
    }

    fn report(&self, floor_ns: f64) -> PathReport {
        let ns = median(&self.samples);
        let ratio = ns / floor_ns;
        PathReport {
            path: self.name,
            ns,
            ratio,
            spread: (quartile(&self.samples, 3) - quartile(&self.samples, 1)) / 2.0 / ns,
            bound: self.bound,
            within_bound: ratio <= self.bound,
        }
    }
}

impl Rig {
    fn new(servers: u32, program: &'static str) -> Result<Self> {
        let wanted = wanted(servers);
        let mut ebpf = object::load(OBJECT, wanted.sizes).context("the packet bench needs root")?;
        object::load_program(&mut ebpf, program)?;
        let maps = Maps::gather(|name| table::take(&mut ebpf, name))?;
        let flows = MapTable::new("FLOWS", table::take(&mut ebpf, "FLOWS")?)?;
        Ok(Self { ebpf, control: Control::new(maps, wanted)?, flows })
    }

    /// A rig with one established connection whose client port is its NAT port.
    fn with_fixed_point(program: &'static str, verdict: u32) -> Result<(Self, u16)> {
        let rig = Self::new(1, program)?;
        let cursor = rig.control.maps().slot_cursors.get(0)?.position;
        let nat_port = NAT_FIRST + (cursor % u64::from(NAT_PORTS)) as u16;
        rig.run(program, &frame(nat_port, 6443, TcpFlag::Syn), 1, verdict)?;
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

    fn set_flows(&mut self, bits: u32) -> Result<()> {
        let flows = Flows { taken: 0, bits, addr: HOST.into(), port: Port::new(6443), padding: [0; 3] };
        Ok(self.flows.set(0, flows)?)
    }

    /// Runs a frame `repeat` times and returns the nanoseconds that each took.
    fn run(&self, name: &str, frame: &[u8], repeat: u32, verdict: u32) -> Result<f64> {
        let mut out = vec![0; frame.len()];
        let options = TestRunOptions {
            data_in: Some(frame),
            data_out: Some(&mut out),
            repeat,
            ..TestRunOptions::new()
        };
        let result = match self.ebpf.program(name).context("the object has the program")? {
            Program::Xdp(program) => program.test_run(options)?,
            Program::SchedClassifier(program) => program.test_run(options)?,
            _ => bail!("{name} is a program of another kind"),
        };
        ensure!(result.return_value == verdict, "{name} ended with verdict {}", result.return_value);
        Ok(result.duration.as_nanos() as f64)
    }

    fn path(&self) -> Result<PathCounters> {
        let mut sum = PathCounters::default();
        for server in 0..self.control.wanted().servers.len() {
            sum.add(&self.control.maps().path(0, server as u16)?);
        }
        Ok(sum)
    }
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

#[derive(Clone, Copy, PartialEq)]
enum TcpFlag {
    Syn,
    Ack,
    Reply,
}

/// A frame of 64 bytes.
fn frame(source_port: u16, destination_port: u16, flag: TcpFlag) -> Vec<u8> {
    let (seq, ack) = if flag == TcpFlag::Reply { (SERVER_SEQ, CLIENT_SEQ) } else { (CLIENT_SEQ, SERVER_SEQ) };
    let builder = PacketBuilder::ethernet2(MAC.0, MAC.0).ipv4(HOST.octets(), HOST.octets(), 64);
    let builder = builder.tcp(source_port, destination_port, seq, 64_000);
    let builder = if flag == TcpFlag::Syn { builder.syn() } else { builder.ack(ack) };
    let payload = if flag == TcpFlag::Syn { &[][..] } else { &[0; 10] };
    let mut frame = Vec::new();
    builder.write(&mut frame, payload).expect("a vector takes any frame");
    frame.resize(64, 0);
    frame
}

/// The `q`th of four quarters' upper end.
fn quartile(samples: &[f64], q: usize) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[(sorted.len() - 1) * q / 4]
}

fn median(samples: &[f64]) -> f64 {
    quartile(samples, 2)
}

fn render(report: &Report) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["path", "ns", "× floor", "±", "bound", ""]);
    table.add_row(["floor", &format!("{:.0}", report.floor_ns), "1.00"]);
    for path in &report.paths {
        table.add_row([
            path.path.to_owned(),
            format!("{:.0}", path.ns),
            format!("{:.2}", path.ratio),
            format!("{:.0} %", path.spread * 100.0),
            format!("{:.1}", path.bound),
            if path.within_bound { String::new() } else { "over".to_owned() },
        ]);
    }
    for column in 1..5 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}
