//! A server of the demonstration, which the user may stop and start.

use lb_lab::{Host, Nginx, Result};

/// nginx on a host, or its absence.
#[derive(Debug)]
pub struct Server {
    host: Host,
    port: u16,
    nginx: Option<Nginx>,
    undisturbed: bool,
}

impl Server {
    /// Starts nginx on a host.
    pub fn start(host: &Host, port: u16) -> Result<Self> {
        Ok(Self { host: host.clone(), port, nginx: Some(Nginx::start(host, port)?), undisturbed: true })
    }

    /// The host's name, which is also the server's.
    pub fn name(&self) -> &str {
        self.host.name()
    }

    /// The number of its process, while it runs.
    pub fn process(&self) -> Option<u32> {
        self.nginx.as_ref().map(Nginx::id)
    }

    /// Whether it has run all the time.
    pub fn is_undisturbed(&self) -> bool {
        self.undisturbed
    }

    /// Notices when somebody ended the process.
    pub fn look(&mut self) {
        if self.nginx.as_mut().is_some_and(|nginx| !nginx.is_running()) {
            self.nginx = None;
            self.undisturbed = false;
        }
    }

    /// Stops it when it runs, and starts it when it does not.
    pub fn toggle(&mut self) -> Result<()> {
        self.undisturbed = false;
        if let Some(nginx) = self.nginx.take() {
            return nginx.stop();
        }
        self.nginx = Some(Nginx::start(&self.host, self.port)?);
        Ok(())
    }
}
