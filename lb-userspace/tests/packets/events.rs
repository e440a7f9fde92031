//! What the agent is told the moment that it happens.

use std::net::{Ipv4Addr, SocketAddrV4};

use lb_common::event::{ConnectFailed, Failure};
use lb_common::reason::Reason;
use lb_common::tcp::{Flags, State};
use tokio::runtime::Builder;
use xlb::clock;

use crate::connection::{CLIENT_ISN, Connection, RST_ACK, syn, syn_to};
use crate::rig::{CLIENT, REDISPATCH_AFTER, Rig, frontend};

/// A frontend whose first report is the last of a test.
const LAST: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(198, 18, 0, 10), 443);

/// What the program reports while something happens.
fn reports(happens: impl FnOnce(&Rig)) -> Vec<ConnectFailed> {
    let runtime = Builder::new_current_thread().enable_io().build().expect("starts");
    runtime.block_on(async {
        let mut rig = Rig::with(|wanted| wanted.frontends.push(frontend(LAST)));
        let mut events = rig.control.maps_mut().take_events().expect("are there");
        happens(&rig);
        let last = Connection::open_with(&rig, CLIENT, &syn_to(LAST, CLIENT, CLIENT_ISN));
        rig.run(&last.refusal().bytes());
        let mut reports = Vec::new();
        loop {
            let [report] = events.next(1).await.expect("can be read")[..] else {
                panic!("one was asked for")
            };
            if report.frontend == 1 {
                return reports;
            }
            reports.push(report);
        }
    })
}

/// Whose failures they are.
fn failures(reports: &[ConnectFailed]) -> Vec<(u16, u16, Option<Failure>)> {
    reports.iter().map(|report| (report.frontend, report.server, report.failure())).collect()
}

#[test]
fn each_server_that_refuses_is_reported() {
    let before = clock::monotonic().as_nanos();
    let reports = reports(|rig| {
        let first = Connection::open(rig, CLIENT);
        let second = first.moved(rig, &syn(CLIENT), rig.run(&first.refusal().bytes()), Reason::Refused);
        second.moved(rig, &syn(CLIENT), rig.run(&second.refusal().bytes()), Reason::Refused);
        // The network has doubled it.
        rig.run(&first.refusal().bytes());
    });
    assert_eq!(failures(&reports), [0, 1].map(|server| (0, server, Some(Failure::Refused))));
    let after = clock::monotonic().as_nanos();
    let times: Vec<u128> = reports.iter().map(|report| report.at.into()).collect();
    assert!(before <= times[0] && times[0] <= times[1] && times[1] <= after, "{before} {times:?} {after}");
}

#[test]
fn who_keeps_silent_is_reported() {
    let reports = reports(|rig| {
        Connection::open(rig, CLIENT);
        for _ in 0..3 {
            rig.age(CLIENT.socket, REDISPATCH_AFTER);
            Connection::open(rig, CLIENT);
        }
    });
    assert_eq!(failures(&reports), [0, 1, 2].map(|server| (0, server, Some(Failure::Silent))));
}

#[test]
fn what_is_no_failure_is_not() {
    let reports = reports(|rig| {
        let first = Connection::open(rig, CLIENT);
        let mut second =
            first.moved(rig, &syn(CLIENT), rig.run(&first.challenge().bytes()), Reason::StalePort);
        second.server_sends(rig, Flags::SYN | Flags::ACK, b"");
        rig.age(CLIENT.socket, REDISPATCH_AFTER);
        second.reaches_server(rig, syn(CLIENT));
        second.server_sends(rig, RST_ACK, b"");
        assert_eq!(second.state(rig), State::Closed);
    });
    assert_eq!(failures(&reports), []);
}
