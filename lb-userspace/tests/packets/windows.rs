//! The agent looks through slots in parts, which have all of them together.

use lb_common::server::Cursor;
use lb_common::tcp::{Fins, State};
use zerocopy::IntoBytes;

use crate::connection::Connection;
use crate::rig::{Rig, client};

/// Slots of each server: more for all three than one window has.
const PORTS: u16 = 30_000;

/// Connections in the first slot of all, at both sides of where a window ends, and in the last of all.
fn connections(rig: &mut Rig) -> Vec<Connection> {
    let window = 1 << 16;
    let second = |number: u32| u64::from(number) - u64::from(PORTS);
    let third = |number: u32| u64::from(number) - 2 * u64::from(PORTS);
    let places =
        [(0, 0), (1, second(59_999)), (2, third(window - 1)), (2, third(window)), (2, third(89_999))];
    let mut connections = Vec::new();
    for (host, (server, position)) in (1..).zip(places) {
        for number in 0..3 {
            rig.control.set_ready(number, number == server).expect("can be written");
        }
        let cursor = Cursor { position, ..Cursor::default() };
        rig.control.maps_mut().slot_cursors.set(server.into(), cursor).expect("can be written");
        connections.push(Connection::established(rig, client(host, 40_000)));
    }
    connections
}

#[test]
fn every_slot_is_in_one_window() {
    let mut rig = Rig::with_slots(PORTS);
    let mut connections = connections(&mut rig);
    let numbers: Vec<u32> = connections.iter().map(|connection| connection.slot_number(&rig)).collect();
    assert_eq!(numbers, [0, 59_999, 65_535, 65_536, 89_999]);

    let slots = &rig.control.maps().slots;
    let mut found = Vec::new();
    for view in slots.detailed_windows(slots.numbers()) {
        let view = view.expect("can be mapped");
        for (number, slot) in view.used() {
            assert_eq!(slot.as_bytes(), rig.slot(number).as_bytes());
            let details = view.details(number).expect("of a slot of the window");
            assert_eq!(details.as_bytes(), rig.details(number).as_bytes());
            found.push(number);
        }
    }
    assert_eq!(found, numbers);

    // Of one server, and nothing of its neighbours.
    let of_server = rig.control.maps().setup.get().slots_of(1);
    let views = slots.windows(of_server).map(|view| view.expect("can be mapped"));
    let found: Vec<u32> =
        views.flat_map(|view| view.used().map(|(number, _)| number).collect::<Vec<_>>()).collect();
    assert_eq!(found, [59_999]);

    // What is changed in a window is changed.
    for states in slots.state_windows(slots.numbers()) {
        let states = states.expect("can be mapped");
        for (number, slot) in states.view().used() {
            assert!(states.swap(number, slot.word(), slot.word().with(State::Free, Fins::NONE)));
        }
    }
    for connection in &mut connections {
        assert_eq!(connection.state(&rig), State::Free);
        connection.is_unknown(&rig);
    }
}
