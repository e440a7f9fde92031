//! The same SYN on two CPUs at the same moment: one connection comes of it.

use std::collections::HashMap;
use std::hint;
use std::net::SocketAddrV4;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use lb_common::frontend::Timeouts;
use lb_common::net::socket_addr;
use lb_common::reason::Reason;
use lb_common::tcp::State;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use crate::connection::{Connection, syn};
use crate::frame::End;
use crate::rig::{Rig, TIMEOUTS, Verdict, client};

/// Tuples that are raced for.
fn tuples() -> u16 {
    lb_lab::size::or_less(4_000)
}

/// Slots for each of three servers: two for each tuple, and some.
const SLOTS: u16 = 8192;

/// Two CPUs that we may run on.
fn two_cpus() -> Option<[usize; 2]> {
    let allowed = sched_getaffinity(Pid::from_raw(0)).expect("says where we may run");
    let mut cpus = (0..CpuSet::count()).filter(|cpu| allowed.is_set(*cpu).unwrap_or(false));
    Some([cpus.next()?, cpus.next()?])
}

fn pin_to(cpu: usize) {
    let mut only = CpuSet::new();
    only.set(cpu).expect("is a CPU");
    sched_setaffinity(Pid::from_raw(0), &only).expect("we may run there");
}

/// A meeting of two threads on two CPUs, closer in time than a system call allows.
#[derive(Default)]
struct Meeting(AtomicUsize);

impl Meeting {
    /// Returns when both have come to the meeting number `round`.
    fn wait(&self, round: usize) {
        self.0.fetch_add(1, Ordering::AcqRel);
        while self.0.load(Ordering::Acquire) < (round + 1) * 2 {
            hint::spin_loop();
        }
    }
}

/// Sends the SYNs of all clients from two CPUs at once, and returns each CPU's outcomes.
fn race(rig: &Rig, cpus: [usize; 2], clients: &[End]) -> [Vec<(Verdict, Vec<u8>)>; 2] {
    let frames: Vec<Vec<u8>> = clients.iter().map(|client| syn(*client).bytes()).collect();
    let meeting = Meeting::default();
    let run = |cpu| {
        pin_to(cpu);
        let send = |(round, frame): (usize, &Vec<u8>)| {
            meeting.wait(round);
            rig.execute(frame)
        };
        frames.iter().enumerate().map(send).collect()
    };
    thread::scope(|scope| {
        let threads = cpus.map(|cpu| scope.spawn(move || run(cpu)));
        threads.map(|thread| thread.join().expect("no panic"))
    })
}

/// The slots that are held, by client.
fn holders(rig: &Rig) -> HashMap<SocketAddrV4, Vec<u32>> {
    let view = rig.control.maps().slots.view().expect("can be mapped");
    let mut holders: HashMap<_, Vec<u32>> = HashMap::new();
    for (number, slot) in view.used().filter(|(_, slot)| slot.word().state() != State::Free) {
        holders.entry(socket_addr(slot.tuple.addr(), slot.tuple.port())).or_default().push(number);
    }
    holders
}

/// Brings clients to a state, races, and looks at what has come of it.
fn one_connection_each(prepare: impl Fn(&Rig, End)) {
    let Some(cpus) = two_cpus() else {
        println!("skipped: a race takes two CPUs, and there is one");
        return;
    };
    let mut rig = Rig::with(|wanted| {
        wanted.sizes.nat_ports = SLOTS;
        // However long the races take, no connection is forgotten meanwhile,
        wanted.frontends[0].timeouts = Timeouts { connect: TIMEOUTS.idle, closed: TIMEOUTS.idle, ..TIMEOUTS };
    });
    // and a SYN that comes again goes where the first one went.
    rig.set_up(|setup| setup.settings.redispatch_after = TIMEOUTS.idle);
    let clients: Vec<End> = (0..tuples()).map(|n| client(1, 10_000 + n)).collect();
    for client in &clients {
        prepare(&rig, *client);
    }
    let [a, b] = race(&rig, cpus, &clients);
    let nobodys = clients.iter().zip(a.iter().zip(&b)).filter(|(client, (a, b))| !has_winner(**client, a, b));
    let nobodys = nobodys.count();
    let losers = rig.reason(Reason::LostRace);
    println!("{} races had {losers} losers, {nobodys} of them no winner", tuples());
    assert!(losers > 0, "the CPUs never met");
    let holders = holders(&rig);
    for client in clients {
        is_whole(&rig, client, holders.get(&client.socket).map_or(&[], Vec::as_slice));
    }
}

/// Whether one of two SYNs of a client was forwarded; if both were, then as the same.
fn has_winner(client: End, a: &(Verdict, Vec<u8>), b: &(Verdict, Vec<u8>)) -> bool {
    match (a.0, b.0) {
        (Verdict::Transmit, Verdict::Transmit) => assert_eq!(a.1, b.1, "{client:?}: to one server"),
        (Verdict::Pass, _) | (_, Verdict::Pass) => panic!("{client:?}: a SYN was passed"),
        (Verdict::Drop, Verdict::Drop) => return false,
        _ => {}
    }
    true
}

/// A client holds one slot at most, and its retransmitted SYN finds that one; should both SYNs have
/// lost, it opens one.
fn is_whole(rig: &Rig, client: End, held: &[u32]) {
    let connection = Connection::open(rig, client);
    assert!(held.is_empty() || held == [connection.slot_number(rig)], "{client:?} holds {held:?}");
}

#[test]
fn of_a_new_tuple() {
    one_connection_each(|_, _| {});
}

#[test]
fn of_a_tuple_whose_connection_was_reset() {
    one_connection_each(|rig, client| {
        Connection::in_state(rig, client, State::Closed);
    });
}
