//! What the agent is told of connections that end: each end once, and nothing else.

use lb_common::admission::Limits;
use lb_common::ending::{Ending, How, NO_SERVER};
use lb_common::net::socket_addr;
use lb_common::reason::Reason;
use lb_common::tcp::{Flags, State};
use lb_common::time::Ticks;
use tokio::runtime::Builder;
use xlb::clock;
use xlb::control::Wanted;
use xlb::sweep::sweep;

use crate::connection::{Connection, FIN_ACK, RST_ACK, SYN_ACK, syn, syn_to};
use crate::frame::End;
use crate::rig::{CLIENT, FRONTEND, Out, REDISPATCH_AFTER, Rig, TIMEOUTS, client};

/// A client whose connection is the last of a test.
const LAST: End = client(250, 50_000);

/// More than a lifetime.
const fn after(lifetime: Ticks) -> Ticks {
    Ticks(lifetime.0 + 1)
}

/// What the program tells while something happens.
fn told(happens: impl FnOnce(&mut Rig)) -> Vec<Ending> {
    told_with(|_| (), happens)
}

/// The same in a rig that is changed as the test wants it.
fn told_with(change: impl FnOnce(&mut Wanted), happens: impl FnOnce(&mut Rig)) -> Vec<Ending> {
    let runtime = Builder::new_current_thread().enable_io().build().expect("starts");
    runtime.block_on(async {
        let mut rig = Rig::with(change);
        let mut endings = rig.control.maps_mut().take_endings().expect("are there");
        rig.control.maps_mut().setup.set_tells_ends(true);
        happens(&mut rig);
        // Whatever happened to the settings, this one is told.
        rig.control.maps_mut().setup.set_tells_ends(true);
        finish(&rig, LAST);
        let mut told = Vec::new();
        loop {
            told.extend(endings.told.next(1).await.expect("can be read"));
            if told.last().is_some_and(|ending| is_of(ending, LAST)) {
                told.pop();
                assert_eq!(endings.lost().expect("can be read"), 0);
                return told;
            }
        }
    })
}

fn is_of(ending: &Ending, client: End) -> bool {
    socket_addr(ending.tuple.addr(), ending.tuple.port()) == client.socket
}

/// A connection that both sides close.
fn finish(rig: &Rig, client: End) -> Connection {
    let mut connection = Connection::established(rig, client);
    connection.works(rig);
    connection.client_sends(rig, FIN_ACK, b"");
    connection.server_sends(rig, FIN_ACK, b"");
    connection
}

/// Whose connections have ended how: host and port of the client, and the server's number.
fn essence(endings: &[Ending]) -> Vec<(u16, u16, Option<How>)> {
    endings.iter().map(|ending| (ending.tuple.port().number(), ending.server, ending.how())).collect()
}

#[test]
fn an_end_says_all_that_there_is_to_say() {
    let before = clock::monotonic().as_nanos() as u64;
    let told = told(|rig| {
        let mut connection = finish(rig, CLIENT);
        connection.client_sends(rig, Flags::ACK, b"");
        // What comes behind it is no second end.
        connection.client_sends(rig, Flags::RST, b"");
        assert_eq!(connection.state(rig), State::Closed);
    });
    let after = clock::monotonic().as_nanos() as u64;
    let [ending] = &told[..] else { panic!("{told:?}") };
    assert!(is_of(ending, CLIENT));
    assert_eq!((ending.how(), ending.server, ending.tuple.frontend()), (Some(How::Finished), 0, 0));
    assert_eq!((ending.bytes, ending.redispatched), (["ping".len() as u64, "pong!".len() as u64], 0));
    assert!(before <= ending.opened_at && ending.opened_at <= ending.ended_at && ending.ended_at <= after);
    let answered = u64::from(ending.answered_after);
    assert!(answered > 0 && (answered - 1) * 1_000 <= ending.ended_at - ending.opened_at, "{ending:?}");
}

#[test]
fn nothing_is_told_to_an_agent_that_does_not_ask() {
    let told = told(|rig| {
        rig.control.maps_mut().setup.set_tells_ends(false);
        finish(rig, CLIENT);
        Connection::in_state(rig, client(2, 40_000), State::Closed);
    });
    assert_eq!(told, []);
}

#[test]
fn who_resets_is_told_apart() {
    let told = told(|rig| {
        Connection::established(rig, client(1, 1)).client_sends(rig, Flags::RST, b"");
        Connection::established(rig, client(1, 2)).server_sends(rig, RST_ACK, b"");
        // After one FIN it is still a reset.
        let mut half = Connection::established(rig, client(1, 3));
        half.server_sends(rig, FIN_ACK, b"");
        half.client_sends(rig, Flags::RST, b"");
    });
    let expected = [(1, 0, How::ClientReset), (2, 1, How::ServerReset), (3, 2, How::ClientReset)];
    assert_eq!(essence(&told), expected.map(|(port, server, how)| (port, server, Some(how))));
}

#[test]
fn who_never_completes_a_handshake_has_no_connection() {
    let told = told(|rig| {
        Connection::in_state(rig, client(1, 1), State::SynReceived).client_sends(rig, Flags::RST, b"");
        Connection::in_state(rig, client(1, 2), State::SynReceived).server_sends(rig, RST_ACK, b"");
        Connection::in_state(rig, client(1, 3), State::SynReceived);
        rig.age(client(1, 3).socket, after(TIMEOUTS.connect));
        let now = Connection::open(rig, client(1, 4)).slot(rig).last_seen;
        sweep(rig.control.maps(), now, |ending| panic!("{ending:?}")).expect("can be mapped");
    });
    assert_eq!(told, []);
}

#[test]
fn a_refusal_is_an_end_when_no_server_is_left() {
    let told = told(|rig| {
        let mut connection = Connection::open(rig, CLIENT);
        for _ in 0..2 {
            let out = rig.run(&connection.refusal().bytes());
            connection = connection.moved(rig, &syn(CLIENT), out, Reason::Refused);
        }
        // The network has doubled it.
        for _ in 0..2 {
            let out = rig.run(&connection.refusal().bytes());
            assert!(matches!(out, Out::Answered(Reason::Refused, _)), "{out:?}");
        }
    });
    assert_eq!(essence(&told), [(40_000, 2, Some(How::Refused))]);
    assert_eq!((told[0].redispatched, told[0].answered_after), (2, 0));
}

#[test]
fn a_connection_that_was_moved_ends_once() {
    let told = told(|rig| {
        let first = Connection::open(rig, CLIENT);
        let out = rig.run(&first.refusal().bytes());
        let second = first.moved(rig, &syn(CLIENT), out, Reason::Refused);
        // The second is silent, and the third takes it.
        rig.age(CLIENT.socket, REDISPATCH_AFTER);
        let mut third = Connection::open(rig, CLIENT);
        assert_ne!(third.server, second.server);
        third.server_sends(rig, SYN_ACK, b"");
        third.client_sends(rig, Flags::ACK, b"");
        // What its copy says by now is another's.
        rig.age(CLIENT.socket, after(TIMEOUTS.connect));
        third.works(rig);
        third.client_sends(rig, FIN_ACK, b"");
        third.server_sends(rig, FIN_ACK, b"");
    });
    assert_eq!(essence(&told), [(40_000, 2, Some(How::Finished))]);
    assert_eq!(told[0].redispatched, 2);
}

#[test]
fn each_attempt_without_a_server_is_an_end() {
    let told = told(|rig| {
        for up in [false, true] {
            for server in 0..3 {
                rig.control.set_up(server, up).expect("can be written");
            }
            if !up {
                for _ in 0..2 {
                    let out = rig.run(&syn(CLIENT).bytes());
                    assert!(matches!(out, Out::Answered(Reason::NoServer, _)), "{out:?}");
                }
            }
        }
    });
    assert_eq!(essence(&told), [(40_000, NO_SERVER, Some(How::NoServer)); 2]);
    assert!(told.iter().all(|ending| is_of(ending, CLIENT) && ending.opened_at == ending.ended_at));
}

#[test]
fn a_client_that_begins_anew_has_given_up() {
    let told = told(|rig| {
        Connection::open(rig, CLIENT);
        Connection::open_with(rig, CLIENT, &syn_to(FRONTEND, CLIENT, 77_000));
    });
    assert_eq!(essence(&told), [(40_000, 0, Some(How::GivenUp))]);
}

#[test]
fn who_was_forgotten_by_both_sides_has_ended() {
    let told = told(|rig| {
        let old = Connection::established(rig, CLIENT);
        let syn = syn_to(FRONTEND, CLIENT, 77_000);
        old.reaches_server(rig, syn.clone());
        let mut new = Connection { client_seq: syn.end(), server_seq: 9_000, ..old };
        new.server_sends(rig, SYN_ACK, b"");
        new.client_sends(rig, Flags::ACK, b"");
        new.works(rig);
        new.client_sends(rig, FIN_ACK, b"");
        new.server_sends(rig, FIN_ACK, b"");
    });
    assert_eq!(essence(&told), [How::Forgotten, How::Finished].map(|how| (40_000, 0, Some(how))));
    assert!(told[1].opened_at >= told[0].ended_at, "{told:?}");
}

#[test]
fn who_expires_is_told_when_the_slot_is_taken() {
    let few = |wanted: &mut Wanted| {
        wanted.sizes.nat_ports = 1;
        wanted.frontends[0].servers.truncate(1);
    };
    for (state, how) in [(State::Established, How::Idle), (State::SynSent, How::Unanswered)] {
        let told = told_with(few, |rig| {
            Connection::in_state(rig, CLIENT, state);
            rig.age(CLIENT.socket, after(TIMEOUTS.idle));
        });
        assert_eq!(essence(&told), [(40_000, 0, Some(how))], "{state}");
    }
}

#[test]
fn who_expires_is_told_when_the_frontend_is_full() {
    let limited = |wanted: &mut Wanted| {
        wanted.frontends[0].limits = Limits { max_connections: 1, ..Limits::default() };
    };
    let told = told_with(limited, |rig| {
        Connection::established(rig, CLIENT);
        rig.age(CLIENT.socket, after(TIMEOUTS.idle));
        // It looks at a part of the slots for each SYN.
        let is_let_in =
            |_: &usize| !matches!(rig.run(&syn(LAST).bytes()), Out::Dropped(Reason::FrontendFull));
        assert!((0..100).any(|round| is_let_in(&round)));
    });
    assert_eq!(essence(&told), [(40_000, 0, Some(How::Idle))]);
}

#[test]
fn who_expires_is_told_by_the_agent_or_the_program_and_not_by_both() {
    let told = told(|rig| {
        let idle = Connection::established(rig, client(1, 1));
        rig.age(idle.client.socket, after(TIMEOUTS.idle));
        let silent = Connection::open(rig, client(1, 2));
        rig.age(silent.client.socket, after(TIMEOUTS.connect));
        let now = Connection::open(rig, client(1, 3)).slot(rig).last_seen;
        let mut swept = Vec::new();
        for _ in 0..2 {
            sweep(rig.control.maps(), now, |ending| swept.push(ending)).expect("can be mapped");
        }
        swept.sort_by_key(|ending| ending.tuple.port().number());
        assert_eq!(essence(&swept), [(1, 0, Some(How::Idle)), (2, 1, Some(How::Unanswered))]);
        assert!(swept.iter().all(|ending| ending.ended_at >= ending.opened_at || ending.ended_at > 0));
    });
    assert_eq!(told, []);
}

#[test]
fn what_finds_no_room_is_counted() {
    let runtime = Builder::new_current_thread().enable_io().build().expect("starts");
    runtime.block_on(async {
        let mut rig = Rig::with_slots(1024);
        let mut endings = rig.control.maps_mut().take_endings().expect("are there");
        rig.control.maps_mut().setup.set_tells_ends(true);
        for server in 0..3 {
            rig.control.set_up(server, false).expect("can be written");
        }
        let mut made = 0;
        while endings.lost().expect("can be read") == 0 {
            for _ in 0..1_000 {
                rig.execute(&syn(CLIENT).bytes());
            }
            made += 1_000;
        }
        let lost = endings.lost().expect("can be read");
        let mut told = 0;
        while told + lost < made {
            told += endings.told.next(usize::MAX).await.expect("can be read").len() as u64;
        }
        assert_eq!(told + lost, made);
        // There is room again.
        rig.execute(&syn(CLIENT).bytes());
        assert_eq!(endings.told.next(2).await.expect("can be read").len(), 1);
    });
}
