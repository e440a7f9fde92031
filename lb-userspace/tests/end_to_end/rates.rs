//! Whoever looks on holds up nobody: at rates that tracer and log may not keep up with, they lose packets' reports and
//! lines, count them, and every packet is forwarded or answered all the same.

use std::fs;
use std::net::{Ipv4Addr, Shutdown, SocketAddrV4};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use etherparse::PacketBuilder;
use lb_common::net::socket_addr;
use lb_common::slot::Slot;
use lb_common::tcp::State;
use lb_lab::config::Config;
use lb_lab::flood::Flood;
use lb_lab::idle::Idle;
use lb_lab::{Balancer, Host, Process, Result, Topology, curl, size, talk, wait};
use nix::sys::signal::Signal;

use crate::logs::said;
use crate::stage::{self, Stage, WEB, WEB_PORT, config, in_maps, lab, xlb};

const TOPOLOGY: Topology = Topology { lan_clients: 2, routed_clients: 0, ..Topology::DEFAULT };

/// Frames a second, somewhat more than the 100,000 that are promised. What the machine makes of it is printed.
const RATE: u32 = 110_000;

/// Frames in all: ten seconds of them at full size.
fn count() -> u32 {
    size::choose(RATE, RATE * 10)
}

/// Frames that a tracer has room for.
const LAST: u32 = 5_000;

/// Connections that the segments are of.
const CONNECTIONS: usize = 30;

#[test]
fn a_tracer_costs_no_packet_in_native_mode() -> Result<()> {
    a_tracer_costs_no_packet("native")
}

#[test]
fn a_tracer_costs_no_packet_in_tc() -> Result<()> {
    a_tracer_costs_no_packet("tc")
}

fn a_tracer_costs_no_packet(mode: &str) -> Result<()> {
    let lab = lab(TOPOLOGY);
    // So seldom that none is counted among the segments.
    let config = config(&lab, mode)
        .with(|config| config.backend.iter_mut().for_each(|backend| backend.check.interval = "1h".into()));
    let stage = Stage::set_in(lab, &config)?;
    stage.await_checks()?;
    let client = &stage.lab.lan_clients[0];
    let _open = Idle::open_many(client, stage.web(), CONNECTIONS)?;
    let frames = segments(&stage)?;
    let xlb = xlb(&stage.lab);
    let tracer = Process::spawn(&mut xlb.command(["trace"]))?;
    let told = tracer.log().clone();
    told.wait_for("tracing; ")?;

    let before = Packets::of(&stage)?;
    let end = Flood::of_frames(client, frames.clone(), count(), RATE)?.finish()?;
    // Some come while it is asked to end, and are still to be told.
    tracer.signal(Signal::SIGSTOP)?;
    let last = Flood::of_frames(client, frames, LAST, RATE)?.finish()?;
    let Packets { forwarded, arrived } = Packets::in_the_end(&stage)?.since(before);
    tracer.signal(Signal::SIGTERM)?;
    tracer.signal(Signal::SIGCONT)?;
    tracer.stop()?;
    let words = told.wait_for("packets traced")?;
    let sent = u64::from(end.sent + last.sent);
    println!("{mode}: {sent} packets at {:.0} a second, {forwarded} forwarded; {words}", end.rate());
    assert_eq!(forwarded, arrived);
    let numbers: Vec<u64> = words.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [traced, untold] = numbers[..] else { panic!("{words}") };
    assert_eq!(traced + untold, forwarded);
    // A machine that is busy otherwise may lose some on their way to the balancer.
    assert!(forwarded > sent / 2, "{forwarded} of {sent} have come");
    Ok(())
}

/// Packets to the servers so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Packets {
    /// Those that the program has forwarded.
    forwarded: u64,
    /// Segments that the servers' TCP has got.
    arrived: u64,
}

/// So many looks in a row that find the same mean that nothing is under way any more.
const LOOKS: u32 = 5;

impl Packets {
    fn of(stage: &Stage) -> Result<Self> {
        let forwarded = xlb(&stage.lab).stats()?.frontends.iter().map(|frontend| frontend.packets_in).sum();
        Ok(Self { forwarded, arrived: stage.lab.servers.iter().map(segments_in).sum() })
    }

    fn in_the_end(stage: &Stage) -> Result<Self> {
        let (mut last, mut looks) = (Self::of(stage)?, 0);
        wait::until("the last packets to arrive", || {
            let now = Self::of(stage);
            now.map(|now| {
                looks = if now == last { looks + 1 } else { 0 };
                last = now;
                (looks == LOOKS).then_some(now)
            })
            .transpose()
        })?
    }

    fn since(self, before: Self) -> Self {
        Self { forwarded: self.forwarded - before.forwarded, arrived: self.arrived - before.arrived }
    }
}

/// Segments that a host's TCP has got so far.
fn segments_in(host: &Host) -> u64 {
    let table = host.inside(|| fs::read_to_string("/proc/thread-self/net/snmp")).expect("it can be read");
    let mut rows = table.lines().filter_map(|line| line.strip_prefix("Tcp: ")).map(str::split_whitespace);
    let (names, values) = (rows.next().expect("names"), rows.next().expect("values"));
    let mut columns = names.zip(values);
    let (_, value) = columns.find(|(name, _)| *name == "InSegs").expect("the kernel counts it");
    value.parse().expect("a count is a number")
}

/// A segment of each connection, which says nothing new and is all right: once both its ends have said so, the last
/// byte of either is acknowledged.
fn segments(stage: &Stage) -> Result<Vec<Vec<u8>>> {
    let xlb = xlb(&stage.lab);
    let slots = wait::until("connections on which nothing is under way", || {
        let slots = in_maps(&xlb, |maps| {
            let view = maps.slots.view().expect("can be mapped");
            view.used().map(|(_, slot)| slot).collect::<Vec<_>>()
        });
        let is_quiet = |slot: &Slot| {
            let [client, server] = slot.sides;
            slot.word().state() == State::Established && client.ack == server.end && server.ack == client.end
        };
        (slots.len() == CONNECTIONS && slots.iter().all(is_quiet)).then_some(slots)
    })?;
    let (client, balancer) = (&stage.lab.lan_clients[0], &stage.lab.balancer);
    let macs = [client.mac().0, balancer.mac().0];
    let frontend = SocketAddrV4::new(balancer.address(), WEB_PORT);
    Ok(slots.iter().map(|slot| segment(macs, slot, frontend)).collect())
}

fn segment([from, to]: [[u8; 6]; 2], slot: &Slot, frontend: SocketAddrV4) -> Vec<u8> {
    let client = socket_addr(slot.tuple.addr(), slot.tuple.port());
    let sides = slot.sides[0];
    let ip = PacketBuilder::ethernet2(from, to).ipv4(client.ip().octets(), frontend.ip().octets(), 64);
    let segment = ip.tcp(client.port(), frontend.port(), sides.end.0, 64_000).ack(sides.ack.0);
    let mut frame = Vec::new();
    segment.write(&mut frame, &[]).expect("a vector takes any frame");
    frame
}

/// A frontend whose server is DOWN, so that each SYN is an end, and its port.
const NOBODY: &str = "nobody";
const NOBODY_PORT: u16 = 7004;

/// What a line about a connection has.
const END: &str = "\"event\":\"connection\"";

/// Connections meanwhile that are served.
const SERVED: usize = 200;

/// The most that the agent may have at any time, in KiB.
const MOST: u64 = 64 << 10;

#[test]
fn ends_that_nobody_can_write_down_so_fast_cost_lines_and_no_packet() -> Result<()> {
    let lab = lab(TOPOLOGY);
    let receiver = Receiver::open(&lab.balancer);
    let config = Config::new("native").serve(WEB, WEB_PORT, &lab).serve(NOBODY, NOBODY_PORT, &lab);
    // A machine that is busy with SYNs must not look like servers that are down.
    let config = config.with(|config| config.backend[0].check.interval = "1h".into());
    let log =
        format!("[log]\nformat = \"json\"\n[[log.target]]\naddress = \"{}\"\n", receiver.path.display());
    let web = Stage::servers(&lab)?;
    let xlb = xlb(&lab);
    let agent = xlb.start(&format!("{}\n{log}", config.to_toml()))?;
    agent.log().wait_for("backend nobody has no server available!")?;

    let [flooding, client] = &lab.lan_clients[..] else { panic!("there are two") };
    let flood = Flood::of_frames(flooding, syns(flooding, &lab.balancer), count(), RATE)?;
    // Any that fails is an error.
    curl::fetch(client, stage::web(&lab), SERVED)?;
    let end = flood.finish()?;
    let [ends, lines, dropped] = wait::until("each end to be told or counted", || {
        let counts = || -> Result<_> {
            let (lines, dropped) = (receiver.lines(), dropped(&agent)?);
            // Read last, so that none of these is missing among the others.
            Ok([xlb.stats()?.reasons["no_server"] + SERVED as u64, lines, dropped])
        };
        counts().map(|counts| (counts[0] == counts[1] + counts[2]).then_some(counts)).transpose()
    })??;
    let peak = peak(&agent);
    println!("{ends} ends at {:.0} a second; {lines} lines, {dropped} dropped; {peak} KiB", end.rate());
    assert!(peak < MOST, "{peak} KiB");
    // A machine that is busy otherwise may lose some on their way to the balancer.
    assert!(ends > u64::from(end.sent) / 2, "{ends} of {} have come", end.sent);
    let log = agent.log().clone();
    agent.stop()?;
    assert_eq!(said(&log.text()) as u64, dropped, "{}", log.text());
    drop(web);
    Ok(())
}

/// SYNs from addresses of nobody. Without a server, each is the beginning and the end of a connection, however often
/// it comes.
fn syns(from: &Host, balancer: &Host) -> Vec<Vec<u8>> {
    let syn = |number: u8| {
        let client = Ipv4Addr::new(198, 19, 0, number);
        let ethernet = PacketBuilder::ethernet2(from.mac().0, balancer.mac().0);
        let ip = ethernet.ipv4(client.octets(), balancer.address().octets(), 64);
        let mut frame = Vec::new();
        let syn = ip.tcp(40_000, NOBODY_PORT, 1, 64_000).syn();
        syn.write(&mut frame, &[]).expect("a vector takes any frame");
        frame
    };
    (1..u8::MAX).map(syn).collect()
}

/// Takes lines as fast as it can, and counts those about connections.
struct Receiver {
    path: PathBuf,
    socket: UnixDatagram,
    lines: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Receiver {
    fn open(host: &Host) -> Self {
        let path = host.sandbox().file("log");
        let socket = host.inside(|| UnixDatagram::bind(&path)).expect("can be made");
        let (reader, lines) = (socket.try_clone().expect("can be shared"), Arc::<AtomicU64>::default());
        let counter = Arc::clone(&lines);
        let thread = thread::spawn(move || {
            let mut line = [0; 2048];
            while let Ok(length @ 1..) = reader.recv(&mut line) {
                let is_end = str::from_utf8(&line[..length]).is_ok_and(|line| line.contains(END));
                counter.fetch_add(u64::from(is_end), Ordering::Relaxed);
            }
        });
        Self { path, socket, lines, thread: Some(thread) }
    }

    fn lines(&self) -> u64 {
        self.lines.load(Ordering::Relaxed)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        // Wakes the thread.
        let _ = self.socket.shutdown(Shutdown::Both);
        drop(self.thread.take().map(JoinHandle::join));
    }
}

/// Lines that the agent has dropped so far, as it tells those who watch HAProxy.
fn dropped(agent: &Balancer) -> Result<u64> {
    let answer = talk::ask(agent.xlb.host(), &agent.xlb.socket(), "show info")?;
    let line = answer.lines().find_map(|line| line.strip_prefix("DroppedLogs: ")).expect("it is told");
    Ok(line.parse().expect("a number"))
}

/// The most that a process has had in memory, in KiB.
fn peak(agent: &Balancer) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", agent.id())).expect("the agent runs");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next());
    peak.expect("the kernel tells it").parse().expect("a number")
}
