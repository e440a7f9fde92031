//! HAProxy, as the peer that `xlb` is compared with and migrated from.

use std::net::SocketAddr;

use crate::log::Log;
use crate::{Error, Host, Process, Result, http, wait};

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
