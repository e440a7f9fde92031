//! Next hops in a real kernel: two private network namespaces, joined by a pair of veth.
//!
//! Needs root. The namespaces have no names and vanish with their test.

use std::fs::File;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::AsRawFd;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use lb_common::net::Mac;
use nix::sched::{CloneFlags, setns, unshare};
use tokio::sync::mpsc;
use tokio::time;

use xlb::neighbours::{Error, Event, Interface, NextHop, Resolver};

const BALANCER: Ipv4Addr = Ipv4Addr::new(198, 18, 50, 1);
const SERVER: Ipv4Addr = Ipv4Addr::new(198, 18, 50, 2);
const NOBODY: Ipv4Addr = Ipv4Addr::new(198, 18, 50, 9);
const ROUTED: Ipv4Addr = Ipv4Addr::new(198, 18, 60, 7);
const ROUTER: Ipv4Addr = Ipv4Addr::new(198, 18, 50, 3);

const SERVER_MAC: Mac = Mac([2, 0, 0, 0, 0, 2]);
const OTHER_MAC: Mac = Mac([2, 0, 0, 0, 0, 0x22]);
const ROUTER_MAC: Mac = Mac([2, 0, 0, 0, 0, 3]);

/// The balancer's namespace, which the test's thread is in, and its neighbour's.
struct Lab {
    balancer: File,
    neighbour: File,
}

impl Lab {
    /// Two namespaces and two links: `lb0` to the servers, `other0` to elsewhere.
    fn new() -> Self {
        let lab = Self { neighbour: new_namespace(), balancer: new_namespace() };
        lab.wire_servers();
        lab.link("other0", "far0");
        ip("address add 198.18.70.1/24 dev other0");
        lab
    }

    fn wire_servers(&self) {
        self.link("lb0", "srv0");
        ip(&format!("address add {BALANCER}/24 dev lb0"));
        ip(&format!("route add 198.18.60.0/24 via {SERVER}"));
        self.in_neighbour(|| ip(&format!("address add {SERVER}/24 dev srv0")));
        self.change_server_mac(SERVER_MAC);
    }

    fn link(&self, ours: &str, theirs: &str) {
        ip(&format!("link add {ours} type veth peer name {theirs}"));
        let namespace = format!("/proc/{}/fd/{}", std::process::id(), self.neighbour.as_raw_fd());
        ip(&format!("link set {theirs} netns {namespace}"));
        ip(&format!("link set {ours} up"));
        self.in_neighbour(|| ip(&format!("link set {theirs} up")));
    }

    fn in_neighbour<T>(&self, action: impl FnOnce() -> T) -> T {
        setns(&self.neighbour, CloneFlags::CLONE_NEWNET).expect("enter the neighbour's namespace");
        let result = action();
        setns(&self.balancer, CloneFlags::CLONE_NEWNET).expect("return to the balancer's namespace");
        result
    }

    fn change_server_mac(&self, mac: Mac) {
        self.in_neighbour(|| ip(&format!("link set srv0 address {mac}")));
    }

    /// A packet from the server to the balancer, for which it has to ask for our address first and
    /// so tells its own.
    fn send_from_server(&self) {
        self.in_neighbour(|| {
            let socket = UdpSocket::bind((SERVER, 0)).expect("bind in the neighbour's namespace");
            socket.send_to(b"hello", (BALANCER, 9)).expect("send to the balancer");
        });
    }
}

/// Moves the calling thread into a namespace of its own.
fn new_namespace() -> File {
    unshare(CloneFlags::CLONE_NEWNET).expect("this test makes network namespaces and must run as root");
    ip("link set lo up");
    File::open("/proc/thread-self/ns/net").expect("open the thread's namespace")
}

fn ip(arguments: &str) -> String {
    let output = Command::new("ip").args(arguments.split(' ')).output().expect("run ip");
    assert!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs a test on a thread of its own, whose namespace may change.
fn in_lab(test: impl AsyncFnOnce(&Lab) + Send + 'static) {
    let thread = thread::spawn(move || {
        let lab = Lab::new();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("build a runtime").block_on(test(&lab));
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

async fn lb0() -> Interface {
    Interface::lookup("lb0").await.expect("look up lb0")
}

async fn start(servers: &[Ipv4Addr]) -> (Resolver, mpsc::Receiver<Event>) {
    let (sender, events) = mpsc::channel(1);
    let resolver = Resolver::start(&lb0().await, numbered(servers), sender).await;
    (resolver.expect("start the resolver"), events)
}

fn numbered(servers: &[Ipv4Addr]) -> impl Iterator<Item = (u16, Ipv4Addr)> {
    (0..).zip(servers.iter().copied())
}

/// Waits until each of the expected addresses has been reported, and nothing contrary.
async fn expect(events: &mut mpsc::Receiver<Event>, expected: &[(u16, Mac)]) {
    let mut missing = expected.to_vec();
    while !missing.is_empty() {
        let event = time::timeout(Duration::from_secs(10), events.recv()).await;
        let event =
            event.unwrap_or_else(|_| panic!("never reported: {missing:?}")).expect("running resolver");
        if let Event::NextHop(NextHop { server, mac: Some(mac), .. }) = event {
            let place = missing.iter().position(|wanted| *wanted == (server, mac));
            missing.swap_remove(place.unwrap_or_else(|| panic!("{event:?} instead of {missing:?}")));
        }
    }
}

/// The managed entries as `ip` sees them.
fn managed() -> Vec<String> {
    let neighbours = ip("neighbour show dev lb0");
    let managed = neighbours.lines().filter(|line| line.contains("managed"));
    let mut addresses: Vec<_> = managed.map(|line| line[..line.find(' ').unwrap_or(0)].to_owned()).collect();
    addresses.sort();
    addresses
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < deadline, "not in 10 s: {what}");
        time::sleep(Duration::from_millis(20)).await;
    }
}

#[test]
fn next_hops_are_resolved_and_kept_by_the_kernel() {
    in_lab(async |_| {
        let (resolver, mut events) = start(&[SERVER, NOBODY, ROUTED]).await;
        expect(&mut events, &[(0, SERVER_MAC), (2, SERVER_MAC)]).await;
        assert_eq!(managed(), [SERVER.to_string(), NOBODY.to_string()]);

        resolver.release().await.expect("release");
        assert_eq!(managed(), [""; 0]);
        assert!(!ip("neighbour show").contains("proto"), "an entry of ours was left behind");
    });
}

#[test]
fn a_changed_mac_address_is_followed() {
    in_lab(async |lab| {
        let (_resolver, mut events) = start(&[SERVER]).await;
        expect(&mut events, &[(0, SERVER_MAC)]).await;
        lab.change_server_mac(OTHER_MAC);
        lab.send_from_server();
        expect(&mut events, &[(0, OTHER_MAC)]).await;
    });
}

#[test]
fn a_changed_route_is_followed() {
    in_lab(async |_| {
        ip(&format!("neighbour add {ROUTER} lladdr {ROUTER_MAC} dev lb0 nud permanent"));
        let (resolver, mut events) = start(&[ROUTED]).await;
        expect(&mut events, &[(0, SERVER_MAC)]).await;
        ip(&format!("route replace 198.18.60.0/24 via {ROUTER}"));
        expect(&mut events, &[(0, ROUTER_MAC)]).await;
        until("the former gateway's entry is let go", || managed().is_empty()).await;

        resolver.release().await.expect("release");
        let permanent = format!("{ROUTER} lladdr {ROUTER_MAC} PERMANENT");
        assert!(ip("neighbour show dev lb0").contains(&permanent), "an administrator's entry was touched");
    });
}

/// What is reported next of a next hop: its address, and whether it answers.
async fn next_hop(events: &mut mpsc::Receiver<Event>) -> (Option<Mac>, bool) {
    let event = time::timeout(Duration::from_secs(10), events.recv()).await;
    match event.expect("it is reported").expect("running resolver") {
        Event::NextHop(NextHop { mac, answers, .. }) => (mac, answers),
        event => panic!("{event:?}"),
    }
}

#[test]
fn a_next_hop_that_does_not_answer_is_reported_and_its_address_stays() {
    in_lab(async |lab| {
        let (_resolver, mut events) = start(&[SERVER]).await;
        expect(&mut events, &[(0, SERVER_MAC)]).await;
        ip(&format!("neighbour change {SERVER} dev lb0 nud failed"));
        assert_eq!(next_hop(&mut events).await, (Some(SERVER_MAC), false));
        lab.send_from_server();
        assert_eq!(next_hop(&mut events).await, (Some(SERVER_MAC), true));
    });
}

#[test]
fn a_deleted_entry_is_installed_again() {
    in_lab(async |_| {
        let (_resolver, mut events) = start(&[SERVER]).await;
        expect(&mut events, &[(0, SERVER_MAC)]).await;
        ip(&format!("neighbour delete {SERVER} dev lb0"));
        until("the entry is managed again", || managed() == [SERVER.to_string()]).await;
    });
}

#[test]
fn a_link_that_was_down_is_resolved_anew() {
    in_lab(async |_| {
        let (_resolver, mut events) = start(&[SERVER]).await;
        expect(&mut events, &[(0, SERVER_MAC)]).await;
        ip("link set lb0 down");
        until("the entry is gone", || managed().is_empty()).await;
        ip("link set lb0 up");
        until("the entry is managed again", || managed() == [SERVER.to_string()]).await;
    });
}

#[test]
fn other_servers_are_followed_when_they_change() {
    in_lab(async |_| {
        let (resolver, mut events) = start(&[NOBODY]).await;
        until("the first is managed", || managed() == [NOBODY.to_string()]).await;
        resolver.set_servers([(7, SERVER)]);
        expect(&mut events, &[(7, SERVER_MAC)]).await;
        until("only the other one is managed", || managed() == [SERVER.to_string()]).await;
    });
}

/// What is reported next of a server: its address, and whether it answers.
async fn next_of(server: u16, events: &mut mpsc::Receiver<Event>) -> (Option<Mac>, bool) {
    let next = time::timeout(Duration::from_secs(10), async {
        loop {
            match events.recv().await.expect("running resolver") {
                Event::NextHop(next_hop) if next_hop.server == server => return next_hop,
                _ => {}
            }
        }
    });
    let NextHop { mac, answers, .. } = next.await.expect("it is reported");
    (mac, answers)
}

#[test]
fn what_is_known_is_told_whenever_the_servers_change() {
    in_lab(async |_| {
        let (resolver, mut events) = start(&[SERVER]).await;
        expect(&mut events, &[(0, SERVER_MAC)]).await;
        resolver.set_servers([(0, SERVER), (1, NOBODY)]);
        assert_eq!(next_of(1, &mut events).await, (None, false), "a new one that nobody has heard of");
        resolver.set_servers([(0, SERVER)]);
        assert_eq!(next_of(0, &mut events).await, (Some(SERVER_MAC), true), "it may have another name");
        resolver.set_servers([(0, NOBODY)]);
        assert_eq!(next_of(0, &mut events).await, (None, false), "it is another one");
    });
}

#[test]
fn nobody_answers_behind_an_interface_that_is_gone() {
    in_lab(async |_| {
        let (_resolver, mut events) = start(&[SERVER]).await;
        expect(&mut events, &[(0, SERVER_MAC)]).await;
        ip("link delete lb0");
        assert_eq!(next_of(0, &mut events).await, (Some(SERVER_MAC), false));
    });
}

/// The next event that is about the interface; none where it is lost.
async fn next_of_interface(events: &mut mpsc::Receiver<Event>) -> Option<Interface> {
    let next = time::timeout(Duration::from_secs(10), async {
        loop {
            match events.recv().await.expect("running resolver") {
                Event::Interface(interface) => return Some(interface),
                Event::InterfaceLost => return None,
                Event::NextHop(_) => {}
            }
        }
    });
    next.await.expect("it is reported")
}

#[test]
fn a_changed_interface_is_reported() {
    in_lab(async |_| {
        let (_resolver, mut events) = start(&[SERVER]).await;
        expect(&mut events, &[(0, SERVER_MAC)]).await;
        ip("link set lb0 mtu 1400");
        assert_eq!(next_of_interface(&mut events).await.map(|interface| interface.mtu), Some(1400));
    });
}

#[test]
fn an_interface_that_is_made_anew_is_followed() {
    in_lab(async |lab| {
        let (resolver, mut events) = start(&[SERVER]).await;
        expect(&mut events, &[(0, SERVER_MAC)]).await;
        let before = lb0().await.index;
        ip("link delete lb0");
        assert_eq!(next_of_interface(&mut events).await, None);

        lab.wire_servers();
        let now = next_of_interface(&mut events).await.expect("it is back");
        assert!(now.name == "lb0" && now.index != before, "{now:?}");
        until("the entry is managed again", || managed() == [SERVER.to_string()]).await;
        resolver.release().await.expect("release");
        assert_eq!(managed(), [""; 0]);
    });
}

#[test]
fn servers_elsewhere_are_refused() {
    in_lab(async |_| {
        let lb0 = lb0().await;
        let error = async |server| {
            let (sender, _events) = mpsc::channel(1);
            let result = Resolver::start(&lb0, numbered(&[SERVER, server]), sender).await;
            result.err().expect("an error").to_string()
        };
        let elsewhere = error(Ipv4Addr::new(198, 18, 70, 5)).await;
        assert_eq!(
            elsewhere,
            "server 198.18.70.5 is reached by interface \"other0\", not by \"lb0\"; set `interface = \"other0\"`, or give \
             it a route: `ip route add 198.18.70.5 via GATEWAY dev lb0`"
        );
        assert_eq!(
            error(BALANCER).await,
            "server 198.18.50.1 is an address of this host; use a server on another host"
        );
        let nowhere = error(Ipv4Addr::new(198, 18, 99, 1)).await;
        assert!(
            nowhere.starts_with("there is no route to server 198.18.99.1: Network is unreachable"),
            "{nowhere}"
        );
        assert_eq!(managed(), [""; 0]);
    });
}

#[test]
fn interfaces_are_described() {
    in_lab(async |lab| {
        ip("link set lb0 address 02:00:00:00:00:01");
        ip("link set lb0 mtu 1400");
        let lb0 = lb0().await;
        assert_eq!((lb0.name.as_str(), lb0.mac, lb0.mtu), ("lb0", Mac([2, 0, 0, 0, 0, 1]), 1400));
        assert_eq!(lb0.addresses, [(BALANCER, 24)]);
        assert_eq!((lb0.is_up, lb0.has_carrier), (true, true));
        assert_eq!((lb0.driver.as_deref(), lb0.xdp), (Some("veth"), None));

        lab.in_neighbour(|| ip("link set srv0 down"));
        let unplugged = self::lb0().await;
        assert_eq!((unplugged.is_up, unplugged.has_carrier), (true, false));
        ip("link set lb0 down");
        let down = self::lb0().await;
        assert_eq!((down.is_up, down.has_carrier), (false, false));

        for nothing in ["eth7", "a-name-that-is-too-long-for-one"] {
            let error = Interface::lookup(nothing).await;
            assert!(matches!(&error, Err(Error::NoInterface(name)) if name == nothing), "{error:?}");
        }
        assert!(matches!(Interface::lookup("lo").await, Err(Error::NotEthernet(_))));
    });
}
