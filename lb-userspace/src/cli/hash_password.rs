//! `xlb hash-password`: what stands in the configuration in place of a password.

use std::io::{self, BufRead, IsTerminal, Write, stderr, stdin, stdout};

use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};

use super::Error;
use crate::config::account;

/// Read a password from the terminal, or a line from standard input, and print its hash for `stats.auth`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The user; the whole of `user:hash` is printed then
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
}

/// Asks for the password, twice if a person types it.
pub fn run(args: &Args) -> Result<(), Error> {
    let password = if stdin().is_terminal() { typed()? } else { line()? };
    if password.is_empty() {
        return Err(Error::Password("it is empty".to_owned()));
    }
    let hash = account::hash(password.as_bytes()).map_err(|error| Error::Password(error.to_string()))?;
    let prefix = args.user.as_ref().map_or(String::new(), |user| format!("{user}:"));
    Ok(writeln!(stdout(), "{prefix}{hash}")?)
}

fn typed() -> Result<String, Error> {
    let silence = Silence::begin()?;
    let first = asked("Password: ")?;
    let again = asked("Again: ")?;
    drop(silence);
    if first == again { Ok(first) } else { Err(Error::Password("the second was another one".to_owned())) }
}

fn asked(question: &str) -> io::Result<String> {
    write!(stderr(), "{question}")?;
    let line = line();
    writeln!(stderr())?;
    line
}

fn line() -> io::Result<String> {
    let mut line = String::new();
    stdin().lock().read_line(&mut line)?;
    Ok(line.trim_end_matches(['\n', '\r']).to_owned())
}

/// Keeps a terminal from showing what is typed, until dropped.
struct Silence {
    before: Termios,
}

impl Silence {
    fn begin() -> io::Result<Self> {
        let before = tcgetattr(stdin()).map_err(io::Error::from)?;
        let mut silent = before.clone();
        silent.local_flags.remove(LocalFlags::ECHO);
        tcsetattr(stdin(), SetArg::TCSAFLUSH, &silent).map_err(io::Error::from)?;
        Ok(Self { before })
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing.
        let _ = tcsetattr(stdin(), SetArg::TCSAFLUSH, &self.before);
    }
}
