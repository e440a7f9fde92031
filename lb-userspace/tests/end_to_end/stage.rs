//! What most tests begin with: a network, servers that answer, and a balancer in front of them.

use std::net::SocketAddr;

use aya::programs::{ProgramInfo, SchedClassifier, TcAttachType};
use aya::util::KernelVersion;
use lb_lab::config::Config;
use lb_lab::curl::Answers;
use lb_lab::echo::Echo;
use lb_lab::stats::Server;
use lb_lab::{Balancer, Host, Lab, Nginx, Result, Topology, Xlb, wait};
use xlb::dataplane::maps::Maps;
use xlb::dataplane::pins::Pins;

/// The frontend that HTTP servers stand behind, and its port.
pub const WEB: &str = "k8s-api-server";
pub const WEB_PORT: u16 = 6443;
/// The frontend that echo servers stand behind, and its port.
pub const ECHO: &str = "echo";
pub const ECHO_PORT: u16 = 7000;

/// A balancer in front of three hosts, which all serve HTTP and echo.
pub struct Stage {
    balancer: Option<Balancer>,
    pub web: [Option<Nginx>; 3],
    _echo: [Echo; 3],
    pub lab: Lab,
}

impl Stage {
    /// Sets the stage, with equal weights.
    pub fn set(topology: Topology, mode: &str) -> Result<Self> {
        let lab = lab(topology);
        let config = config(&lab, mode);
        Self::set_in(lab, &config)
    }

    /// The same with a configuration as a file has it.
    pub fn set_in_with(lab: Lab, config: &str) -> Result<Self> {
        let xlb = xlb(&lab);
        Self::set_all(lab, config, &xlb)
    }

    /// Starts only the HTTP servers.
    pub fn servers(lab: &Lab) -> Result<[Option<Nginx>; 3]> {
        let [first, second, third] = &lab.servers;
        let web = |host| Nginx::start(host, WEB_PORT).map(Some);
        Ok([web(first)?, web(second)?, web(third)?])
    }

    /// Sets the stage in a network that is there already.
    pub fn set_in(lab: Lab, config: &Config) -> Result<Self> {
        let xlb = xlb(&lab);
        Self::set_with(lab, config, &xlb)
    }

    /// The same with a program of the test's own as the balancer.
    pub fn set_with(lab: Lab, config: &Config, xlb: &Xlb) -> Result<Self> {
        Self::set_all(lab, &config.to_toml(), xlb)
    }

    fn set_all(lab: Lab, config: &str, xlb: &Xlb) -> Result<Self> {
        let [first, second, third] = &lab.servers;
        let web = Self::servers(&lab)?;
        let echo = |host| Echo::start(host, ECHO_PORT);
        let echo = [echo(first)?, echo(second)?, echo(third)?];
        let balancer = Some(xlb.start(config)?);
        Ok(Self { balancer, web, _echo: echo, lab })
    }

    /// The agent.
    pub fn balancer(&self) -> &Balancer {
        self.balancer.as_ref().expect("the agent is on the stage")
    }

    /// Takes the agent off the stage, to end it in one way or another.
    pub fn take_balancer(&mut self) -> Balancer {
        self.balancer.take().expect("it is taken once")
    }

    /// Kills the agent, and starts another with this configuration.
    pub fn restart(&mut self, config: &str) -> Result<()> {
        let agent = self.take_balancer();
        let xlb = agent.xlb.clone();
        agent.kill()?;
        self.balancer = Some(xlb.start(config)?);
        Ok(())
    }

    /// Waits until all servers have been checked: until then one failure takes a server down.
    pub fn await_checks(&self) -> Result<()> {
        wait::until("all servers to be checked", || {
            let stats = xlb(&self.lab).stats();
            let all = stats.map(|stats| stats.servers.iter().all(|server| server.check.is_some()));
            all.map(|all| all.then_some(())).transpose()
        })?
    }

    /// What clients connect to for HTTP.
    pub fn web(&self) -> SocketAddr {
        web(&self.lab)
    }

    /// What clients connect to for echo.
    pub fn echo(&self) -> SocketAddr {
        SocketAddr::new(self.lab.balancer.address().into(), ECHO_PORT)
    }

    /// What `xlb stats` tells of an HTTP server.
    pub fn server(&self, name: &str) -> Result<Server> {
        let stats = xlb(&self.lab).stats()?;
        let server = stats.servers_of(WEB).find(|server| server.name == name);
        Ok(server.unwrap_or_else(|| panic!("no server {name} in {stats:?}")).clone())
    }
}

/// Builds a network, or fails with the reason in plain words.
pub fn lab(topology: Topology) -> Lab {
    Lab::build(topology).unwrap_or_else(|error| panic!("{error}"))
}

/// The program under test, on the network's balancer.
pub fn xlb(lab: &Lab) -> Xlb {
    Xlb::new(env!("CARGO_BIN_EXE_xlb"), &lab.balancer)
}

/// Looks into the pinned maps, or changes them.
pub fn in_maps<T: Send>(xlb: &Xlb, look: impl FnOnce(&mut Maps) -> T + Send) -> T {
    let pins = Pins::new(xlb.pins());
    xlb.host().inside(|| {
        let (mut maps, _) = pins.open().expect("a data plane");
        look(&mut maps)
    })
}

/// A configuration for both frontends, with equal weights.
pub fn config(lab: &Lab, mode: &str) -> Config {
    Config::new(mode).serve(WEB, WEB_PORT, lab).serve(ECHO, ECHO_PORT, lab)
}

/// The kernel's digests of the programs on a host's interface, in XDP and in TC.
pub fn programs(host: &Host) -> Vec<String> {
    let filters = host.run("tc", &["filter", "show", "dev", "eth0", "ingress"]).expect("it has an ingress");
    [links(host), tags(&filters)].concat()
}

/// Those of them that links hold, and not filters.
pub fn links(host: &Host) -> Vec<String> {
    let link = host.run("ip", &["-details", "link", "show", "dev", "eth0"]).expect("it has an interface");
    let query = || SchedClassifier::query_tcx("eth0", TcAttachType::Ingress);
    let in_tc = match host.inside(query) {
        Ok((_, programs)) => programs,
        // There are no links in TC before 6.6.
        Err(_) if KernelVersion::current().is_ok_and(|ours| ours < KernelVersion::new(6, 6, 0)) => Vec::new(),
        Err(error) => panic!("the kernel does not tell its links in TC: {error}"),
    };
    // As the kernel prints it: eight bytes in their order.
    let tag = |program: &ProgramInfo| format!("{:016x}", program.tag().swap_bytes());
    tags(&link).into_iter().chain(in_tc.iter().map(tag)).collect()
}

/// The digests in what a command of iproute2 has printed.
fn tags(printed: &str) -> Vec<String> {
    let words: Vec<_> = printed.split_whitespace().collect();
    words.windows(2).filter(|pair| pair[0] == "tag").map(|pair| pair[1].to_owned()).collect()
}

/// What clients connect to for HTTP.
pub fn web(lab: &Lab) -> SocketAddr {
    SocketAddr::new(lab.balancer.address().into(), WEB_PORT)
}

/// Asserts that each server's share is within one connection of its weight's.
pub fn assert_shares(answers: &Answers, weights: &[(&str, usize)]) {
    let connections: usize = answers.values().sum();
    let parts: usize = weights.iter().map(|(_, weight)| weight).sum();
    for (name, weight) in weights {
        let share = answers.get(*name).copied().unwrap_or_default();
        let difference = (share * parts).abs_diff(connections * weight);
        assert!(difference <= parts, "{name} should have {weight} parts of {parts}, but it is {answers:?}");
    }
}

/// The servers with equal weights.
pub const EQUAL: [(&str, usize); 3] = [("bettley", 1), ("fenn", 1), ("gardener", 1)];
