//! nginx as a server that tells its name.

use std::net::{Ipv6Addr, SocketAddr};

use crate::{Host, Process, Result, wait};

/// nginx on a host, answering every request with the host's name.
#[derive(Debug)]
pub struct Nginx {
    process: Process,
}

impl Nginx {
    /// Starts nginx on a port of all the host's addresses, and waits until it accepts connections.
    pub fn start(host: &Host, port: u16) -> Result<Self> {
        let prefix = host.sandbox().file("");
        let configuration =
            host.sandbox().write(&format!("nginx-{host}-{port}.conf"), &configuration(host, port))?;
        let arguments =
            ["-e", "stderr", "-p", &prefix.to_string_lossy(), "-c", &configuration.to_string_lossy()];
        let process = host.spawn("/usr/sbin/nginx", &arguments)?;
        wait::for_listener(host, SocketAddr::new(Ipv6Addr::LOCALHOST.into(), port))?;
        Ok(Self { process })
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

    /// Stops it at once; its connections are closed.
    pub fn stop(self) -> Result<()> {
        self.process.stop().map(drop)
    }

    /// Kills it (SIGKILL), and returns when its kernel has closed its sockets: whoever connects from then
    /// on is refused.
    pub fn kill(self) -> Result<()> {
        self.process.kill()
    }
}

/// One process, no log files, nothing written outside the prefix.
fn configuration(host: &Host, port: u16) -> String {
    format!(
        r#"daemon off;
master_process off;
pid nginx-{host}-{port}.pid;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    client_body_temp_path {host};
    proxy_temp_path {host};
    fastcgi_temp_path {host};
    uwsgi_temp_path {host};
    scgi_temp_path {host};
    keepalive_requests 1000000;
    keepalive_timeout 1d;
    server {{
        listen [::]:{port} ipv6only=off backlog=4096;
        default_type text/plain;
        return 200 "{host}\n";
    }}
}}
"#
    )
}
