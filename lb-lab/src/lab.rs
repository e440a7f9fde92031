//! The lab's network.
//!
//! ```text
//!  lan-1 … lan-N   bettley fenn gardener   allyrion            routed-1 … routed-M
//!      │              │      │     │          │                      │
//!  ────┴──────────────┴──────┴─────┴──────────┴── 198.18.0.0/24    ──┴── 198.18.16.0/24
//!                       switch                         │             │
//!                                                      └─── router ──┘
//! ```

use std::net::Ipv4Addr;
use std::sync::Arc;

use crate::host::INTERFACE;
use crate::sandbox::Sandbox;
use crate::{Error, Host, Result, xdp};

/// The bridge of the switch, and the one of the router.
const BRIDGE: &str = "lan";
/// The third byte of the LAN's addresses, and of the routed clients'.
const LAN: u8 = 0;
const FAR: u8 = 16;
/// Prefix length of both networks.
const PREFIX: u8 = 24;
/// Host number of the first client of each network.
const FIRST_CLIENT: u8 = 101;
/// How many clients fit into a network.
const MOST_CLIENTS: u8 = 254 - FIRST_CLIENT + 1;

/// How many clients the lab has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Topology {
    /// Clients on the LAN: at most 154.
    pub lan_clients: u8,
    /// Clients behind the router: at most 154.
    pub routed_clients: u8,
}

impl Default for Topology {
    fn default() -> Self {
        Self { lan_clients: 2, routed_clients: 1 }
    }
}

/// Hosts, a switch and a router, wired up.
///
/// All hosts fill in their checksums and send frames of MTU size, as real network cards do.
#[derive(Debug)]
pub struct Lab {
    /// `allyrion`, where the balancer is to run.
    pub balancer: Host,
    /// `bettley`, `fenn` and `gardener`.
    pub servers: [Host; 3],
    /// Clients on the LAN, `lan-1` and so on.
    pub lan_clients: Vec<Host>,
    /// Clients behind the router, `routed-1` and so on.
    pub routed_clients: Vec<Host>,
    /// The router between the LAN and the routed clients.
    pub router: Host,
    /// The switch, with one port for each host of the LAN, named after it.
    pub switch: Host,
    /// Attached for as long as the lab is there.
    balancer_port: Option<xdp::Attached>,
}

impl Lab {
    /// Builds the lab. The caller's own namespaces stay as they are.
    pub fn build(topology: Topology) -> Result<Self> {
        let sandbox = Arc::new(Sandbox::create()?);
        let host = |name: &str, number| Host::create(&sandbox, name, address(LAN, number));
        let lab = Self {
            balancer: host("allyrion", 10)?,
            servers: [host("bettley", 11)?, host("fenn", 15)?, host("gardener", 16)?],
            lan_clients: clients(&sandbox, "lan", LAN, topology.lan_clients)?,
            routed_clients: clients(&sandbox, "routed", FAR, topology.routed_clients)?,
            router: host("router", 1)?,
            switch: host("switch", 2)?,
            balancer_port: None,
        };
        lab.wire()
    }

    /// Connects the hosts.
    fn wire(mut self) -> Result<Self> {
        bridge(&self.switch, self.switch.address())?;
        plug(&self.router, &self.switch)?;
        self.router.sysctl("net/ipv4/ip_forward", "1")?;
        bridge(&self.router, address(FAR, 1))?;
        for host in self.servers.iter().chain(&self.lan_clients).chain([&self.balancer]) {
            plug(host, &self.switch)?;
            route(host, FAR, self.router.address())?;
        }
        for host in &self.routed_clients {
            plug(host, &self.router)?;
            route(host, LAN, address(FAR, 1))?;
        }
        self.balancer_port = Some(prepare_port(&self.switch, self.balancer.name())?);
        Ok(self)
    }

    /// All clients, those of the LAN first.
    pub fn clients(&self) -> impl Iterator<Item = &Host> + Clone {
        self.lan_clients.iter().chain(&self.routed_clients)
    }
}

fn address(subnet: u8, number: u8) -> Ipv4Addr {
    Ipv4Addr::new(198, 18, subnet, number)
}

fn clients(sandbox: &Arc<Sandbox>, kind: &str, subnet: u8, count: u8) -> Result<Vec<Host>> {
    assert!(count <= MOST_CLIENTS, "{count} clients do not fit into a network");
    let client = |index| {
        Host::create(sandbox, &format!("{kind}-{}", index + 1), address(subnet, FIRST_CLIENT + index))
    };
    (0..count).map(client).collect()
}

/// Gives a host a bridge with an address, for other hosts to be plugged into.
fn bridge(host: &Host, address: Ipv4Addr) -> Result<()> {
    let script = format!(
        "link add {BRIDGE} type bridge stp_state 0 forward_delay 0 mcast_snooping 0
         address add {address}/{PREFIX} dev {BRIDGE}
         link set {BRIDGE} up"
    );
    ip(host, &script)
}

/// Connects a host to the bridge of another one, by a port that has the host's name.
fn plug(host: &Host, hub: &Host) -> Result<()> {
    let (port, mac) = (host.name(), host.mac());
    let script = format!(
        "link add {port} type veth peer name {INTERFACE} address {mac} netns {port}
         link set {port} master {BRIDGE}
         link set {port} up"
    );
    ip(hub, &script)?;
    let script = format!(
        "link set lo up
         address add {}/{PREFIX} dev {INTERFACE}
         address add {}/64 dev {INTERFACE} nodad
         link set {INTERFACE} up",
        host.address(),
        host.address6()
    );
    ip(host, &script)?;
    offloads_off(host, INTERFACE)
}

/// Makes the switch's port towards the balancer carry the frames that native XDP transmits.
fn prepare_port(switch: &Host, port: &str) -> Result<xdp::Attached> {
    offloads_off(switch, port)?;
    let pass = switch.inside(|| xdp::pass(port)).map_err(Error::io(format!("let frames pass at {port}")))?;
    // A program on a veth turns merging on, and a capture there would show frames that never were.
    switch.run("ethtool", &["-K", port, "gro", "off"])?;
    Ok(pass)
}

/// Makes a veth behave like a wire: frames of MTU size, with their checksums filled in.
fn offloads_off(host: &Host, interface: &str) -> Result<()> {
    host.run("ethtool", &["-K", interface, "tx", "off", "tso", "off", "gso", "off"]).map(drop)
}

fn ip(host: &Host, script: &str) -> Result<()> {
    let path = host.sandbox().write(&format!("{host}.ip"), script)?;
    host.run("ip", &["-batch", &path.to_string_lossy()]).map(drop)
}

/// Tells a host the way to the other network.
fn route(host: &Host, subnet: u8, gateway: Ipv4Addr) -> Result<()> {
    ip(host, &format!("route add {}/{PREFIX} via {gateway}", address(subnet, 0)))
}
