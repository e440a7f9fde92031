//! Who may open connections to a frontend, how fast, and how many.

use std::net::Ipv4Addr;

use lb_common::admission::{AllowList, SourceRate};
use lb_common::frontend::Frontend;
use lb_common::reason::Reason;
use lb_common::tcp::{Flags, State};
use lb_common::time::Ticks;

use xlb::sweep::sweep;

use crate::connection::{Connection, FIN_ACK, syn};
use crate::frame::End;
use crate::rig::{CLIENT, Out, REDISPATCH_AFTER, Rig, TIMEOUTS, client};

/// One connection of each source, and no other for as long as any test runs.
pub const ONE_IN_A_DAY: SourceRate = rate(1);

/// So many at once.
const fn rate(count: u32) -> SourceRate {
    let day = 86_400_000_000_000;
    SourceRate { interval: day / count as u64, tolerance: day - day / count as u64 }
}

/// A rig whose frontend is changed.
pub fn rig(change: impl FnOnce(&mut Frontend)) -> Rig {
    let mut rig = Rig::new();
    limit(&mut rig, change);
    rig
}

fn limit(rig: &mut Rig, change: impl FnOnce(&mut Frontend)) {
    rig.set_up(|setup| change(&mut setup.frontends[0]));
}

/// A list of prefixes, not yet in force.
pub fn enter(rig: &mut Rig, list: AllowList, prefixes: &[(Ipv4Addr, u8)]) {
    for (network, bits) in prefixes {
        let allow = &mut rig.control.maps_mut().allow;
        allow.insert(list, (*network).into(), *bits).expect("can be written");
    }
}

fn established(rig: &Rig) -> u64 {
    rig.control.maps().occupancy.get(0)
}

#[track_caller]
fn is_refused(rig: &Rig, client: End) {
    let refusal = Connection::reset_of(&syn(client)).bytes();
    assert_eq!(rig.run(&syn(client).bytes()), Out::Answered(Reason::NotAllowed, refusal));
}

#[test]
fn a_frontend_that_is_going_away_keeps_what_it_has() {
    let mut rig = Rig::new();
    let mut kept = Connection::established(&rig, client(1, 1024));
    let mut half_open = Connection::open(&rig, client(1, 1025));
    limit(&mut rig, |frontend| frontend.draining = 1);
    assert_eq!(Connection::try_open(&rig, CLIENT).err(), Some(Out::Passed(Reason::Draining)));
    // Another attempt by the addresses of one that is over is a new connection, too.
    kept.client_sends(&rig, Flags::RST, b"");
    assert_eq!(Connection::try_open(&rig, kept.client).err(), Some(Out::Passed(Reason::Draining)));
    half_open.reaches_server(&rig, syn(half_open.client));
    half_open.server_sends(&rig, Flags::SYN | Flags::ACK, b"");
    half_open.client_sends(&rig, Flags::ACK, b"");
    half_open.works(&rig);
}

#[test]
fn only_who_is_on_the_list_gets_in() {
    let list = AllowList(7);
    let mut rig = rig(|frontend| frontend.limits.allow = list);
    enter(&mut rig, list, &[([198, 18, 1, 0].into(), 25), ([198, 18, 1, 200].into(), 32)]);
    // The same address in another list counts for nothing.
    enter(&mut rig, AllowList(8), &[([198, 18, 0, 0].into(), 15)]);
    for (host, is_allowed) in [(0, true), (127, true), (128, false), (199, false), (200, true), (201, false)]
    {
        let client = client(host, 40_000);
        if is_allowed { Connection::established(&rig, client).works(&rig) } else { is_refused(&rig, client) }
    }
    assert_eq!(rig.traffic().connections, 3);
}

#[test]
fn an_empty_list_lets_nobody_in_and_none_lets_in_all() {
    let mut rig = rig(|frontend| frontend.limits.allow = AllowList(1));
    is_refused(&rig, CLIENT);
    enter(&mut rig, AllowList(1), &[([0, 0, 0, 0].into(), 0)]);
    Connection::established(&rig, CLIENT);
    rig.control.maps_mut().allow.retain(&[]).expect("can be written");
    is_refused(&rig, client(2, 40_000));
    limit(&mut rig, |frontend| frontend.limits.allow = AllowList(0));
    Connection::established(&rig, client(2, 40_000));
}

#[test]
fn a_connection_outlives_its_place_on_the_list() {
    let mut rig = Rig::new();
    let mut connection = Connection::established(&rig, CLIENT);
    limit(&mut rig, |frontend| frontend.limits.allow = AllowList(1));
    connection.works(&rig);
    is_refused(&rig, client(1, 50_000));
}

#[test]
fn each_source_has_its_own_pace() {
    let rig = rig(|frontend| frontend.limits.source_rate = rate(3));
    for host in [1, 2] {
        for n in 0..3 {
            Connection::open(&rig, client(host, 40_000 + n));
        }
        let fourth = client(host, 40_003);
        assert_eq!(Connection::try_open(&rig, fourth).err(), Some(Out::Dropped(Reason::SourceRate)));
        // What is under way goes on: that is no new connection.
        Connection::open(&rig, client(host, 40_000));
    }
}

#[test]
fn a_connection_counts_once_however_often_it_is_offered() {
    let mut rig = rig(|frontend| frontend.limits.source_rate = ONE_IN_A_DAY);
    let first = Connection::open(&rig, CLIENT);
    let second = first.moved(&rig, &syn(CLIENT), rig.run(&first.refusal().bytes()), Reason::Refused);
    rig.age(CLIENT.socket, REDISPATCH_AFTER);
    let third = Connection::open(&rig, CLIENT);
    assert_ne!(third.server, second.server);
    limit(&mut rig, |frontend| frontend.limits.source_rate = SourceRate::default());
    Connection::open(&rig, client(1, 50_000));
}

#[test]
fn half_open_connections_do_not_fill_a_frontend() {
    let mut rig = rig(|frontend| frontend.limits.max_connections = 2);
    let mut first = Connection::established(&rig, client(1, 40_000));
    for n in 1..10 {
        Connection::open(&rig, client(1, 40_000 + n));
    }
    let mut second = Connection::established(&rig, client(2, 40_000));
    assert_eq!(established(&rig), 2);
    let third = client(3, 40_000);
    assert_eq!(Connection::try_open(&rig, third).err(), Some(Out::Dropped(Reason::FrontendFull)));
    second.works(&rig);

    // The client's next SYN finds room.
    first.client_sends(&rig, Flags::RST, b"");
    assert_eq!(established(&rig), 1);
    Connection::established(&rig, third);
    assert_eq!(Connection::try_open(&rig, CLIENT).err(), Some(Out::Dropped(Reason::FrontendFull)));
    limit(&mut rig, |frontend| frontend.limits.max_connections = 3);
    Connection::established(&rig, CLIENT);
}

#[test]
fn established_is_who_has_shaken_hands_and_not_yet_parted() {
    let rig = Rig::with_one_server(1);
    let mut connection = Connection::in_state(&rig, CLIENT, State::SynReceived);
    assert_eq!(established(&rig), 0);
    connection.client_sends(&rig, Flags::ACK, b"");
    connection.client_sends(&rig, FIN_ACK, b"");
    assert_eq!(established(&rig), 1, "one side may still send");
    connection.server_sends(&rig, FIN_ACK, b"");
    assert_eq!(established(&rig), 0);
    connection.client_sends(&rig, Flags::RST, b"");
    assert_eq!((connection.state(&rig), established(&rig)), (State::Closed, 0));

    // One that expired counts until the next takes its slot.
    let expired = Connection::established(&rig, client(2, 40_000));
    assert_eq!(established(&rig), 1);
    rig.age(expired.client.socket, Ticks(TIMEOUTS.idle.0 + 1));
    let mut next = Connection::in_state(&rig, client(3, 40_000), State::SynReceived);
    assert_eq!(established(&rig), 0);
    next.server_sends(&rig, Flags::RST | Flags::ACK, b"");
    assert_eq!(established(&rig), 0, "it never was");
}

#[test]
fn connections_that_have_expired_keep_nobody_out_without_an_agent() {
    let rig = rig(|frontend| frontend.limits.max_connections = 5);
    for n in 0..5 {
        Connection::established(&rig, client(1, 40_000 + n));
    }
    let next = client(2, 40_000);
    assert_eq!(Connection::try_open(&rig, next).err(), Some(Out::Dropped(Reason::FrontendFull)));
    for n in 0..5 {
        rig.age(client(1, 40_000 + n).socket, Ticks(TIMEOUTS.idle.0 + 1));
    }
    // Each attempt looks at some more of the 192 slots.
    let attempts = (0..6).map_while(|_| Connection::try_open(&rig, next).err()).count();
    assert!(attempts < 6, "nobody is let in");
    assert!(established(&rig) < 5);
}

#[test]
fn a_sweep_puts_the_count_right() {
    let rig = Rig::new();
    // Before the other, whose time is now.
    let expired = Connection::established(&rig, client(2, 40_000));
    rig.age(expired.client.socket, Ticks(TIMEOUTS.idle.0 + 1));
    let connection = Connection::established(&rig, CLIENT);
    // As an agent leaves it that is killed between its two steps, or a program before the first count.
    for wrong in [1, 7, -2] {
        let maps = rig.control.maps();
        let counted = maps.occupancy.counted(0);
        maps.occupancy.correct(0, counted, wrong);
        sweep(maps, connection.slot(&rig).last_seen, |_| ()).expect("can be mapped");
        assert_eq!(maps.occupancy.counted(0), 1, "after {wrong}");
    }
    assert_eq!(expired.state(&rig), State::Free);
}
