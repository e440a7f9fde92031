//! A data plane that is attached to nothing: frames go in by `BPF_PROG_TEST_RUN`.

use std::net::{Ipv4Addr, SocketAddrV4};

use aya::maps::MapData;
use aya::programs::{Program, TestRun, TestRunOptions};
use lb_common::admission::Limits;
use lb_common::counters::PathCounters;
use lb_common::frontend::Timeouts;
use lb_common::nat::NatAddrs;
use lb_common::net::{Mac, socket_addr};
use lb_common::reason::{Disposition, Reason};
use lb_common::setup::Setup;
use lb_common::slot::{Details, Slot, Word};
use lb_common::tcp::{Flags, State};
use lb_common::time::{Tick, Ticks};
use xlb::control::{Control, Portion, Wanted, WantedFrontend, WantedServer};
use xlb::dataplane::object::Sizes;

use crate::entry::Entry;
use crate::frame::{End, TCP_AT, is_sound};
use crate::pool::Lease;
use crate::raw;

/// The balancer's MAC address.
pub const OUR_MAC: Mac = Mac([2, 0, 0, 0, 0, 10]);

/// The frontend.
pub const FRONTEND: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(198, 18, 0, 10), 6443);

/// The NAT range's first port.
pub const NAT_FIRST: u16 = 10_240;

/// A client.
pub const CLIENT: End = client(1, 40_000);

/// How long connections live, each state for another time.
pub const TIMEOUTS: Timeouts =
    Timeouts { connect: Ticks(200), idle: Ticks(1_000_000), time_wait: Ticks(500), closed: Ticks(100) };

/// Time enough for a test to run, and less than any timeout.
pub const A_WHILE: Ticks = Ticks(40);

/// A SYN that comes again after so long goes to another server; more than [`A_WHILE`], so that only
/// a test that lets time go by sees it.
pub const REDISPATCH_AFTER: Ticks = Ticks(100);

/// A port of a client on the LAN.
pub const fn client(host: u8, port: u16) -> End {
    let socket = SocketAddrV4::new(Ipv4Addr::new(198, 18, 1, host), port);
    End { mac: Mac([2, 0, 0, 0, 1, host]), socket }
}

/// One of the three servers.
pub const fn server(number: u16) -> End {
    let last = 11 + number as u8;
    End { mac: Mac([2, 0, 0, 0, 0, last]), socket: SocketAddrV4::new(Ipv4Addr::new(198, 18, 0, last), 6443) }
}

/// A frontend as its clients send to it.
pub const fn at_our_mac(socket: SocketAddrV4) -> End {
    End { mac: OUR_MAC, socket }
}

/// A loaded data plane.
pub struct Rig {
    pub control: Control,
    entry: Entry,
    reasons: MapData,
    /// Behind what uses its maps: dropped, it is another test's.
    program: Lease,
}

/// What became of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Out {
    Passed(Reason),
    Dropped(Reason),
    Sent(Vec<u8>),
    /// Another frame was sent in its place.
    Answered(Reason, Vec<u8>),
}

/// The program's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Drop,
    Pass,
    Transmit,
}

impl Rig {
    /// Three servers of weight 1 behind one frontend, with 64 slots each.
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    /// The same with so many slots for each server.
    pub fn with_slots(nat_ports: u16) -> Self {
        Self::with(|wanted| wanted.sizes.nat_ports = nat_ports)
    }

    /// Only the first server, with so many slots.
    pub fn with_one_server(nat_ports: u16) -> Self {
        Self::with(|wanted| {
            wanted.sizes = one_address(nat_ports);
            wanted.servers.truncate(1);
            wanted.frontends[0].servers.truncate(1);
        })
    }

    /// The same as [`Self::new`], changed as the test wants it.
    pub fn with(change: impl FnOnce(&mut Wanted)) -> Self {
        Self::at(Entry::chosen(), change)
    }

    /// The same behind this entry.
    pub fn at(entry: Entry, change: impl FnOnce(&mut Wanted)) -> Self {
        entry.prepare();
        let mut wanted = wanted();
        change(&mut wanted);
        let program = Lease::new(entry, wanted.sizes);
        let control = Control::new(program.maps(), wanted).expect("fills");
        let mut rig = Self { control, entry, reasons: program.data("REASONS"), program };
        rig.set_up(|setup| setup.settings.redispatch_after = REDISPATCH_AFTER);
        rig
    }

    /// Changes what the program is told.
    pub fn set_up(&mut self, change: impl FnOnce(&mut Setup)) {
        let memory = &mut self.control.maps_mut().setup;
        let mut setup = Box::new(*memory.get());
        change(&mut setup);
        memory.write(&setup);
    }

    /// Runs a frame, and holds the program to what it promises of every frame: one that is
    /// forwarded is as sound as it came, one that is passed is untouched, and what is not plainly
    /// forwarded is counted for one reason, whose verdict it gets.
    pub fn run(&self, frame: &[u8]) -> Out {
        let before = self.reasons();
        let (verdict, out) = self.execute(frame);
        let after = self.reasons();
        let counted: Vec<(Reason, u64)> = Reason::ALL
            .iter()
            .zip(before.iter().zip(&after))
            .filter(|(_, (before, after))| before != after)
            .map(|(reason, (before, after))| (*reason, after - before))
            .collect();
        match (verdict, &counted[..]) {
            (Verdict::Transmit, _) if is_forwarded(&counted) => {
                assert_eq!(out.len(), frame.len());
                if is_sound(frame) == Ok(true) {
                    assert_eq!(is_sound(&out), Ok(true), "{frame:02x?} became {out:02x?}");
                }
                Out::Sent(out)
            }
            (Verdict::Pass, &[(reason, 1)]) if reason.disposition() == Disposition::Pass => {
                assert_eq!(out, frame, "a frame that is passed is untouched");
                Out::Passed(reason)
            }
            (Verdict::Drop, &[(reason, 1)]) if reason.disposition() != Disposition::Pass => {
                Out::Dropped(reason)
            }
            (Verdict::Transmit, &[(reason, 1)])
                if matches!(reason.disposition(), Disposition::Reset | Disposition::Retry) =>
            {
                if is_made_here(reason, &out) || is_sound(frame) == Ok(true) {
                    assert_eq!(is_sound(&out), Ok(true), "{frame:02x?} was answered with {out:02x?}");
                }
                Out::Answered(reason, out)
            }
            _ => panic!("{verdict:?}, counted for {counted:?}: {frame:02x?}"),
        }
    }

    /// Runs a frame and nothing else, so that several CPUs may at once.
    pub fn execute(&self, frame: &[u8]) -> (Verdict, Vec<u8>) {
        let mut out = vec![0; frame.len() + 256];
        let options =
            TestRunOptions { data_in: Some(frame), data_out: Some(&mut out), ..TestRunOptions::new() };
        let result = match self.program.program(self.entry.program()).expect("is in the object") {
            Program::Xdp(program) => program.test_run(options),
            Program::SchedClassifier(program) => program.test_run(options),
            _ => panic!("a program of another kind"),
        }
        .expect("runs");
        out.truncate(result.data_size_out as usize);
        let verdict = self.entry.verdict(result.return_value);
        (verdict, out)
    }

    /// How often a reason was counted.
    pub fn reason(&self, reason: Reason) -> u64 {
        self.control.maps().reason(reason).expect("can be read")
    }

    /// How often each was.
    pub fn reasons(&self) -> Vec<u64> {
        raw::sums(&self.reasons)
    }

    /// What was counted between a frontend and a server.
    pub fn path(&self, frontend: u16, server: u16) -> PathCounters {
        self.control.maps().path(frontend, server).expect("can be read")
    }

    /// What was counted between all frontends and servers.
    pub fn traffic(&self) -> PathCounters {
        let mut sum = PathCounters::default();
        for frontend in 0..self.control.wanted().frontends.len() {
            for server in 0..self.control.wanted().servers.len() {
                sum.add(&self.path(frontend as u16, server as u16));
            }
        }
        sum
    }

    /// A slot as it is now.
    pub fn slot(&self, number: u32) -> Slot {
        self.control.maps().slots.view().expect("can be mapped").get(number).expect("is there")
    }

    /// A slot's details as they are now.
    pub fn details(&self, number: u32) -> Details {
        self.control.maps().slots.view().expect("can be mapped").details(number).expect("are there")
    }

    /// The slots that connections of a client hold, with their numbers.
    pub fn slots_of(&self, client: SocketAddrV4) -> Vec<(u32, Slot)> {
        let view = self.control.maps().slots.view().expect("can be mapped");
        let is_held = |slot: &Slot| !matches!(slot.word().state(), State::Free | State::Left);
        view.used().filter(|(_, slot)| is_held(slot) && is_of(slot, client)).collect()
    }

    /// Lets time go by for the connections of a client, by moving their last packet back.
    pub fn age(&self, client: SocketAddrV4, by: Ticks) {
        self.change(client, |slot| slot.last_seen = Tick(slot.last_seen.0.wrapping_sub(by.0)));
    }

    /// Resets the connections of a client, as the agent does when their server goes down.
    pub fn reset(&self, client: SocketAddrV4) {
        self.change(client, |slot| {
            let Word(word) = slot.word().with(State::Reset, slot.word().fins());
            slot.word = word;
        });
    }

    /// Changes the slots that connections of a client hold or have held.
    fn change(&self, client: SocketAddrV4, mut change: impl FnMut(&mut Slot)) {
        let mut view = self.control.maps().slots.view_mut().expect("can be mapped");
        let mut changed = 0;
        view.change_used(|slot| {
            if is_of(slot, client) {
                change(slot);
                changed += 1;
            }
        });
        assert!(changed > 0, "{client} has no connection");
    }
}

/// Whether a frame that is counted so is to leave: for no reason, or for one to send it.
fn is_forwarded(counted: &[(Reason, u64)]) -> bool {
    match counted {
        [] => true,
        [(reason, 1)] => reason.disposition() == Disposition::Forward,
        _ => false,
    }
}

/// Whether an answer was written from scratch: a RST, or a SYN to another server; an answer that
/// the client gets after all is not.
fn is_made_here(reason: Reason, answer: &[u8]) -> bool {
    reason.disposition() == Disposition::Reset || is_opening(answer)
}

/// Whether a frame is a SYN without ACK or RST, with or without an offer of ECN.
pub fn is_opening(frame: &[u8]) -> bool {
    frame[TCP_AT + 13] & (Flags::SYN | Flags::ACK | Flags::RST) == Flags::SYN
}

/// Whether a slot's last connection is or was a client's.
fn is_of(slot: &Slot, client: SocketAddrV4) -> bool {
    socket_addr(slot.tuple.addr(), slot.tuple.port()) == client
}

fn wanted() -> Wanted {
    let servers = (0..3).map(server).map(|End { mac, socket }| WantedServer {
        address: socket,
        weight: 1,
        portion: Portion::WHOLE,
        backup: false,
        up: true,
        ready: true,
        next_hop: Some(mac),
    });
    Wanted {
        sizes: Sizes { max_servers: 3, ..one_address(64) },
        mac: OUR_MAC,
        mtu: 1500,
        frontends: vec![frontend(FRONTEND)],
        servers: servers.collect(),
    }
}

/// Sizes for one server with so many ports at the frontend's address.
pub fn one_address(nat_ports: u16) -> Sizes {
    let nat_addrs = NatAddrs::one((*FRONTEND.ip()).into());
    Sizes { max_servers: 1, nat_first: NAT_FIRST, nat_ports, nat_addrs }
}

/// A frontend of all three servers.
pub fn frontend(bind: SocketAddrV4) -> WantedFrontend {
    WantedFrontend {
        bind,
        timeouts: TIMEOUTS,
        limits: Limits::default(),
        allow: Vec::new(),
        servers: vec![0, 1, 2],
        panic: false,
    }
}
