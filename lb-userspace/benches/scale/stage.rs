//! A lab with an agent in it, as many servers as wanted, and all addresses of the balancer.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use lb_lab::config::{Config, Server};
use lb_lab::echo::Echo;
use lb_lab::{Balancer, Lab, Topology, Xlb};
use xlb::dataplane::object::Sizes;
use xlb::dataplane::pins::Pins;

use crate::case::Case;

/// The one frontend and its backend.
pub const NAME: &str = "scale";
/// The frontend's port, and the first of the servers'.
const PORT: u16 = 6443;
const FIRST_NAT_PORT: u16 = 10_240;
/// The host number of the second of the balancer's addresses; the others follow.
const FIRST_ADDRESS: u8 = 20;

/// The network that the connections' clients are in.
const CLIENTS: &str = "198.18.128.0/17";

const TOPOLOGY: Topology = Topology { lan_clients: 1, routed_clients: 0, ..Topology::DEFAULT };

/// Everything but the traffic.
pub struct Stage {
    agent: Option<Balancer>,
    pub xlb: Xlb,
    pub sizes: Sizes,
    config: String,
    _servers: Vec<Echo>,
    pub lab: Lab,
}

impl Stage {
    /// Starts servers and agent.
    pub fn set(case: Case) -> Result<Self> {
        let lab = Lab::build(TOPOLOGY)?;
        let addresses = addresses(&lab, case.nat_addresses)?;
        // What is sent to clients, which are no hosts of the lab, ends there.
        let nowhere = lab.lan_clients[0].address().to_string();
        lab.balancer.run("ip", &["route", "add", CLIENTS, "via", &nowhere])?;
        let (servers, running) = servers(&lab, case.servers)?;
        let config = Config::new("native").serve(NAME, PORT, &lab).with(|config| {
            let last = FIRST_NAT_PORT + (case.nat_ports - 1);
            config.nat_ports = Some(format!("{FIRST_NAT_PORT}-{last}"));
            config.nat_addresses = addresses;
            config.max_servers = Some(case.servers.into());
            // So that the agent looks through the slots for what has expired; it is never reached.
            config.frontend[0].max_connections = Some(u32::MAX);
            config.backend[0].server = servers;
            // A machine that is busy with packets must not look like servers that are down.
            let check = &mut config.backend[0].check;
            (check.interval, check.timeout, check.fall) = ("2s".into(), "2s".into(), 10);
        });
        let config = config.to_toml();
        let loaded =
            xlb::config::Loaded::parse("xlb.toml", &config).map_err(|wrong| anyhow::anyhow!("{wrong}"))?;
        let xlb = Xlb::new(env!("CARGO_BIN_EXE_xlb"), &lab.balancer);
        let agent = Some(xlb.start(&config)?);
        let sizes = xlb::plan::sizes(&loaded.config);
        Ok(Self { agent, xlb, sizes, config, _servers: running, lab })
    }

    /// Kills the agent and starts another, which adopts what is there. Returns how long that took it.
    pub fn restart(&mut self) -> Result<Duration> {
        self.agent.take().context("there is an agent")?.kill()?;
        let began = Instant::now();
        self.agent = Some(self.xlb.start(&self.config)?);
        Ok(began.elapsed())
    }

    /// The agent's process number.
    pub fn agent(&self) -> Result<u32> {
        Ok(self.agent.as_ref().context("there is an agent")?.id())
    }

    /// The pins, which only the balancer's host sees.
    pub fn pins(&self) -> Pins {
        Pins::new(self.xlb.pins())
    }
}

/// Gives the balancer so many addresses, its own among them.
fn addresses(lab: &Lab, count: u8) -> Result<Vec<String>> {
    let mut addresses = vec![lab.balancer.address()];
    for number in 1..count {
        addresses.push(lab.balancer.add_address(FIRST_ADDRESS + number)?);
    }
    Ok(addresses.iter().map(ToString::to_string).collect())
}

/// So many servers, on the hosts in turns, each at a port of its own; and what listens there.
fn servers(lab: &Lab, count: u8) -> Result<(Vec<Server>, Vec<Echo>)> {
    let mut servers = Vec::new();
    let mut running = Vec::new();
    for number in 0..count {
        let host = &lab.servers[usize::from(number) % lab.servers.len()];
        let port = PORT + u16::from(number);
        running.push(Echo::start(host, port)?);
        servers.push(Server {
            name: format!("{host}-{number}"),
            address: format!("{}:{port}", host.address()),
            weight: 1,
            backup: false,
            slow_start: None,
        });
    }
    Ok((servers, running))
}
