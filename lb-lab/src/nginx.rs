//! nginx as a server that tells its name.

use std::net::{Ipv6Addr, SocketAddr};

use crate::{Certified, Error, Host, Process, Result, wait};

/// nginx on a host, answering every request with the host's name.
#[derive(Debug)]
pub struct Nginx {
    process: Process,
}

impl Nginx {
    /// Starts nginx on a port of all the host's addresses, and waits until it accepts connections.
    pub fn start(host: &Host, port: u16) -> Result<Self> {
        Self::start_with(host, port, "", &format!("return 200 \"{host}\\n\";"))
    }

    /// The same over TLS with a certificate, for requests for `/readyz` only. They are answered with
    /// 200, and with 500 while the host [is unwell](Self::set_unwell), and are logged.
    pub fn start_tls(host: &Host, port: u16, certified: &Certified) -> Result<Self> {
        let write = |kind: &str, content: &str| {
            let path = host.sandbox().write(&format!("nginx-{host}-{port}.{kind}"), content)?;
            Ok(path.display().to_string())
        };
        let (certificate, key) = (write("crt", &certified.certificate)?, write("key", &certified.key)?);
        let (log, unwell) = (write("log", "")?, host.sandbox().file(&unwell(host)).display().to_string());
        let settings = format!(
            "ssl_certificate {certificate};
        ssl_certificate_key {key};
        access_log {log};
        location = /readyz {{
            if (-f {unwell}) {{ return 500 \"unwell\\n\"; }}
            return 200 \"{host}\\n\";
        }}
        location / {{ return 404; }}",
        );
        Self::start_with(host, port, "ssl", &settings)
    }

    /// Makes a host's servers over TLS unwell from now on.
    pub fn set_unwell(host: &Host) -> Result<()> {
        host.sandbox().write(&unwell(host), "").map(drop)
    }

    /// The lines that a server over TLS has written about its requests.
    pub fn requests(host: &Host, port: u16) -> Result<String> {
        let path = host.sandbox().file(&format!("nginx-{host}-{port}.log"));
        let read = host.sandbox().inside(|| std::fs::read_to_string(&path));
        read.map_err(Error::io(format!("read {}", path.display())))
    }

    fn start_with(host: &Host, port: u16, option: &str, settings: &str) -> Result<Self> {
        let prefix = host.sandbox().file("");
        let configuration = configuration(host, port, option, settings);
        let configuration = host.sandbox().write(&format!("nginx-{host}-{port}.conf"), &configuration)?;
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

/// The file that makes a host unwell by being there.
fn unwell(host: &Host) -> String {
    format!("unwell-{host}")
}

/// One process, no log files, nothing written outside the prefix.
fn configuration(host: &Host, port: u16, option: &str, settings: &str) -> String {
    format!(
        "daemon off;
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
        listen [::]:{port} {option} ipv6only=off backlog=4096;
        default_type text/plain;
        {settings}
    }}
}}
"
    )
}
