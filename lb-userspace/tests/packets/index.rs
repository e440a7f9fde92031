//! The connection index when a tuple's buckets are full.

use lb_common::index::{BUCKET_ENTRIES, Hash, Tuple};
use lb_common::net::Port;
use lb_common::reason::Reason;
use lb_common::time::Ticks;

use crate::connection::{Connection, syn};
use crate::frame::End;
use crate::rig::{Out, Rig, TIMEOUTS, client};

/// When an established connection has expired.
const AFTER_IDLE: Ticks = Ticks(TIMEOUTS.idle.0 + 1);

/// The first and the second bucket of a client's tuple.
fn buckets_of(rig: &Rig, client: End) -> [u32; 2] {
    let settings = &rig.control.maps().setup.get().settings;
    let tuple = Tuple::new((*client.socket.ip()).into(), Port::new(client.socket.port()), 0);
    let hash: Hash = tuple.hash(&settings.hash_key);
    [hash.first_bucket(settings.buckets), hash.second_bucket(settings.buckets)]
}

/// A client that has two buckets, not twice the same.
pub fn client_of_two_buckets(rig: &Rig) -> End {
    let has_two = |client: &End| {
        let [first, second] = buckets_of(rig, *client);
        first != second
    };
    (40_000..=u16::MAX).map(|port| client(1, port)).find(has_two).expect("nearly all have")
}

/// Established connections of other clients, as many as a bucket holds, all looked for there first.
fn fill(rig: &Rig, bucket: u32) -> Vec<Connection> {
    let strangers = (2..=254).flat_map(|host| (1024..=u16::MAX).map(move |port| client(host, port)));
    let at_home = strangers.filter(|stranger| buckets_of(rig, *stranger)[0] == bucket);
    at_home.take(BUCKET_ENTRIES).map(|stranger| Connection::established(rig, stranger)).collect()
}

/// Fills both buckets of a client's tuple, each with connections that are at home there.
pub fn fill_both(rig: &Rig, client: End) -> [Vec<Connection>; 2] {
    buckets_of(rig, client).map(|bucket| fill(rig, bucket))
}

#[test]
fn a_full_first_bucket_sends_on_to_the_second() {
    let rig = Rig::new();
    let client = client_of_two_buckets(&rig);
    let crowd = fill(&rig, buckets_of(&rig, client)[0]);
    let mut connection = Connection::established(&rig, client);
    connection.works(&rig);
    for mut other in crowd {
        other.works(&rig);
    }
    connection.works(&rig);
}

#[test]
fn with_both_buckets_full_a_new_connection_is_refused_and_leaves_nothing() {
    let rig = Rig::new();
    let client = client_of_two_buckets(&rig);
    let crowd = fill_both(&rig, client);
    let before = rig.traffic();
    assert_eq!(Connection::try_open(&rig, client).err(), Some(Out::Dropped(Reason::IndexFull)));
    assert!(rig.slots_of(client.socket).is_empty(), "the slot was given back");
    assert_eq!(rig.traffic(), before);
    for mut other in crowd.into_iter().flatten() {
        other.works(&rig);
    }
}

#[test]
fn an_expired_entry_of_either_bucket_makes_room() {
    for bucket in [0, 1] {
        let rig = Rig::new();
        let client = client_of_two_buckets(&rig);
        let mut crowd = fill_both(&rig, client);
        let expired = crowd[bucket].remove(3);
        rig.age(expired.client.socket, AFTER_IDLE);
        let mut connection = Connection::established(&rig, client);
        expired.is_unknown(&rig);
        for mut other in crowd.into_iter().flatten() {
            other.works(&rig);
        }
        connection.works(&rig);
    }
}

#[test]
fn a_connection_is_found_behind_an_entry_that_has_expired() {
    let rig = Rig::new();
    let client = client_of_two_buckets(&rig);
    let crowd = fill(&rig, buckets_of(&rig, client)[0]);
    let mut connection = Connection::established(&rig, client);
    for other in crowd {
        rig.age(other.client.socket, AFTER_IDLE);
    }
    // The first bucket could take it now, but this is where it is.
    connection.works(&rig);
    assert_eq!(rig.slots_of(client.socket).len(), 1);
    connection.reaches_server(&rig, syn(client));
}
