//! The side of the agent.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

use super::{Command, Complaint, LONGEST, client};
use crate::kind::Kind;

/// How long a client may take to say what it wants.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long the agent waits before it accepts again after it could not.
const PAUSE: Duration = Duration::from_millis(100);

/// A client's command, and where its answer goes.
#[derive(Debug)]
pub struct Request {
    /// What is asked for.
    pub command: Command,
    /// Where the answer goes.
    pub answer: oneshot::Sender<Result<(), Complaint>>,
}

/// Listens until it is dropped; the socket's file goes with it.
#[derive(Debug)]
pub struct Listener {
    path: PathBuf,
    inode: Option<u64>,
    _task: JoinSet<()>,
}

/// The socket cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another agent listens.
    #[error(
        "another agent listens on the control socket {path}; stop it first, or choose another one for this \
         agent with --socket",
        path = .0.display()
    )]
    Taken(PathBuf),
    /// Something else.
    #[error("cannot make the control socket {path}: {source}; choose another place with --socket", path = path.display())]
    Failed {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Listener {
    /// Listens at `path`, where nobody but the owner may connect. The file of an agent that is gone
    /// is replaced. Must be called in a tokio runtime.
    pub fn bind(path: &Path, requests: mpsc::Sender<Request>) -> Result<Self, BindError> {
        let failed = |source| BindError::Failed { path: path.to_owned(), source };
        if client::is_answered(path) {
            return Err(BindError::Taken(path.to_owned()));
        }
        make_room(path).map_err(failed)?;
        let listener = bind_private(path).map_err(failed)?;
        let inode = inode(path);
        let task = JoinSet::from_iter([accept(listener, requests)]);
        Ok(Self { path: path.to_owned(), inode, _task: task })
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // It may be another agent's by now.
        if self.inode == inode(&self.path)
            && let Err(error) = fs::remove_file(&self.path)
        {
            warn!("{}: {error}", self.path.display());
        }
    }
}

/// Makes the directory, and removes the socket of an agent that is gone.
fn make_room(path: &Path) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    match fs::symlink_metadata(path) {
        Ok(metadata) if is_socket(&metadata) => fs::remove_file(path),
        // A file that somebody else made is not ours to remove.
        Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn is_socket(metadata: &fs::Metadata) -> bool {
    metadata.file_type().is_socket()
}

/// Listens only once the file has its mode: before that, nobody can connect.
fn bind_private(path: &Path) -> io::Result<UnixListener> {
    const BACKLOG: i32 = 16;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&SockAddr::unix(path)?)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    UnixListener::from_std(OwnedFd::from(socket).into())
}

fn inode(path: &Path) -> Option<u64> {
    fs::symlink_metadata(path).ok().map(|metadata| metadata.ino())
}

async fn accept(listener: UnixListener, requests: mpsc::Sender<Request>) {
    let mut clients = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                clients.spawn(serve(stream, requests.clone()));
            }
            Err(error) => {
                warn!("control socket: {error}");
                sleep(PAUSE).await;
            }
        }
        while clients.try_join_next().is_some() {}
    }
}

async fn serve(stream: UnixStream, requests: mpsc::Sender<Request>) {
    if let Err(error) = converse(stream, requests).await {
        debug!("control socket: {error}");
    }
}

/// Reads one command and writes the answer.
async fn converse(mut stream: UnixStream, requests: mpsc::Sender<Request>) -> io::Result<()> {
    let (reader, mut writer) = stream.split();
    let mut line = String::new();
    timeout(PATIENCE, BufReader::new(reader.take(LONGEST)).read_line(&mut line)).await??;
    if line.trim().is_empty() {
        // Somebody has only looked whether there is an agent.
        return Ok(());
    }
    let outcome = match line.parse::<Command>() {
        Ok(command) => ask(command, requests).await,
        Err(error) => Err(Complaint::wrong(error)),
    };
    let answer = outcome.map_or_else(|complaint| complaint.to_line(), |()| String::new());
    // HAProxy ends an answer with an empty line.
    writer.write_all(format!("{answer}\n").as_bytes()).await
}

async fn ask(command: Command, requests: mpsc::Sender<Request>) -> Result<(), Complaint> {
    let (answer, answered) = oneshot::channel();
    let ending = || Complaint { kind: Kind::Environment, text: "the agent is ending".to_owned() };
    requests.send(Request { command, answer }).await.map_err(|_| ending())?;
    answered.await.map_err(|_| ending())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::socket::{ServerChange, ask};

    /// Refuses every request with its own words.
    async fn echo(mut requests: mpsc::Receiver<Request>) {
        while let Some(Request { command, answer }) = requests.recv().await {
            let _ = answer.send(Err(Complaint::wrong(command)));
        }
    }

    fn listen(path: &Path) -> Result<Listener, BindError> {
        let (sender, requests) = mpsc::channel(1);
        tokio::spawn(echo(requests));
        Listener::bind(path, sender)
    }

    async fn asked(path: &Path) -> String {
        let path = path.to_owned();
        let command = Command::server("k8s/bettley", ServerChange::Weight(3)).expect("a server");
        let answer = tokio::task::spawn_blocking(move || ask(&path, &command)).await;
        let answer = answer.expect("the client ends").map_err(|error| error.to_string());
        answer.map_or_else(|error| error, |outcome| outcome.expect_err("it refuses").to_string())
    }

    #[tokio::test]
    async fn commands_are_answered_and_only_for_the_owner() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("run/xlb.sock");
        let listener = listen(&path).expect("listens");
        assert_eq!(asked(&path).await, "set server k8s/bettley weight 3");
        let mode = fs::metadata(&path).expect("is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        drop(listener);
        assert!(!path.exists());
        assert!(asked(&path).await.starts_with("no agent at"));
    }

    #[tokio::test]
    async fn a_living_agent_keeps_its_socket_and_a_dead_one_loses_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("xlb.sock");
        // Closed without its file being removed, as by a kill.
        drop(std::os::unix::net::UnixListener::bind(&path).expect("binds"));
        assert!(asked(&path).await.starts_with("no agent at"));
        let _living = listen(&path).expect("replaces the dead one's");
        assert!(matches!(listen(&path), Err(BindError::Taken(_))));
        assert_eq!(asked(&path).await, "set server k8s/bettley weight 3");
    }

    #[tokio::test]
    async fn a_file_that_is_no_socket_stays() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("xlb.sock");
        fs::write(&path, "precious").expect("writes");
        assert!(matches!(listen(&path), Err(BindError::Failed { .. })));
        assert_eq!(fs::read_to_string(&path).expect("is there"), "precious");
    }
}
