//! A terminal that a person could sit at, by tmux: programs draw on it, keys are pressed, and what is to be
//! seen is read.

use std::path::PathBuf;
use std::process::Command;

use crate::process::output;
use crate::{Error, Host, Process, Result, wait};

/// A terminal on a host. What runs in it is hung up on when this is dropped.
#[derive(Debug)]
pub struct Terminal {
    // First of all, so that tmux ends before its socket's directory can.
    _tmux: Process,
    host: Host,
    socket: PathBuf,
}

impl Terminal {
    /// Opens a terminal of some columns and rows, and runs a shell's command in it, with these variables in its
    /// environment.
    pub fn open(
        host: &Host,
        (columns, rows): (u16, u16),
        environment: &[(&str, String)],
        script: &str,
    ) -> Result<Self> {
        let socket = host.sandbox().file("tmux.sock");
        let mut server = host.command("tmux");
        server.args(["-D", "-u", "-f", "/dev/null", "-S"]).arg(&socket).env("LC_ALL", "C.UTF-8");
        server.envs(environment.iter().map(|(name, value)| (name, value)));
        let tmux = Process::spawn(&mut server)?;
        let terminal = Self { _tmux: tmux, host: host.clone(), socket };
        let (columns, rows) = (columns.to_string(), rows.to_string());
        // Nothing tells when the server listens.
        wait::until("tmux to listen", || {
            let size = ["-d", "-x", &columns, "-y", &rows];
            terminal.ask(&[&["new-session"], &size[..], &["sh", "-c", script]].concat()).ok()
        })?;
        Ok(terminal)
    }

    /// What is to be seen, line by line.
    pub fn screen(&self) -> Result<String> {
        self.ask(&["capture-pane", "-p"])
    }

    /// The same with its colours, as escape sequences of ECMA-48.
    pub fn coloured_screen(&self) -> Result<String> {
        self.ask(&["capture-pane", "-p", "-e"])
    }

    /// Presses keys, as tmux names them: `q`, `Down`, `C-c`.
    pub fn press(&self, keys: &[&str]) -> Result<()> {
        self.ask(&[&["send-keys"], keys].concat()).map(drop)
    }

    /// Gives it another size.
    pub fn resize(&self, (columns, rows): (u16, u16)) -> Result<()> {
        self.ask(&["resize-window", "-x", &columns.to_string(), "-y", &rows.to_string()]).map(drop)
    }

    /// The process that the terminal runs, the shell.
    pub fn shell(&self) -> Result<u32> {
        let text = self.ask(&["display-message", "-p", "#{pane_pid}"])?;
        text.trim().parse().map_err(|error| Error::malformed("tmux", &error))
    }

    /// Whether a program has the whole screen, and not the shell (the terminal's "alternate screen").
    pub fn is_taken(&self) -> Result<bool> {
        Ok(self.ask(&["display-message", "-p", "#{alternate_on}"])?.trim() == "1")
    }

    /// Waits until the screen is as wanted, and returns it.
    pub fn wait_for(&self, what: &str, is_wanted: impl Fn(&str) -> bool) -> Result<String> {
        let found = wait::until(what, || self.screen().ok().filter(|screen| is_wanted(screen)));
        found.map_err(|error| match error {
            Error::Timeout { what, .. } => {
                Error::Timeout { what, context: self.screen().unwrap_or_default() }
            }
            error => error,
        })
    }

    fn ask(&self, words: &[&str]) -> Result<String> {
        let mut command: Command = self.host.command("tmux");
        // It starts no server of its own, which nobody would end.
        output(command.arg("-N").arg("-S").arg(&self.socket).args(words))
    }
}
