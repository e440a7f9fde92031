//! A receiver of syslog's datagrams, and rsyslog itself.

use std::io::{self, Read};
use std::net::{Shutdown, SocketAddr};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use crate::log::Log;
use crate::{Error, Host, Process, Result, wait};

/// A socket of syslog's on a host, whose datagrams are kept as they come. It is gone when this is dropped.
#[derive(Debug)]
pub struct Syslog {
    host: Host,
    path: PathBuf,
    socket: UnixDatagram,
    log: Log,
}

impl Syslog {
    /// Opens a socket of this name, inside the sandbox.
    pub fn open(host: &Host, name: &str) -> Result<Self> {
        let path = host.sandbox().file(name);
        let open = || -> io::Result<_> {
            let socket = UnixDatagram::bind(&path)?;
            let reader = socket.try_clone()?;
            Ok((socket, reader))
        };
        let (socket, reader) = host.inside(open).map_err(Error::io(format!("open {}", path.display())))?;
        Ok(Self { host: host.clone(), path, socket, log: Log::follow(Datagrams(reader)) })
    }

    /// Where it is, inside the sandbox.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What has come, as one text: each datagram ends its line itself.
    #[must_use]
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Waits for the line about a client's connection.
    pub fn line_of(&self, client: SocketAddr) -> Result<String> {
        let begin = format!(": {client} ");
        wait::until(&format!("a line of {client}"), || {
            self.log.text().lines().find(|line| line.contains(&begin)).map(ToOwned::to_owned)
        })
    }
}

impl Drop for Syslog {
    fn drop(&mut self) {
        // Wakes the reader. Both fail only for what is gone already.
        let _ = self.socket.shutdown(Shutdown::Both);
        let _ = self.host.inside(|| std::fs::remove_file(&self.path));
    }
}

/// Datagrams as a stream.
struct Datagrams(UnixDatagram);

impl Read for Datagrams {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // Lines are far shorter than a reader's buffer.
        self.0.recv(buffer)
    }
}

/// rsyslog on a host, with a socket of its own and one rule; killed when dropped.
#[derive(Debug)]
pub struct Rsyslog {
    host: Host,
    _process: Process,
    file: PathBuf,
}

impl Rsyslog {
    /// Starts it with a socket at `socket`, inside the sandbox, and a rule that says what goes to the file whose
    /// path stands where the rule has `FILE`. It is there when its socket is.
    pub fn start(host: &Host, socket: &Path, rule: &str) -> Result<Self> {
        let file = host.sandbox().file(&format!("rsyslog-{host}.log"));
        let configuration = format!(
            "module(load=\"imuxsock\" SysSock.Use=\"off\")
input(type=\"imuxsock\" Socket=\"{}\" CreatePath=\"off\")
{}
",
            socket.display(),
            rule.replace("FILE", &file.display().to_string())
        );
        let configuration = host.sandbox().write(&format!("rsyslog-{host}.conf"), &configuration)?;
        let configuration = configuration.display().to_string();
        // In the foreground, and without a file that says which process it is.
        let arguments = ["-n", "-i", "NONE", "-f", &configuration];
        let process = host.spawn("/usr/sbin/rsyslogd", &arguments)?;
        wait::until(&format!("a socket at {}", socket.display()), || {
            host.inside(|| socket.exists()).then_some(())
        })?;
        Ok(Self { host: host.clone(), _process: process, file })
    }

    /// The file that its rule writes, inside the sandbox.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Waits until the file has a line with this text, and returns all of it.
    pub fn wait_for(&self, text: &str) -> Result<String> {
        wait::until(&format!("a line with {text} in {}", self.file.display()), || {
            let content = self.host.inside(|| std::fs::read_to_string(&self.file)).ok()?;
            content.contains(text).then_some(content)
        })
    }
}
