//! Clients on the balancer's own host are balanced without crossing its interface.

use std::net::SocketAddr;
use std::process::{Command, ExitStatus};
use std::thread;

use aya::programs::links::{FdLink, PinnedLink};
use aya::programs::loaded_links;
use lb_lab::curl::{self, Answer};
use lb_lab::stats::Local;
use lb_lab::{Cgroup, Error, Host, Lab, Nginx, Process, Result, Topology, size, wait};

use xlb::config::{Config, Loaded};
use xlb::dataplane::object::{self, Sizes, XLB};
use xlb::dataplane::pins::{LOCAL_LINKS, Pins};
use xlb::local::HostClients;

use crate::stage::{ECHO, ECHO_PORT, EQUAL, Stage, WEB, WEB_PORT, assert_shares, config, lab, xlb};

/// Agents that take over from each other.
const ADOPTIONS: usize = 3;
/// Connections after an event.
const FEW: usize = 30;

/// Connections of each kind of client. One size for CI and in full: even these take seconds.
fn connections() -> usize {
    size::or_less(500)
}

/// A stage whose balancer serves the processes in a cgroup, too.
pub struct Theatre {
    pub stage: Stage,
    // Behind the stage, so that its processes have ended when it goes.
    cgroup: Cgroup,
}

impl Theatre {
    pub fn open(topology: Topology, mode: &str) -> Result<Self> {
        let lab = lab(topology);
        let cgroup = Cgroup::create(&lab.balancer)?;
        let config = config(&lab, mode).host_clients(&cgroup);
        Ok(Self { stage: Stage::set_in(lab, &config)?, cgroup })
    }

    pub fn lab(&self) -> &Lab {
        &self.stage.lab
    }

    /// Connections of the balancer's own clients.
    pub fn fetch(&self, address: SocketAddr, count: usize) -> Result<Vec<Answer>> {
        curl::fetch_in(&self.cgroup, &self.lab().balancer, address, count)
    }

    /// Runs a program of the balancer's own clients to its end.
    fn run(&self, program: &str, arguments: &[&str]) -> Result<ExitStatus> {
        let mut command = self.lab().balancer.command(program);
        let status = self.cgroup.adopt(command.args(arguments)).status();
        status.map_err(Error::io(format!("run {program}")))
    }

    /// Makes a command of the balancer one of its own clients.
    pub fn adopt<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        self.cgroup.adopt(command)
    }

    /// A client on the balancer that connects to the echo servers' frontend, says so, and is then
    /// blocked in `read()` for as long as its connection lasts.
    fn reader(&self) -> Result<Process> {
        let address = self.lab().balancer.address();
        let script = format!("exec 3<>/dev/tcp/{address}/{ECHO_PORT} && echo connected >&2 && exec cat <&3");
        self.holder("bash", &["-c", &script])
    }

    /// The same with an IPv6 socket.
    fn mapped_reader(&self) -> Result<Process> {
        let url = format!("http://{}/", mapped(self.stage.echo()));
        let script = format!("echo connected >&2 && exec curl --silent --show-error --http0.9 '{url}'");
        self.holder("bash", &["-c", &script])
    }

    fn holder(&self, program: &str, arguments: &[&str]) -> Result<Process> {
        let mut command = self.lab().balancer.command(program);
        let process = Process::spawn(self.cgroup.adopt(command.args(arguments)))?;
        process.log().wait_for("connected")?;
        Ok(process)
    }

    /// What is counted of the balancer's own clients at a server.
    fn local(&self, backend: &str, server: &Host) -> Result<Local> {
        let stats = xlb(self.lab()).stats()?;
        let server = stats.servers_of(backend).find(|entry| entry.name == server.name());
        Ok(server.expect("every server has a row").local)
    }
}

/// The same address, as an IPv6 socket connects to it.
pub fn mapped(address: SocketAddr) -> SocketAddr {
    let SocketAddr::V4(v4) = address else { panic!("{address} is no IPv4 address") };
    SocketAddr::new(v4.ip().to_ipv6_mapped().into(), v4.port())
}

pub fn servers(answers: &[Answer]) -> impl Iterator<Item = String> {
    answers.iter().map(|answer| answer.server.clone())
}

/// Asserts that all took the address that they asked for to be their peer.
pub fn assert_peers(answers: &[Answer], address: SocketAddr) {
    for answer in answers {
        assert_eq!(answer.peer, address, "{}", answer.server);
    }
}

#[test]
fn clients_on_the_host_are_balanced_and_see_the_frontend() -> Result<()> {
    let theatre = Theatre::open(Topology::default(), "native")?;
    let web = theatre.stage.web();
    for address in [web, mapped(web)] {
        let answers = theatre.fetch(address, connections())?;
        assert_eq!(answers.len(), connections());
        assert_shares(&curl::tally(servers(&answers)), &EQUAL);
        assert_peers(&answers, address);
    }
    // Not TCP, so it stays what it was.
    let udp = theatre.run("bash", &["-c", &format!("exec 3<>/dev/udp/{}/{}", web.ip(), web.port())])?;
    assert!(udp.success(), "{udp}");

    let stats = xlb(theatre.lab()).stats()?;
    let frontend = stats.frontends.iter().find(|frontend| frontend.name == WEB).expect("it is configured");
    let all = Local { connections: 2 * connections() as u64, current: 0 };
    assert_eq!((frontend.local, frontend.connections), (all, 0), "nothing crosses the interface");
    Ok(())
}

#[test]
fn only_processes_in_the_cgroup_are_balanced_and_with_no_server_none_is() -> Result<()> {
    let mut theatre = Theatre::open(Topology::default(), "native")?;
    let balancer = theatre.lab().balancer.clone();
    let web = theatre.stage.web();
    // As HAProxy would, it listens where the frontend is.
    let own = Nginx::start(&balancer, WEB_PORT)?;

    let outside = curl::tally(curl::fetch(&balancer, web, FEW)?);
    assert_eq!(outside.get(balancer.name()), Some(&FEW), "{outside:?}");
    assert_shares(&curl::tally(servers(&theatre.fetch(web, FEW)?)), &EQUAL);

    for server in &mut theatre.stage.web {
        server.take().expect("it was started").stop()?;
    }
    for (name, _) in EQUAL {
        wait::until("all servers to be DOWN", || {
            (theatre.stage.server(name).ok()?.state == "DOWN").then_some(())
        })?;
    }
    let answers = theatre.fetch(web, FEW)?;
    assert_eq!(curl::tally(servers(&answers)).get(balancer.name()), Some(&FEW), "{answers:?}");
    own.stop()?;
    let refused = theatre.fetch(web, 1).expect_err("nobody listens any more");
    assert!(refused.to_string().contains("Couldn't connect"), "{refused}");
    Ok(())
}

#[test]
fn clients_on_the_host_need_no_agent_and_leave_with_it() -> Result<()> {
    let lab = lab(Topology::default());
    let cgroup = Cgroup::create(&lab.balancer)?;
    let config = config(&lab, "native").host_clients(&cgroup);
    let mut theatre = Theatre { stage: Stage::set_in(lab, &config)?, cgroup };
    let web = theatre.stage.web();

    theatre.stage.take_balancer().kill()?;
    assert_shares(&curl::tally(servers(&theatre.fetch(web, FEW)?)), &EQUAL);

    let xlb = xlb(theatre.lab());
    // Each adopts what its predecessor has left, and replaces the programs.
    let answers = thread::scope(|scope| {
        let client = scope.spawn(|| theatre.fetch(web, connections()));
        for _ in 0..ADOPTIONS {
            let agent = xlb.start_with(&config.to_toml(), &["--on-stop", "keep"])?;
            assert!(agent.stop()?.success());
        }
        client.join().expect("curl's caller does not panic")
    })?;
    assert_shares(&curl::tally(servers(&answers)), &EQUAL);
    assert_peers(&answers, web);

    xlb.output(["detach"])?;
    theatre.fetch(web, 1).expect_err("nobody listens at the frontend's address");

    let agent = xlb.start(&config.to_toml())?;
    assert_shares(&curl::tally(servers(&theatre.fetch(web, FEW)?)), &EQUAL);
    agent.stop()?;
    theatre.fetch(web, 1).expect_err("nobody listens at the frontend's address");
    Ok(())
}

#[test]
fn idle_connections_of_the_host_to_a_silent_server_end_when_it_is_down() -> Result<()> {
    let theatre = Theatre::open(Topology::default(), "native")?;
    let [bettley, fenn, gardener] = &theatre.lab().servers;
    // Round after round, so that each server has one of each kind.
    let mut readers = Vec::new();
    for _ in 0..3 {
        readers.push(theatre.reader()?);
    }
    for number in 1..=3 {
        readers.push(theatre.mapped_reader()?);
        await_local(&theatre, &[bettley, fenn, gardener], 3 + number)?;
    }

    assert_eq!(listed(&theatre)?, [2, 2, 2], "two at each server");

    // The host is gone, and says nothing.
    theatre.lab().switch.run("ip", &["link", "set", fenn.name(), "down"])?;
    for kind in [0..3, 3..6] {
        let ended = wait::until("a reader to end", || {
            readers[kind.clone()].iter_mut().position(|reader| !reader.is_running())
        })?;
        readers[kind.start + ended].log().wait_for("Software caused connection abort")?;
    }

    assert_eq!(theatre.local(ECHO, fenn)?, Local { connections: 2, current: 0 });
    for server in [bettley, gardener] {
        assert_eq!(theatre.local(ECHO, server)?, Local { connections: 2, current: 2 });
    }
    assert_eq!(listed(&theatre)?, [2, 0, 2]);
    assert_eq!(readers.iter_mut().map(Process::is_running).filter(|running| *running).count(), 4);
    Ok(())
}

/// How many connections of the balancer's own clients `xlb connections` lists, by server.
fn listed(theatre: &Theatre) -> Result<[usize; 3]> {
    let connections = xlb(theatre.lab()).connections()?;
    let balancer = theatre.lab().balancer.address();
    let local = connections.iter().filter(|connection| {
        connection.local && connection.frontend == ECHO && connection.client.ip() == balancer
    });
    let servers: Vec<&str> = local.map(|connection| connection.server.as_str()).collect();
    Ok(EQUAL.map(|(name, _)| servers.iter().filter(|server| **server == name).count()))
}

/// Waits until the balancer's own clients have so many connections to the echo servers.
fn await_local(theatre: &Theatre, servers: &[&Host], count: u64) -> Result<()> {
    wait::until(&format!("{count} connections"), || {
        let open: Result<u64> =
            servers.iter().map(|server| theatre.local(ECHO, server).map(|local| local.current)).sum();
        open.map(|open| (open == count).then_some(())).transpose()
    })?
}

#[test]
fn new_programs_take_the_place_of_the_old_ones() -> Result<()> {
    let lab = lab(Topology::default());
    let cgroup = Cgroup::create(&lab.balancer)?;
    let text = config(&lab, "native").host_clients(&cgroup).to_toml();
    let config = Loaded::parse("xlb.toml", &text).expect("a valid configuration").config;
    let directory = lab.balancer.sandbox().bpf().join("alone");
    let (first, second) = lab.balancer.inside(|| {
        let pins = Pins::new(&directory);
        let _claim = pins.claim().expect("nobody else is here");
        (attach(&config, &pins), attach(&config, &pins))
    });
    assert!(first.iter().all(|id| !second.contains(id)), "{first:?} {second:?}");
    // The kernel lets go of a link some time after its last pin.
    wait::until("the old links to be gone", || {
        let links = loaded_links().filter_map(std::result::Result::ok);
        (!links.into_iter().any(|link| first.contains(&link.id()))).then_some(())
    })?;
    Ok(())
}

/// Attaches the programs of a fresh object, and returns the numbers of the links that are pinned then.
fn attach(config: &Config, pins: &Pins) -> Vec<u32> {
    let mut ebpf = object::load(XLB, Sizes::SMALLEST).expect("the kernel takes it");
    HostClients::prepare(config, &mut ebpf).start(&mut ebpf, pins);
    let id = |name| {
        let link = PinnedLink::from_pin(pins.directory().join(name)).expect("it is pinned");
        FdLink::from(link).info().expect("the kernel tells of its links").id()
    };
    LOCAL_LINKS.into_iter().map(id).collect()
}
