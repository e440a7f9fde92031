//! `xlb` on the lab's balancer.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command, ExitStatus};

use nix::sys::signal::Signal;
use serde::de::DeserializeOwned;

use crate::log::Log;
use crate::process::{Process, output};
use crate::stats::{Connection, Stats};
use crate::{Error, Host, Result};

/// What the agent writes once it forwards.
const READY: &str = "forwarding";

/// The command line of `xlb` on a host, with its pins in the lab's own BPF file system.
#[derive(Debug, Clone)]
pub struct Xlb {
    program: PathBuf,
    host: Host,
}

impl Xlb {
    /// The program at an absolute path, on a host.
    pub fn new(program: impl AsRef<Path>, host: &Host) -> Self {
        Self { program: program.as_ref().to_owned(), host: host.clone() }
    }

    /// The program's path.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// The host that it runs on.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Where it pins its maps, inside the sandbox.
    #[must_use]
    pub fn pins(&self) -> PathBuf {
        self.host.sandbox().bpf().join("xlb")
    }

    /// Where its agent listens for commands, inside the sandbox.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.host.sandbox().file("xlb.sock")
    }

    /// A command with these arguments.
    pub fn command<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let mut command = self.host.command(&self.program);
        command.args(arguments).env("XLB_PINS", self.pins()).env("XLB_SOCKET", self.socket());
        command
    }

    /// Runs it to its end and returns what it wrote to stdout; a failure is an error.
    pub fn output<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Result<String> {
        output(&mut self.command(arguments))
    }

    /// Writes a configuration, for an agent that is started or that reads it again.
    pub fn configure(&self, config: &str) -> Result<PathBuf> {
        self.host.sandbox().write("xlb.toml", config)
    }

    /// Writes a configuration and returns a command that runs the agent with it.
    pub fn agent(&self, config: &str) -> Result<Command> {
        let path = self.configure(config)?;
        Ok(self.command([OsStr::new("run"), OsStr::new("--config"), path.as_os_str()]))
    }

    /// Starts the agent with a configuration in TOML, and waits until it forwards.
    pub fn start(&self, config: &str) -> Result<Balancer> {
        self.start_with(config, &[])
    }

    /// The same with more arguments.
    pub fn start_with(&self, config: &str, arguments: &[&str]) -> Result<Balancer> {
        let balancer = self.launch(config, arguments)?;
        balancer.log().wait_for(READY)?;
        Ok(balancer)
    }

    /// The same without waiting.
    pub fn launch(&self, config: &str, arguments: &[&str]) -> Result<Balancer> {
        let agent = Process::spawn(self.agent(config)?.args(arguments))?;
        Ok(Balancer { xlb: self.clone(), agent })
    }

    /// The same, and hands out the agent's stdout. A pipe holds what is not read, up to 64 KiB.
    pub fn start_reading(&self, config: &str) -> Result<(Balancer, ChildStdout)> {
        let (agent, stdout) = Process::spawn_reading(&mut self.agent(config)?)?;
        agent.log().wait_for(READY)?;
        Ok((Balancer { xlb: self.clone(), agent }, stdout))
    }

    /// What `xlb stats` tells, whether or not an agent runs.
    pub fn stats(&self) -> Result<Stats> {
        self.json("stats", &[])
    }

    /// What `xlb connections` tells, whether or not an agent runs.
    pub fn connections(&self) -> Result<Vec<Connection>> {
        self.connections_where(&[])
    }

    /// The same of those that a filter wants, such as `--server fenn`.
    pub fn connections_where(&self, filter: &[&str]) -> Result<Vec<Connection>> {
        self.json("connections", filter)
    }

    fn json<T: DeserializeOwned>(&self, subject: &str, arguments: &[&str]) -> Result<T> {
        let text = self.output([&[subject, "--json"], arguments].concat())?;
        serde_json::from_str(&text)
            .map_err(|error| Error::malformed(format!("`xlb {subject}`: {text}"), &error))
    }
}

/// A running agent; killed when dropped.
#[derive(Debug)]
pub struct Balancer {
    /// The command line beside it.
    pub xlb: Xlb,
    agent: Process,
}

impl Balancer {
    /// What the agent writes to stderr.
    #[must_use]
    pub fn log(&self) -> &Log {
        self.agent.log()
    }

    /// The agent's process number.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.agent.id()
    }

    /// Whether the agent still runs.
    pub fn is_running(&mut self) -> bool {
        self.agent.is_running()
    }

    /// Has the agent read its configuration again (SIGHUP).
    pub fn hang_up(&self) -> Result<()> {
        self.agent.signal(Signal::SIGHUP)
    }

    /// Asks the agent to end (SIGTERM), and waits until it does.
    pub fn stop(self) -> Result<ExitStatus> {
        self.agent.stop()
    }

    /// Waits until the agent ends by itself.
    pub fn ended(self) -> Result<ExitStatus> {
        self.agent.ended()
    }

    /// Ends the agent without a chance to clean up (SIGKILL). The data plane stays.
    pub fn kill(self) -> Result<()> {
        self.agent.kill()
    }
}
