//! Who stands in front of the servers.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::Result;
use lb_lab::config::Config;
use lb_lab::{Balancer, HaProxy, Host, Lab, Nginx, Process, Xlb, wait};

use crate::memory::{self, Memory};
use crate::support::cpu;

/// The frontend of all servers, and the one of a single server that bulk goes to: iperf3 opens several
/// connections that belong together.
const WEB: &str = "web";
const BULK: &str = "bulk";
const WEB_PORT: u16 = 6443;
const BULK_PORT: u16 = 5201;

/// nginx's module for TCP, which Debian has in a package of its own.
const STREAM_MODULE: &str = "/usr/lib/nginx/modules/ngx_stream_module.so";

/// A balancer, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Peer {
    /// Clients connect to a server.
    Nobody,
    HaProxy,
    Nginx,
    Nftables,
    /// By the mode that it is attached in.
    Xlb(&'static str),
}

/// The servers that all peers stand before.
pub struct Servers {
    _web: Vec<Nginx>,
    _bulk: Process,
}

/// A balancer that runs; ended when dropped.
pub enum Running {
    Nothing,
    HaProxy(HaProxy),
    Process(Process),
    Xlb(Balancer),
}

impl Running {
    /// What it keeps in memory; none where that is the kernel's own.
    pub fn memory(&self) -> Result<Option<Memory>> {
        let (process, maps) = match self {
            Self::Nothing => return Ok(None),
            Self::HaProxy(process) => (process.id(), 0),
            Self::Process(process) => (process.id(), 0),
            Self::Xlb(agent) => (agent.id(), agent.xlb.stats()?.memory_bytes),
        };
        Ok(Some(Memory { processes: memory::of_processes(process)?, maps }))
    }
}

impl Servers {
    /// Starts them, on a CPU of their own.
    pub fn start(lab: &Lab) -> Result<Self> {
        let mut web = Vec::new();
        for host in &lab.servers {
            let nginx = Nginx::start(host, WEB_PORT)?;
            host.run("taskset", &["-pc", cpu::SERVER, &nginx.id().to_string()])?;
            web.push(nginx);
        }
        let port = BULK_PORT.to_string();
        let host = &lab.servers[0];
        let bulk = host.spawn("taskset", &["-c", cpu::SERVER, "iperf3", "-s", "-p", &port])?;
        wait::for_listener(host, SocketAddr::new(host.address().into(), BULK_PORT))?;
        Ok(Self { _web: web, _bulk: bulk })
    }
}

impl Peer {
    /// All of them, in the order of the tables.
    pub const ALL: [Self; 7] = [
        Self::Nobody,
        Self::HaProxy,
        Self::Nginx,
        Self::Nftables,
        Self::Xlb("native"),
        Self::Xlb("generic"),
        Self::Xlb("tc"),
    ];

    /// Why this machine cannot have it.
    pub fn is_missing(self) -> Option<&'static str> {
        let is_missing = self == Self::Nginx && !Path::new(STREAM_MODULE).exists();
        is_missing.then_some("nginx has no stream module here (package libnginx-mod-stream)")
    }

    /// Starts it on the lab's balancer.
    pub fn start(self, lab: &Lab) -> Result<Running> {
        Ok(match self {
            Self::Nobody => Running::Nothing,
            Self::HaProxy => {
                let frontends = [(WEB, WEB_PORT, &lab.servers[..]), (BULK, BULK_PORT, &lab.servers[..1])];
                Running::HaProxy(HaProxy::start_usual(lab, &frontends)?)
            }
            Self::Nginx => Running::Process(nginx(lab)?),
            Self::Nftables => {
                nftables(lab)?;
                Running::Nothing
            }
            Self::Xlb(mode) => {
                let xlb = Xlb::new(env!("CARGO_BIN_EXE_xlb"), &lab.balancer);
                let config = Config::new(mode).serve(WEB, WEB_PORT, lab).serve(BULK, BULK_PORT, lab);
                let config = config.with(|config| config.backend[1].server.truncate(1));
                Running::Xlb(xlb.start(&config.to_toml())?)
            }
        })
    }

    /// What clients connect to for requests.
    pub fn web(self, lab: &Lab) -> SocketAddr {
        SocketAddr::new(self.host(lab).address().into(), WEB_PORT)
    }

    /// And for bulk.
    pub fn bulk(self, lab: &Lab) -> SocketAddr {
        SocketAddr::new(self.host(lab).address().into(), BULK_PORT)
    }

    fn host(self, lab: &Lab) -> &Host {
        if self == Self::Nobody { &lab.servers[0] } else { &lab.balancer }
    }
}

/// nginx as a TCP proxy, with the defaults of its documentation.
fn nginx(lab: &Lab) -> Result<Process> {
    let host = &lab.balancer;
    let upstream = |servers: &[Host], port| {
        let servers = servers.iter().map(|server| format!("server {}:{port};", server.address()));
        servers.collect::<Vec<_>>().join(" ")
    };
    let configuration = format!(
        "load_module {STREAM_MODULE};
daemon off;
pid nginx-peer.pid;
worker_processes auto;
user root;
events {{ worker_connections 8192; }}
stream {{
    upstream {WEB} {{ {} }}
    upstream {BULK} {{ {} }}
    server {{ listen {}:{WEB_PORT} backlog=4096; proxy_pass {WEB}; }}
    server {{ listen {}:{BULK_PORT}; proxy_pass {BULK}; }}
}}
",
        upstream(&lab.servers, WEB_PORT),
        upstream(&lab.servers[..1], BULK_PORT),
        host.address(),
        host.address(),
    );
    let path = host.sandbox().write("nginx-peer.conf", &configuration)?;
    let prefix = host.sandbox().file("");
    // Its workers end with it, however it ends: it is the first process of a namespace of its own.
    let own = ["--pid", "--fork", "--kill-child", "/usr/sbin/nginx"];
    let arguments = ["-e", "stderr", "-p", &prefix.to_string_lossy(), "-c", &path.to_string_lossy()];
    let process = host.spawn("unshare", &[&own[..], &arguments[..]].concat())?;
    wait::for_listener(host, SocketAddr::new(host.address().into(), WEB_PORT))?;
    Ok(process)
}

/// The kernel's own NAT: servers in turns, and our address towards them.
fn nftables(lab: &Lab) -> Result<()> {
    let host = &lab.balancer;
    let [first, second, third] = &lab.servers;
    let rules = format!(
        "table ip balance {{
    chain prerouting {{
        type nat hook prerouting priority dstnat;
        ip daddr {address} tcp dport {WEB_PORT} dnat to numgen inc mod 3 map {{ 0 : {}, 1 : {}, 2 : {} }}
        ip daddr {address} tcp dport {BULK_PORT} dnat to {}
    }}
    chain postrouting {{
        type nat hook postrouting priority srcnat;
        ct status dnat masquerade
    }}
}}
",
        first.address(),
        second.address(),
        third.address(),
        first.address(),
        address = host.address(),
    );
    let path = host.sandbox().write("balance.nft", &rules)?;
    host.run("nft", &["-f", &path.to_string_lossy()])?;
    host.sysctl("net/ipv4/ip_forward", "1")?;
    // The host and its clients are on one network, and a redirect would lead them past it.
    for scope in ["all", "eth0"] {
        host.sysctl(&format!("net/ipv4/conf/{scope}/send_redirects"), "0")?;
    }
    Ok(())
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nobody => f.write_str("no balancer"),
            Self::HaProxy => f.write_str("HAProxy"),
            Self::Nginx => f.write_str("nginx stream"),
            Self::Nftables => f.write_str("nftables NAT"),
            Self::Xlb(mode) => write!(f, "xlb, {mode}"),
        }
    }
}
