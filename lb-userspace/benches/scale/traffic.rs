//! Connections through the product's core over the agent's maps, and the proof that each is there.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use aya::Ebpf;
use lb_common::bench::Flows;
use lb_common::counters::PathCounters;
use lb_common::frontend::RingRef;
use lb_common::net::{Mac, Port, socket_addr};
use lb_common::reason::Reason;
use lb_common::slot::Slot;
use lb_common::tcp::{Direction, Flags, State};
use lb_lab::wait;
use xlb::dataplane::maps::Maps;
use xlb::dataplane::object;
use xlb::dataplane::table::{self, Table};

use crate::TURN;
use crate::case::Case;
use crate::frame::{CLIENT_SEQ, End, FROM_CLIENT, FROM_SERVER, SERVER_SEQ, SYN, Segment, TTL, frame};
use crate::stage::Stage;
use crate::test_run::{self, FLOOR, NEXT_FLOW, OBJECT, PLAIN, XDP_TX};

/// Steps in which the connections are opened, each a sample of what that costs.
const STEPS: u32 = 20;

/// A server's answer to a SYN.
const SYN_ACK: Segment = Segment { flags: Flags::SYN | Flags::ACK, seq: SERVER_SEQ - 1, ack: CLIENT_SEQ };

/// The frontend's ring, as the program finds it now.
pub fn ring(maps: &Maps) -> RingRef {
    // SAFETY: a reference may be read through; volatile, because the agent changes it.
    unsafe { (&raw const maps.setup.get().frontend(0).ring).read_volatile() }
}

/// The bench's programs, around the agent's maps.
pub struct Traffic {
    ebpf: Ebpf,
    flows: Table<Flows>,
    pub maps: Maps,
    client: End,
    frontend: End,
    /// Clients that open a connection, and those that could.
    clients: u32,
    connections: u32,
}

impl Traffic {
    /// Loads the programs.
    pub fn prepare(stage: &Stage, case: Case) -> Result<Self> {
        let pins = stage.pins();
        let load = || -> Result<_> {
            let mut ebpf = pins.load(OBJECT, stage.sizes)?;
            for program in [FLOOR, NEXT_FLOW, PLAIN] {
                object::load_program(&mut ebpf, program)?;
            }
            Ok((ebpf, pins.open()?.0))
        };
        let (mut ebpf, maps) = stage.lab.balancer.inside(load)?;
        let flows = Table::new("FLOWS", table::take(&mut ebpf, "FLOWS")?)?;
        wait::until("all servers to be in the ring", || {
            (ring(&maps).len() == u32::from(case.servers)).then_some(())
        })?;
        let setup = maps.setup.get();
        let service = socket_addr(setup.frontend(0).addr, setup.frontend(0).port);
        let frontend = End { mac: setup.settings.mac, socket: service };
        // Each packet gets an address and port of its own.
        let client = End { mac: Mac(stage.lab.lan_clients[0].mac().0), socket: service };
        Ok(Self { ebpf, flows, maps, client, frontend, clients: case.connections, connections: 0 })
    }

    /// Opens all connections, and returns the nanoseconds of a SYN at each step, with those of the floor in
    /// between.
    pub fn open_all(&mut self, floor: &mut Vec<f64>) -> Result<Vec<f64>> {
        let mut samples = Vec::new();
        for step in 0..STEPS {
            let at = |step| (u64::from(self.clients) * u64::from(step) / u64::from(STEPS)) as u32;
            let (first, last) = (at(step), at(step + 1));
            floor.push(self.floor(TURN)?);
            self.open_from(first)?;
            samples.push(self.run(SYN, last - first)?);
            self.answer()?;
            self.open_from(first)?;
            self.run(FROM_CLIENT, last - first)?;
        }
        // Both buckets of a client are full: by chance, once in some thirty millions.
        self.connections = self.clients - self.maps.reason(Reason::IndexFull)? as u32;
        let PathCounters { connections, established, .. } = self.counted()?;
        let opened = u64::from(self.connections);
        ensure!(
            (connections, established) == (opened, opened),
            "of {} clients {connections} have opened a connection and {established} completed it",
            self.clients
        );
        self.begin_anew()?;
        Ok(samples)
    }

    /// Clients that could not open a connection.
    pub fn without_room(&self) -> u32 {
        self.clients - self.connections
    }

    /// The servers' answers to all SYNs that have none yet.
    fn answer(&self) -> Result<()> {
        let view = self.maps.slots.view()?;
        for (number, slot) in view.used().filter(|(_, slot)| slot.word().state() == State::SynSent) {
            self.send_from_server(number, &slot, SYN_ACK)?;
        }
        Ok(())
    }

    /// A packet of a connection's server.
    fn send_from_server(&self, number: u32, slot: &Slot, segment: Segment) -> Result<()> {
        let setup = self.maps.setup.get();
        let server = setup.server(slot.server());
        let source = End { mac: server.next_hop.into(), socket: socket_addr(server.addr, server.port) };
        let (addr, port) = setup.nat_endpoint(number, slot.ends);
        let destination = End { mac: self.frontend.mac, socket: socket_addr(addr, port) };
        self.take(PLAIN, &frame(source, destination, TTL, segment), 1).map(drop)
    }

    /// What the least costs that a program can do, in ns.
    pub fn floor(&self, packets: u32) -> Result<f64> {
        self.take(FLOOR, &frame(self.client, self.frontend, TTL, SYN), packets)
    }

    /// What a packet of a client costs, each of another connection, in ns.
    pub fn forward(&mut self, packets: u32) -> Result<f64> {
        let counted = |traffic: &Self| -> Result<_> {
            let forwarded = traffic.counted()?.packets[Direction::ToServer as usize];
            Ok((forwarded, traffic.maps.reason(Reason::NoConnection)?))
        };
        let before = counted(self)?;
        let ns = self.run(FROM_CLIENT, packets)?;
        let after = counted(self)?;
        let (forwarded, passed) = (after.0 - before.0, after.1 - before.1);
        let without = u64::from(self.without_room()) * u64::from(packets.div_ceil(self.clients));
        ensure!(
            forwarded + passed == u64::from(packets) && passed <= without,
            "{forwarded} of {packets} packets were forwarded"
        );
        Ok(ns)
    }

    /// Has every connection forward a packet each way, and fails unless it is established and has counted
    /// just these.
    pub fn prove(&mut self) -> Result<()> {
        let before = self.established()?;
        let found = before.len() as u32;
        ensure!(
            found == self.connections,
            "{} of {} connections are lost",
            self.connections - found,
            self.connections
        );
        self.begin_anew()?;
        self.run(FROM_CLIENT, self.clients)?;
        for (number, slot) in &before {
            self.send_from_server(*number, slot, FROM_SERVER).with_context(|| format!("slot {number}"))?;
        }
        let after = self.established()?;
        for (number, slot) in &before {
            let packets = after.get(number).context("a connection has left its slot")?.packets;
            ensure!(
                packets == slot.packets.map(|packets| packets.wrapping_add(1)),
                "the connection in slot {number} had {:?} packets and has {packets:?}",
                slot.packets
            );
        }
        Ok(())
    }

    /// The slots of established connections, by number.
    fn established(&self) -> Result<BTreeMap<u32, Slot>> {
        let view = self.maps.slots.view()?;
        Ok(view.used().filter(|(_, slot)| slot.word().state() == State::Established).collect())
    }

    /// How many connections a server has.
    pub fn established_with(&self, server: u16) -> Result<usize> {
        Ok(self.established()?.values().filter(|slot| slot.server() == server).count())
    }

    /// Goes on with this one of all flows, in the order of their numbers. In another order than they are
    /// used in: slots are given in that of opening, and lie side by side in memory.
    fn open_from(&mut self, flow: u32) -> Result<()> {
        let flows = Flows { taken: flow, ..self.all_flows().sorted() };
        Ok(self.flows.set(0, flows)?)
    }

    /// Begins anew with the flows in random order.
    fn begin_anew(&mut self) -> Result<()> {
        let flows = self.all_flows();
        Ok(self.flows.set(0, flows)?)
    }

    fn all_flows(&self) -> Flows {
        let End { mac, socket } = self.frontend;
        let service = ((*socket.ip()).into(), Port::new(socket.port()));
        Flows::new(self.clients, (self.client.mac, mac), service)
    }

    /// So many packets, each of the next flow.
    fn run(&self, segment: Segment, packets: u32) -> Result<f64> {
        self.take(NEXT_FLOW, &frame(self.client, self.frontend, TTL, segment), packets)
    }

    /// Runs a frame through a program, and returns the nanoseconds that each took.
    fn take(&self, program: &str, frame: &[u8], packets: u32) -> Result<f64> {
        let (ns, _) = test_run::run(&self.ebpf, program, frame, packets)?.expect(XDP_TX)?;
        Ok(ns)
    }

    /// What the agent's maps have counted.
    fn counted(&self) -> Result<PathCounters> {
        let mut sum = PathCounters::default();
        for server in 0..self.maps.setup.get().settings.max_servers as u16 {
            sum.add(&self.maps.path(0, server)?);
        }
        Ok(sum)
    }
}
