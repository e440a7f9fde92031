//! The lab's network.
//!
//! ```text
//!  lan-1 … lan-N   bettley fenn gardener   allyrion            routed-1 … routed-M
//!      │              │      │     │          │                      │
//!  ────┴──────────────┴──────┴─────┴──────────┴── 198.18.0.0/24    ──┴── 198.18.16.0/24
//!                       switch                         │             │
//!                                                      └─── router ──┘
//! ```
//!
//! With a narrow link, a second router is in front of the routed clients:
//!
//! ```text
//!  router ── 198.18.32.0/24 ── border ── 198.18.16.0/24 ── routed-1 … routed-M
//! ```

use std::net::Ipv4Addr;
use std::sync::Arc;

use crate::host::{INTERFACE, PREFIX};
use crate::sandbox::Sandbox;
use crate::{Error, Host, Result, runtime, xdp};

/// The bridge of the switch, and the one of the router.
const BRIDGE: &str = "lan";
/// The third byte of the LAN's addresses, of the routed clients', and of a narrow link's.
const LAN: u8 = 0;
const FAR: u8 = 16;
const LINK: u8 = 32;
/// Host number of the first client of each network.
const FIRST_CLIENT: u8 = 101;
/// Makes a router of a host.
const IP_FORWARD: &str = "net/ipv4/ip_forward";
/// How many clients fit into a network.
const MOST_CLIENTS: u8 = 254 - FIRST_CLIENT + 1;

/// The MTU of Ethernet, as most networks have it.
pub const ETHERNET_MTU: u16 = 1500;

/// How many clients the lab has, and how large frames may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Topology {
    /// Clients on the LAN: at most 154.
    pub lan_clients: u8,
    /// Clients behind the router: at most 154.
    pub routed_clients: u8,
    /// The MTU of the servers, of the clients on the LAN, and of their ports. The balancer and the
    /// router have [`ETHERNET_MTU`] in any case.
    pub lan_mtu: u16,
    /// The MTU of a link between the router and the routed clients, which have [`ETHERNET_MTU`]
    /// themselves; without it, they are neighbours of the router.
    pub narrow_link: Option<u16>,
    /// Whether hosts leave to their network cards what these can do: filling in checksums, cutting what
    /// is to be sent into frames, and merging what has come. No card of the lab does any of it, so what
    /// was left travels as it is, as between guests of one machine.
    pub offloads: bool,
}

impl Topology {
    /// Two clients on the LAN and one behind the router, and the MTU of Ethernet everywhere.
    pub const DEFAULT: Self =
        Self { lan_clients: 2, routed_clients: 1, lan_mtu: ETHERNET_MTU, narrow_link: None, offloads: false };
}

impl Default for Topology {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Hosts, a switch and a router, wired up.
///
/// All hosts fill in their checksums and send frames of MTU size, as real network cards do, unless
/// [`Topology::offloads`] are wanted.
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
    /// The router behind the narrow link, if there is one.
    pub border: Option<Host>,
    /// The switch, with one port for each host of the LAN, named after it.
    pub switch: Host,
    /// Attached for as long as the lab is there; with offloads nothing is.
    balancer_port: Option<xdp::Attached>,
}

impl Lab {
    /// Builds the lab. The caller's own namespaces stay as they are.
    pub fn build(topology: Topology) -> Result<Self> {
        runtime::allow_many_files()?;
        let sandbox = Arc::new(Sandbox::create()?);
        let host = |name: &str, number| Host::create(&sandbox, name, address(LAN, number));
        let lab = Self {
            balancer: host("allyrion", 10)?,
            servers: [host("bettley", 11)?, host("fenn", 15)?, host("gardener", 16)?],
            lan_clients: clients(&sandbox, "lan", LAN, topology.lan_clients)?,
            routed_clients: clients(&sandbox, "routed", FAR, topology.routed_clients)?,
            router: host("router", 1)?,
            border: match topology.narrow_link {
                Some(_) => Some(Host::create(&sandbox, "border", address(LINK, 2))?),
                None => None,
            },
            switch: host("switch", 2)?,
            balancer_port: None,
        };
        lab.wire(topology)
    }

    /// Connects the hosts.
    fn wire(mut self, topology: Topology) -> Result<Self> {
        bridge(&self.switch, self.switch.address())?;
        plug(&self.router, &self.switch, ETHERNET_MTU)?;
        self.router.sysctl(IP_FORWARD, "1")?;
        let last_router = self.wire_border(topology.narrow_link)?;
        bridge(last_router, address(FAR, 1))?;
        for host in self.servers.iter().chain(&self.lan_clients) {
            self.wire_to_switch(host, topology.lan_mtu)?;
        }
        for host in &self.routed_clients {
            plug(host, last_router, ETHERNET_MTU)?;
            route(host, LAN, address(FAR, 1))?;
        }
        self.wire_to_switch(&self.balancer, ETHERNET_MTU)?;
        if topology.offloads {
            self.merge_everywhere()?;
        } else {
            self.hosts().try_for_each(|host| offloads_off(host, INTERFACE))?;
            self.balancer_port = Some(prepare_port(&self.switch, self.balancer.name())?);
        }
        Ok(self)
    }

    fn wire_to_switch(&self, host: &Host, mtu: u16) -> Result<()> {
        plug(host, &self.switch, mtu)?;
        route(host, FAR, self.router.address())
    }

    /// Puts a network card without offloads into the balancer that has none, and connects it.
    pub fn put_card_in(&mut self) -> Result<()> {
        self.wire_to_switch(&self.balancer, ETHERNET_MTU)?;
        offloads_off(&self.balancer, INTERFACE)?;
        self.balancer_port = Some(prepare_port(&self.switch, self.balancer.name())?);
        Ok(())
    }

    /// Takes the balancer's network card out: the interface is gone, and with it its addresses and routes.
    pub fn take_card_out(&mut self) -> Result<()> {
        self.balancer_port = None;
        self.switch.run("ip", &["link", "delete", self.balancer.name()]).map(drop)
    }

    /// Turns on what a veth does not do by itself: merging what has come.
    fn merge_everywhere(&self) -> Result<()> {
        let ends = self.hosts().map(|host| (host, INTERFACE));
        let ports = [&self.balancer].into_iter().chain(&self.servers).chain(&self.lan_clients);
        ends.chain(ports.map(|host| (&self.switch, host.name())))
            .try_for_each(|(host, interface)| host.run("ethtool", &["-K", interface, "gro", "on"]).map(drop))
    }

    /// All hosts that are plugged in somewhere.
    fn hosts(&self) -> impl Iterator<Item = &Host> {
        [&self.balancer, &self.router]
            .into_iter()
            .chain(&self.border)
            .chain(&self.servers)
            .chain(self.clients())
    }

    /// Connects the second router, if there is one, and tells which router the routed clients are
    /// neighbours of.
    fn wire_border(&self, mtu: Option<u16>) -> Result<&Host> {
        let (Some(border), Some(mtu)) = (&self.border, mtu) else { return Ok(&self.router) };
        // A bridge with a single port, which takes on its MTU.
        bridge(&self.router, address(LINK, 1))?;
        plug(border, &self.router, mtu)?;
        border.sysctl(IP_FORWARD, "1")?;
        route(&self.router, FAR, border.address())?;
        route(border, LAN, address(LINK, 1))?;
        Ok(border)
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
fn plug(host: &Host, hub: &Host, mtu: u16) -> Result<()> {
    let (port, mac) = (host.name(), host.mac());
    let script = format!(
        "link add {port} mtu {mtu} type veth peer name {INTERFACE} mtu {mtu} address {mac} netns {port}
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
    // A sender that guesses the path's MTU by itself would hide that nobody tells it.
    host.sysctl("net/ipv4/tcp_mtu_probing", "0")
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
