//! The side of the command line.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Command, Complaint, OWN_VERB};

/// How long an agent may take: a reload asks the kernel for routes, and no more.
const PATIENCE: Duration = Duration::from_secs(30);

/// The agent cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    /// Nobody listens.
    #[error(
        "no agent at {path}: xlb is not running on this host (or it runs with another --socket); \
         start it with `xlb run`",
        path = .0.display()
    )]
    NotRunning(PathBuf),
    /// The socket belongs to somebody else.
    #[error("{path}: permission denied; use sudo", path = .0.display())]
    NotAllowed(PathBuf),
    /// It does not answer.
    #[error("the agent at {path} does not answer: {source}; look at its log", path = path.display())]
    Failed {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Asks the agent to do something, and returns what it says to that.
pub fn ask(path: &Path, command: &Command) -> Result<Result<(), Complaint>, NoAnswer> {
    let answer = connect(path).and_then(|mut stream| {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(format!("{OWN_VERB} {command}\n").as_bytes())?;
        stream.shutdown(Shutdown::Write)?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        // An agent that ends in the middle has not answered, and an empty answer would mean success.
        if answer.ends_with('\n') { Ok(answer) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    });
    let outcome = |answer: String| match answer.trim_end() {
        "" => Ok(()),
        complaint => Err(Complaint::of(complaint)),
    };
    answer.map(outcome).map_err(|source| {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => NoAnswer::NotRunning(path),
            io::ErrorKind::PermissionDenied => NoAnswer::NotAllowed(path),
            _ => NoAnswer::Failed { path, source },
        }
    })
}

/// Whether an agent listens.
pub(super) fn is_answered(path: &Path) -> bool {
    connect(path).is_ok()
}

fn connect(path: &Path) -> io::Result<UnixStream> {
    UnixStream::connect(path)
}
