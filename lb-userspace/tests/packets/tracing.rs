//! A tracer is told what becomes of packets, while there is one.

use lb_common::reason::Reason;
use lb_common::tcp::Flags;
use lb_common::time::{Tick, Ticks};
use lb_common::trace::{Ended, Record, Tracing};
use tokio::runtime::Builder;

use crate::connection::{CLIENT_ISN, Connection, syn};
use crate::frame::Frame;
use crate::rig::{CLIENT, FRONTEND, Out, Rig, at_our_mac};

/// Longer than any test takes.
const AHEAD: Ticks = Ticks(1 << 20);

/// What is told while something happens, of packets that a tracer with this filter wants.
fn traced(tracing: Tracing, until: Tick, happens: impl FnOnce(&Rig)) -> (Vec<Record>, Rig) {
    let runtime = Builder::new_current_thread().enable_io().build().expect("starts");
    runtime.block_on(async {
        let mut rig = Rig::new();
        let maps = rig.control.maps_mut();
        let mut traces = maps.take_traces().expect("are there");
        maps.tracing.set(0, tracing).expect("can be set");
        maps.setup.set_trace_until(until);
        happens(&rig);
        // What is there is there at once.
        let next = std::pin::pin!(traces.next(usize::MAX));
        let records = tokio::select! {
            biased;
            records = next => records.expect("can be read"),
            () = tokio::task::yield_now() => Vec::new(),
        };
        (records, rig)
    })
}

/// Now, as a slot tells it.
fn now() -> Tick {
    let rig = Rig::new();
    Connection::open(&rig, CLIENT);
    rig.slots_of(CLIENT.socket)[0].1.last_seen
}

fn ahead() -> Tick {
    Tick(now().0.wrapping_add(AHEAD.0))
}

#[test]
fn both_sides_of_a_rewrite_are_told() {
    let syn = syn(CLIENT);
    let mut out = Vec::new();
    let (records, _) = traced(Tracing::all(1), ahead(), |rig| match rig.run(&syn.bytes()) {
        Out::Sent(frame) => out = frame,
        other => panic!("{other:?}"),
    });
    assert_eq!(records.len(), 1);
    let Record { lengths, outcome, ended, frames: [came, left], .. } = records[0];
    let bytes = syn.bytes();
    assert_eq!(lengths.map(|length| length as usize), [bytes.len(), out.len()]);
    assert_eq!((outcome.reason(), ended), (None, Ended::Sent as u8));
    assert_eq!((&came[..bytes.len()], &left[..out.len()]), (&bytes[..], &out[..]));
}

#[test]
fn what_is_not_forwarded_has_its_reason() {
    let reasons = |flags| {
        let (records, _) = traced(Tracing::all(1), ahead(), |rig| {
            rig.run(&Frame::new(CLIENT, at_our_mac(FRONTEND), flags, CLIENT_ISN, 0).bytes());
        });
        let told = records.iter().map(|record| (record.outcome.reason(), record.ended, record.lengths[1]));
        told.collect::<Vec<_>>()
    };
    assert_eq!(reasons(Flags::ACK), [(Some(Reason::NoConnection), Ended::Passed as u8, 0)]);
    assert_eq!(reasons(Flags::SYN | Flags::FIN), [(Some(Reason::BadFlags), Ended::Dropped as u8, 0)]);
}

#[test]
fn a_refusal_is_told_with_the_syn_that_took_its_place() {
    let (records, _) = traced(Tracing::all(1), ahead(), |rig| {
        let first = Connection::open(rig, CLIENT);
        first.moved(rig, &syn(CLIENT), rig.run(&first.refusal().bytes()), Reason::Refused);
    });
    assert_eq!(records.len(), 2);
    let [_, refused] = records[..] else { return };
    assert_eq!((refused.outcome.reason(), refused.ended), (Some(Reason::Refused), Ended::Sent as u8));
    let [came, _, _, left] = refused.ends();
    assert_ne!(came, left, "it goes to another server");
}

#[test]
fn only_what_is_wanted_is_told() {
    let mut other = Tracing::all(1);
    other.client_mask = std::net::Ipv4Addr::BROADCAST.into();
    other.client = std::net::Ipv4Addr::new(198, 18, 9, 9).into();
    let (records, _) = traced(other, ahead(), |rig| drop(rig.run(&syn(CLIENT).bytes())));
    assert_eq!(records.len(), 0);
}

#[test]
fn without_a_tracer_nothing_is_told_and_a_lease_that_is_over_ends_it() {
    let run = |rig: &Rig| drop(rig.run(&syn(CLIENT).bytes()));
    let (records, _) = traced(Tracing::all(1), Tick(0), run);
    assert_eq!(records.len(), 0);
    let over = Tick(now().0.wrapping_sub(1));
    let (records, rig) = traced(Tracing::all(1), over, run);
    assert_eq!(records.len(), 0);
    assert_eq!(rig.control.maps().setup.trace_until(), Tick(0), "the program has ended it");
}

#[test]
fn what_has_no_room_is_counted() {
    const PACKETS: u64 = 8_000;
    let (_, mut rig) = traced(Tracing::all(1), ahead(), |rig| {
        for _ in 0..PACKETS {
            assert!(matches!(rig.run(&syn(CLIENT).bytes()), Out::Sent(_)), "it is forwarded all the same");
        }
    });
    let tracing = rig.control.maps_mut().tracing.get(0).expect("can be read");
    let room = u64::from(lb_common::trace::TRACES_BYTES) / size_of::<Record>() as u64;
    assert!((PACKETS - room..PACKETS).contains(&tracing.lost), "{} of {PACKETS}", tracing.lost);
}
