//! Who stands in front of the servers.

use std::fmt;
use std::net::SocketAddr;

use lb_lab::config::Config;
use lb_lab::log::Log;
use lb_lab::{Balancer, HaProxy, Lab, Result, Xlb};

/// The name of frontend and backend, and the port of everything.
pub const NAME: &str = "k8s-api-server";
pub const PORT: u16 = 6443;

/// A balancer to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    HaProxy,
    Xlb,
}

/// A balancer that runs; ended when dropped.
pub enum Running {
    HaProxy(HaProxy),
    Xlb(Balancer),
}

impl Peer {
    /// Both.
    pub const ALL: [Self; 2] = [Self::HaProxy, Self::Xlb];

    /// Starts it on the lab's balancer.
    pub fn start(self, lab: &Lab) -> Result<Running> {
        match self {
            Self::HaProxy => HaProxy::start_usual(lab, &[(NAME, PORT, &lab.servers)]).map(Running::HaProxy),
            Self::Xlb => {
                let xlb = Xlb::new(env!("CARGO_BIN_EXE_xlb"), &lab.balancer);
                xlb.start(&xlb_config(lab).to_toml()).map(Running::Xlb)
            }
        }
    }
}

impl Running {
    /// What it writes.
    pub fn log(&self) -> &Log {
        match self {
            Self::HaProxy(haproxy) => haproxy.log(),
            Self::Xlb(balancer) => balancer.log(),
        }
    }
}

/// What clients connect to.
pub fn frontend(lab: &Lab) -> SocketAddr {
    SocketAddr::new(lab.balancer.address().into(), PORT)
}

/// HAProxy's checks, which are xlb's here: every 2 s, `fall 3 rise 2`.
fn xlb_config(lab: &Lab) -> Config {
    Config::new("native").serve(NAME, PORT, lab).with(|config| {
        let two_seconds = || "2s".to_owned();
        let check = &mut config.backend[0].check;
        (check.kind, check.interval, check.timeout) = ("tcp".to_owned(), two_seconds(), two_seconds());
        (check.fall, check.rise) = (3, 2);
    })
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::HaProxy => "HAProxy",
            Self::Xlb => "xlb",
        })
    }
}
