//! The host whose traffic is measured, and its network.

use std::fs;
use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use aya::Ebpf;
use lb_lab::config::Config;
use lb_lab::host::INTERFACE;
use lb_lab::{Balancer, Host, Lab, Nginx, Process, Topology, Xlb, wait};

use crate::mode::Mode;
use crate::native_driver;
use crate::snmp;
use crate::support::cpu;

const TOPOLOGY: Topology =
    Topology { lan_clients: 1, routed_clients: 0, offloads: true, ..Topology::DEFAULT };

/// The frontend that xlb serves meanwhile, and that nobody connects to.
const FRONTEND: &str = "k8s-api-server";
const FRONTEND_PORT: u16 = 6443;
/// The host's own services.
const WEB_PORT: u16 = 80;
const BULK_PORT: u16 = 5201;
/// HAProxy's interval between two checks of a server.
const CHECK_INTERVAL: &str = "2s";
/// What counts the packets that xlb let pass for their port.
const PASSED: &str = "other_port";

/// A host with a web server and a sink for bytes, a client, and servers for xlb to check.
pub struct Site {
    lab: Lab,
    _native_driver: Option<Ebpf>,
    _servers: Vec<Nginx>,
    _web: Nginx,
    _bulk: Process,
}

/// xlb, attached to the host's interface.
pub struct Attached {
    agent: Balancer,
    /// What the host had received before.
    received: Received,
}

/// What a host's IP has been given since it was made. Packets that GRO has merged are one.
#[derive(Clone, Copy, Debug)]
pub struct Received {
    pub packets: u64,
    pub bytes: u64,
}

impl Site {
    /// Builds it all, with a driver in the host that has native XDP or has not. The host's services have a
    /// CPU of their own.
    pub fn build(has_native_driver: bool) -> Result<Self> {
        let lab = Lab::build(TOPOLOGY)?;
        let native_driver = make_cards(&lab, has_native_driver)?;
        let servers = lab.servers.iter().map(|host| Nginx::start(host, FRONTEND_PORT));
        let servers = servers.collect::<lb_lab::Result<_>>()?;
        let host = &lab.balancer;
        let web = Nginx::start(host, WEB_PORT)?;
        host.run("taskset", &["-pc", cpu::SERVER, &web.id().to_string()])?;
        let port = BULK_PORT.to_string();
        let bulk = host.spawn("taskset", &["-c", cpu::SERVER, "iperf3", "-s", "-p", &port])?;
        wait::for_listener(host, SocketAddr::new(host.address().into(), BULK_PORT))?;
        Ok(Self { lab, _native_driver: native_driver, _servers: servers, _web: web, _bulk: bulk })
    }

    /// Who uses the host's services.
    pub fn client(&self) -> &Host {
        &self.lab.lan_clients[0]
    }

    /// The host's web server.
    pub fn web(&self) -> SocketAddr {
        SocketAddr::new(self.lab.balancer.address().into(), WEB_PORT)
    }

    /// The host's sink.
    pub fn bulk(&self) -> SocketAddr {
        SocketAddr::new(self.lab.balancer.address().into(), BULK_PORT)
    }

    /// What the host has received.
    pub fn received(&self) -> Result<Received> {
        let read = |file: &str| fs::read_to_string(format!("/proc/thread-self/net/{file}"));
        let read = || Ok::<_, std::io::Error>((read("snmp")?, read("netstat")?));
        let (snmp, netstat) = self.lab.balancer.inside(read).context("read the host's counters")?;
        let packets = snmp::counter(&snmp, "Ip", "InReceives").context("the kernel counts packets")?;
        let bytes = snmp::counter(&netstat, "IpExt", "InOctets").context("the kernel counts bytes")?;
        Ok(Received { packets, bytes })
    }

    /// Starts xlb on the host.
    pub fn attach(&self, mode: Mode) -> Result<Attached> {
        let config = Config::new(mode.name()).serve(FRONTEND, FRONTEND_PORT, &self.lab).with(|config| {
            CHECK_INTERVAL.clone_into(&mut config.backend[0].check.interval);
        });
        let agent = Xlb::new(env!("CARGO_BIN_EXE_xlb"), &self.lab.balancer).start(&config.to_toml())?;
        Ok(Attached { agent, received: self.received()? })
    }

    /// Ends xlb, once it is proved that the host's traffic went by it.
    pub fn detach(&self, attached: Attached) -> Result<()> {
        let Attached { agent, received } = attached;
        let passed = agent.xlb.stats()?.reasons.get(PASSED).copied().unwrap_or_default();
        let received = self.received()?.packets - received.packets;
        // The others are those of its own checks.
        ensure!(passed > received / 10 * 9, "xlb saw {passed} of the {received} packets that came");
        let status = agent.stop()?;
        ensure!(status.success(), "xlb ended with {status}");
        Ok(())
    }
}

/// Makes network cards of the veths between client and host: they fill in checksums, and merge what comes,
/// but carry nothing larger than the MTU. The switch merges nothing.
fn make_cards(lab: &Lab, has_native_driver: bool) -> Result<Option<Ebpf>> {
    let client = &lab.lan_clients[0];
    let port = client.name();
    let native_driver = has_native_driver.then(|| native_driver::pretend(&lab.switch, port)).transpose()?;
    for host in [&lab.balancer, client] {
        host.run("ethtool", &["-K", INTERFACE, "tso", "off", "gro", "on"])?;
        // After the program, which turns merging on.
        lab.switch.run("ethtool", &["-K", host.name(), "tso", "off", "gro", "off"])?;
    }
    // What a host receives is that host's work from the wire on.
    lab.switch.handle_on(client.name(), cpu::SERVER.parse()?)?;
    lab.switch.handle_on(lab.balancer.name(), cpu::CLIENT.parse()?)?;
    Ok(native_driver)
}
