//! Programs that run for the lab.

use std::io;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::log::Log;
use crate::{Error, Result, wait};

/// A program that goes on by itself, is followed through what it writes to stderr, and is killed
/// when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    line: String,
    log: Log,
}

impl Process {
    /// Starts a program. Its stdout is discarded unless the command says otherwise.
    pub fn spawn(command: &mut Command) -> Result<Self> {
        Self::start(command.stdin(Stdio::null()).stdout(Stdio::null()))
    }

    /// Starts a program whose stdout the caller reads.
    pub(crate) fn spawn_reading(command: &mut Command) -> Result<(Self, ChildStdout)> {
        let mut process = Self::start(command.stdin(Stdio::null()).stdout(Stdio::piped()))?;
        let stdout = process.child.stdout.take().expect("stdout was asked for");
        Ok((process, stdout))
    }

    /// Starts a program that the caller talks with, by its stdin and its stdout.
    pub(crate) fn spawn_talking(command: &mut Command) -> Result<(Self, ChildStdin, ChildStdout)> {
        let mut process = Self::start(command.stdin(Stdio::piped()).stdout(Stdio::piped()))?;
        let stdin = process.child.stdin.take().expect("stdin was asked for");
        let stdout = process.child.stdout.take().expect("stdout was asked for");
        Ok((process, stdin, stdout))
    }

    fn start(command: &mut Command) -> Result<Self> {
        let line = describe(command);
        let mut child = command.stderr(Stdio::piped()).spawn().map_err(|error| failed(command, error))?;
        let log = Log::follow(child.stderr.take().expect("stderr was asked for"));
        Ok(Self { child, line, log })
    }

    /// The process's number.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What the program writes to stderr.
    #[must_use]
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Whether the program still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Asks the program to end (SIGTERM), and waits until it does.
    pub fn stop(self) -> Result<ExitStatus> {
        self.signal(Signal::SIGTERM)?;
        self.ended()
    }

    /// Waits until the program ends by itself.
    pub fn ended(mut self) -> Result<ExitStatus> {
        let ended = wait::until(&format!("`{}` to end", self.line), || self.child.try_wait().transpose());
        ended?.map_err(Error::io(format!("wait for `{}`", self.line)))
    }

    /// Ends the program without a chance to clean up (SIGKILL).
    pub fn kill(mut self) -> Result<()> {
        self.signal(Signal::SIGKILL)?;
        self.child.wait().map_err(Error::io(format!("wait for `{}`", self.line)))?;
        Ok(())
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = Pid::from_raw(self.child.id().cast_signed());
        kill(pid, signal).map_err(Error::io(format!("send {signal} to `{}`", self.line)))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only for a process that has ended already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a program to its end and returns what it wrote to stdout; a failure is an error.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| failed(command, error))?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(Error::Command { command: describe(command), status: output.status, output: complaint });
    }
    String::from_utf8(output.stdout).map_err(|error| Error::malformed(describe(command), &error))
}

fn failed(command: &Command, error: io::Error) -> Error {
    if error.kind() == io::ErrorKind::NotFound {
        return Error::Missing(command.get_program().to_string_lossy().into_owned());
    }
    Error::io(format!("run `{}`", describe(command)))(error)
}

fn describe(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
