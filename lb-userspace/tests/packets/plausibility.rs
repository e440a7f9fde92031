//! Packets of strangers who guess: forwarded, because the ends know better, but without effect on
//! the connection.

use lb_common::slot::Word;
use lb_common::tcp::{Fins, Flags, State};
use lb_common::time::Tick;

use crate::connection::{Connection, FIN_ACK, RST_ACK};
use crate::frame::{End, Frame};
use crate::rig::{A_WHILE, CLIENT, Rig, client};

/// Something that one side sends and that does not fit what was said before.
struct Fixture {
    description: &'static str,
    state: State,
    frame: fn(&Connection) -> Frame,
    sender: Sender,
}

#[derive(Clone, Copy)]
enum Sender {
    Client,
    Server,
}

/// The frame with its sequence number moved.
fn seq(frame: Frame, by: i32) -> Frame {
    frame.with(|frame| frame.tcp.sequence_number = frame.tcp.sequence_number.wrapping_add_signed(by))
}

/// The frame with its acknowledgement moved.
fn ack(frame: Frame, by: i32) -> Frame {
    frame.with(|frame| {
        frame.tcp.acknowledgment_number = frame.tcp.acknowledgment_number.wrapping_add_signed(by);
    })
}

const FIXTURES: &[Fixture] = &[
    Fixture {
        description: "an ACK before the server's answer",
        state: State::SynSent,
        frame: |connection| connection.by_client(Flags::ACK),
        sender: Sender::Client,
    },
    Fixture {
        description: "an ACK of one less than the server's first number",
        state: State::SynReceived,
        frame: |connection| ack(connection.by_client(Flags::ACK), -1),
        sender: Sender::Client,
    },
    Fixture {
        description: "an ACK of one more than the server has sent",
        state: State::SynReceived,
        frame: |connection| ack(connection.by_client(Flags::ACK), 1),
        sender: Sender::Client,
    },
    Fixture {
        description: "data with a blind ACK",
        state: State::SynReceived,
        frame: |connection| ack(connection.by_client(Flags::ACK), 1 << 20).payload(b"GET / HTTP/1.0"),
        sender: Sender::Client,
    },
    Fixture {
        description: "a refusal of another SYN",
        state: State::SynSent,
        frame: |connection| ack(connection.by_server(RST_ACK), 1),
        sender: Sender::Server,
    },
    Fixture {
        description: "a refusal that acknowledges nothing",
        state: State::SynSent,
        frame: |connection| connection.by_server(Flags::RST),
        sender: Sender::Server,
    },
    Fixture {
        description: "a client that gives up before the answer",
        state: State::SynSent,
        frame: |connection| connection.by_client(Flags::RST),
        sender: Sender::Client,
    },
    Fixture {
        description: "a client's RST before what the server has acknowledged",
        state: State::Established,
        frame: |connection| seq(connection.by_client(Flags::RST), -5),
        sender: Sender::Client,
    },
    Fixture {
        description: "a client's RST after what it has sent",
        state: State::Established,
        frame: |connection| seq(connection.by_client(Flags::RST), 1),
        sender: Sender::Client,
    },
    Fixture {
        description: "a server's RST before what the client has acknowledged",
        state: State::Established,
        frame: |connection| seq(connection.by_server(RST_ACK), -6),
        sender: Sender::Server,
    },
    Fixture {
        description: "a server's RST after what it has sent",
        state: State::Established,
        frame: |connection| seq(connection.by_server(RST_ACK), 1),
        sender: Sender::Server,
    },
    Fixture {
        description: "a client's FIN that acknowledges what was never sent",
        state: State::Established,
        frame: |connection| ack(connection.by_client(FIN_ACK), 1),
        sender: Sender::Client,
    },
    Fixture {
        description: "a server's FIN that acknowledges what was never sent",
        state: State::Established,
        frame: |connection| ack(connection.by_server(FIN_ACK), 1),
        sender: Sender::Server,
    },
];

/// A client's connection in `state`, quiet for a while; an established one has carried data both ways.
fn quiet(rig: &Rig, client: End, state: State) -> Connection {
    let mut connection = Connection::in_state(rig, client, state);
    if state == State::Established {
        connection.works(rig);
        connection.client_sends(rig, Flags::ACK, b"");
    }
    rig.age(client.socket, A_WHILE);
    connection
}

/// What a stranger must not change: state, sign of life, and the time of the answer.
fn essence(rig: &Rig, connection: &Connection) -> (Word, Tick, u32) {
    let (slot, details) = (connection.slot(rig), connection.details(rig));
    (slot.word(), slot.last_seen, details.answered_after)
}

#[test]
fn what_does_not_fit_is_forwarded_and_changes_nothing() {
    let rig = Rig::new();
    for (port, Fixture { description, state, frame, sender }) in (40_000..).zip(FIXTURES) {
        println!("{description}");
        let connection = quiet(&rig, client(1, port), *state);
        let before = essence(&rig, &connection);
        match sender {
            Sender::Client => connection.reaches_server(&rig, frame(&connection)),
            Sender::Server => connection.reaches_client(&rig, frame(&connection)),
        }
        assert_eq!(essence(&rig, &connection), before, "{description}");
    }
}

#[test]
fn a_fin_outside_its_stream_ends_nothing() {
    let rig = Rig::new();
    let connection = quiet(&rig, CLIENT, State::Established);
    connection.reaches_server(&rig, seq(connection.by_client(FIN_ACK), i32::MAX));
    connection.reaches_server(&rig, seq(connection.by_client(FIN_ACK), -100_000));
    connection.reaches_client(&rig, seq(connection.by_server(FIN_ACK), i32::MAX));
    connection.reaches_client(&rig, seq(connection.by_server(FIN_ACK), -100_000));
    let word = connection.slot(&rig).word();
    assert_eq!((word.state(), word.fins()), (State::Established, Fins::NONE));
}

#[test]
fn what_fits_counts_as_a_sign_of_life() {
    let rig = Rig::new();
    let mut connection = quiet(&rig, CLIENT, State::Established);
    let before = connection.slot(&rig).last_seen;
    connection.client_sends(&rig, Flags::ACK, b"still here");
    assert_ne!(connection.slot(&rig).last_seen, before);
}

#[test]
fn after_a_blind_ack_the_right_one_still_establishes() {
    let rig = Rig::new();
    let mut connection = quiet(&rig, CLIENT, State::SynReceived);
    connection.reaches_server(&rig, ack(connection.by_client(Flags::ACK), 7));
    assert_eq!(rig.traffic().established, 0);
    connection.client_sends(&rig, Flags::ACK, b"");
    assert_eq!(connection.state(&rig), State::Established);
    assert_eq!(rig.traffic().established, 1);
}

#[test]
fn a_reset_ends_by_the_number_that_its_receiver_expects() {
    let rig = Rig::new();
    let mut connection = quiet(&rig, CLIENT, State::Established);
    connection.client_sends(&rig, Flags::ACK, &[0; 1000]);
    // Somewhere in the thousand bytes that the server has not acknowledged: it asks back.
    connection.reaches_server(&rig, seq(connection.by_client(Flags::RST), -500));
    assert_eq!(connection.state(&rig), State::Established);
    // Behind them, as the client would.
    connection.reaches_server(&rig, connection.by_client(Flags::RST));
    assert_eq!(connection.state(&rig), State::Closed);

    let rig = Rig::new();
    let mut connection = quiet(&rig, CLIENT, State::Established);
    connection.server_sends(&rig, Flags::ACK, &[0; 1000]);
    connection.reaches_client(&rig, seq(connection.by_server(RST_ACK), -1000));
    assert_eq!(connection.state(&rig), State::Closed);
}

#[test]
fn a_reset_of_what_was_accepted_is_no_refusal() {
    let rig = Rig::new();
    let mut connection = quiet(&rig, CLIENT, State::SynReceived);
    connection.server_sends(&rig, RST_ACK, b"");
    assert_eq!((connection.state(&rig), rig.traffic().refused), (State::Closed, 0));
}
