//! HAProxy, as the peer that `xlb` is compared with and migrated from.

use std::net::{Ipv4Addr, SocketAddr};

use crate::log::Log;
use crate::{Error, Host, Lab, Process, Result, http, wait};

/// HAProxy on a host; killed when dropped.
#[derive(Debug)]
pub struct HaProxy {
    process: Process,
}

impl HaProxy {
    /// Starts HAProxy with a configuration, and waits until it accepts connections at `ready`.
    ///
    /// It runs as one process in the foreground, and its configuration must not change the user:
    /// that would undo the order to end with its parent. `log stderr format raw local0` lets
    /// [`log`](Self::log) follow it.
    pub fn start(host: &Host, configuration: &str, ready: SocketAddr) -> Result<Self> {
        // It takes a last line without an end for a file that was cut off.
        let configuration = format!("{configuration}\n");
        let path = host.sandbox().write(&format!("haproxy-{host}.cfg"), &configuration)?;
        // `-db` means neither a background process nor a master with workers.
        let mut process = host.spawn("/usr/sbin/haproxy", &["-db", "-f", &path.to_string_lossy()])?;
        let what = format!("HAProxy to listen at {ready}");
        let outcome = host.inside(|| {
            wait::until(&what, || match http::connect(ready) {
                Ok(_) => Some(true),
                Err(_) if !process.is_running() => Some(false),
                Err(_) => None,
            })
        });
        if outcome? {
            return Ok(Self { process });
        }
        Err(Error::Timeout { what, context: process.log().text() })
    }

    /// Starts HAProxy on the lab's balancer with the configuration that many have for this job, as it is
    /// but for the addresses, where the log goes, and what has no part in this: the statistics page, and
    /// the user that it runs as. Each frontend has a name, a port, and servers with the same port.
    ///
    /// # Panics
    ///
    /// Without any frontend.
    pub fn start_usual(lab: &Lab, frontends: &[(&str, u16, &[Host])]) -> Result<Self> {
        let mut configuration = String::from(
            "global
  maxconn 4096
  log stderr format raw local0 notice

defaults
  log global
",
        );
        for (name, port, servers) in frontends {
            configuration += &usual(name, *port, lab.balancer.address(), servers);
        }
        let (_, port, _) = frontends.first().expect("there is a frontend");
        Self::start(&lab.balancer, &configuration, SocketAddr::new(lab.balancer.address().into(), *port))
    }

    /// What it writes to stderr.
    #[must_use]
    pub fn log(&self) -> &Log {
        self.process.log()
    }

    /// The process's number.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.process.is_running()
    }

    /// Ends it at once (SIGTERM); its connections are closed.
    pub fn stop(self) -> Result<()> {
        self.process.stop().map(drop)
    }
}

/// A frontend and its backend, as the usual configuration has them.
fn usual(name: &str, port: u16, address: Ipv4Addr, servers: &[Host]) -> String {
    let server = |host: &Host| format!("\n  server {host} {}:{port} check fall 3 rise 2", host.address());
    let servers: String = servers.iter().map(server).collect();
    format!(
        "
frontend {name}
  bind {address}:{port}
  mode tcp
  option tcplog
  default_backend {name}

backend {name}
  mode tcp
  timeout connect 10s
  timeout client 86400s
  timeout server 86400s
  balance roundrobin
  option tcp-check{servers}
"
    )
}
