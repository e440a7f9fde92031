//! The demonstration from beginning to end.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::ensure;
use lb_lab::traffic::{Plan, Tally, Traffic};
use lb_lab::{Balancer, Lab, Topology, Xlb, stats::Stats};

use crate::events::{Event, Events};
use crate::screen::Screen;
use crate::server::Server;
use crate::summary::Summary;
use crate::{Options, seed};

const TOPOLOGY: Topology = Topology { lan_clients: 4, routed_clients: 2, ..Topology::DEFAULT };
/// Time between two short connections of a client: 60 a second from all of them.
const INTERVAL: Duration = Duration::from_millis(100);
/// Connections that each client keeps open.
const HELD: usize = 2;

/// The demonstration while it runs.
#[derive(Debug)]
pub struct Demo {
    // Fields are dropped in this order: first who asks, last who answers.
    traffic: Traffic,
    balancer: Balancer,
    servers: Vec<Server>,
    lab: Lab,
    started: Instant,
}

/// Runs the demonstration until its time is over or the user ends it.
pub fn run(options: &Options, events: &Events) -> anyhow::Result<Summary> {
    let mut demo = Demo::start(options)?;
    let screen = Screen::new();
    let end = options.length.map(|length| demo.started + length);
    loop {
        demo.look()?;
        screen.show(&demo)?;
        let next = Instant::now() + screen.pause();
        match events.next(end.map_or(next, |end| end.min(next)))? {
            Event::Time if end.is_some_and(|end| Instant::now() >= end) => break,
            Event::Time => {}
            Event::Toggle(index) => demo.toggle(index)?,
            Event::End => break,
        }
    }
    demo.finish()
}

impl Demo {
    fn start(options: &Options) -> anyhow::Result<Self> {
        let program = options.program()?;
        let lab = Lab::build(TOPOLOGY)?;
        let start = |host| Server::start(host, seed::PORT);
        let servers = lab.servers.iter().map(start).collect::<Result<_, _>>()?;
        let xlb = Xlb::new(program, &lab.balancer);
        let balancer = xlb.start(&seed::config(&xlb, &options.mode)?)?;
        let target = SocketAddr::new(lab.balancer.address().into(), seed::PORT);
        let traffic = Traffic::start(lab.clients(), Plan { target, interval: INTERVAL, held: HELD });
        Ok(Self { traffic, balancer, servers, lab, started: Instant::now() })
    }

    /// The network.
    pub fn lab(&self) -> &Lab {
        &self.lab
    }

    /// The agent.
    pub fn balancer(&self) -> &Balancer {
        &self.balancer
    }

    /// The servers, in the order of the configuration.
    pub fn servers(&self) -> &[Server] {
        &self.servers
    }

    /// What the balancer counted.
    pub fn stats(&self) -> lb_lab::Result<Stats> {
        self.balancer.xlb.stats()
    }

    /// What the clients counted.
    pub fn tally(&self) -> Tally {
        self.traffic.tally()
    }

    /// For how long it has run.
    pub fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// Notices what happened to the processes.
    fn look(&mut self) -> anyhow::Result<()> {
        ensure!(self.balancer.is_running(), "xlb ended by itself:\n{}", self.balancer.log().text());
        self.servers.iter_mut().for_each(Server::look);
        Ok(())
    }

    fn toggle(&mut self, index: usize) -> lb_lab::Result<()> {
        self.servers.get_mut(index).map_or(Ok(()), Server::toggle)
    }

    fn finish(self) -> anyhow::Result<Summary> {
        let length = self.age();
        let tally = self.traffic.stop();
        let log = self.balancer.log().clone();
        let status = self.balancer.stop()?;
        ensure!(status.success(), "xlb ended with {status}:\n{}", log.text());
        Ok(Summary::new(length, tally, &self.servers))
    }
}
