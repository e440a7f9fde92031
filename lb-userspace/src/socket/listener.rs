//! The side of the agent.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::{Gid, Group, chown};
use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tracing::{debug, warn};

use super::conversation::Conversation;
use super::{Service, Watched, client};
use crate::config::model as config;

/// The most clients at once; others wait until the system has no room for more of them.
const MOST_CLIENTS: usize = 64;

/// How long the agent waits before it accepts again after it could not.
const PAUSE: Duration = Duration::from_millis(100);

/// Listens until it is dropped; the socket's file goes with it.
#[derive(Debug)]
pub struct Listener {
    path: PathBuf,
    inode: Option<u64>,
    socket: Option<UnixListener>,
    task: JoinSet<()>,
}

/// The socket cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another agent listens.
    #[error(
        "another agent, or HAProxy, listens on the control socket {path}; stop it first, or choose another \
         one for this agent with --socket or in [socket]",
        path = .0.display()
    )]
    Taken(PathBuf),
    /// Nobody has the name of its group.
    #[error("the control socket {path} is to belong to the group {group}, which this host does not have; \
             make it, or name another one in [socket]", path = path.display())]
    NoGroup {
        /// The socket.
        path: PathBuf,
        /// The group.
        group: String,
    },
    /// Something else.
    #[error("cannot make the control socket {path}: {source}; choose another place with --socket or in [socket]", path = path.display())]
    Failed {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Listener {
    /// Makes the socket. The file of an agent that is gone is replaced. Whoever connects waits until there is
    /// somebody to [`serve`](Self::serve) them. Must be called in a tokio runtime.
    pub fn bind(config: &config::Socket) -> Result<Self, BindError> {
        let path = &config.path;
        let failed = |source| BindError::Failed { path: path.clone(), source };
        if client::is_answered(path) {
            return Err(BindError::Taken(path.clone()));
        }
        let group = config.group.as_deref().map(|group| find_group(path, group)).transpose()?;
        make_room(path).map_err(failed)?;
        let socket = bind_private(path, config.mode, group).map_err(failed)?;
        let inode = inode(path);
        Ok(Self { path: path.clone(), inode, socket: Some(socket), task: JoinSet::new() })
    }

    /// Serves its clients from now on.
    pub fn serve<W: Watched>(&mut self, service: Service<W>) {
        if let Some(socket) = self.socket.take() {
            self.task.spawn(accept(socket, service));
        }
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

fn find_group(path: &Path, name: &str) -> Result<Gid, BindError> {
    let failed = |error: nix::Error| BindError::Failed { path: path.to_owned(), source: error.into() };
    let group = Group::from_name(name).map_err(failed)?;
    group
        .map(|group| group.gid)
        .ok_or_else(|| BindError::NoGroup { path: path.to_owned(), group: name.to_owned() })
}

/// Listens only once the file has its group and mode: before that, nobody can connect.
fn bind_private(path: &Path, mode: u32, group: Option<Gid>) -> io::Result<UnixListener> {
    const BACKLOG: i32 = 16;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&SockAddr::unix(path)?)?;
    chown(path, None, group)?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    UnixListener::from_std(OwnedFd::from(socket).into())
}

fn inode(path: &Path) -> Option<u64> {
    fs::symlink_metadata(path).ok().map(|metadata| metadata.ino())
}

async fn accept<W: Watched>(listener: UnixListener, service: Service<W>) {
    let mut clients = JoinSet::new();
    loop {
        while clients.try_join_next().is_some() {}
        if clients.len() >= MOST_CLIENTS {
            clients.join_next().await;
            continue;
        }
        match listener.accept().await {
            Ok((stream, _)) => {
                clients.spawn(serve(stream, service.clone()));
            }
            Err(error) => {
                warn!("control socket: {error}");
                sleep(PAUSE).await;
            }
        }
    }
}

async fn serve<W: Watched>(stream: UnixStream, service: Service<W>) {
    if let Err(error) = Conversation::new(stream, service).run().await {
        debug!("control socket: {error}");
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;
    use crate::socket::service::tests::{Still, refusing};
    use crate::socket::{Command, ServerChange, Weight, ask};

    fn at(path: &Path) -> config::Socket {
        config::Socket { path: path.to_owned(), ..config::Socket::default() }
    }

    fn listen(path: &Path) -> Result<Listener, BindError> {
        listen_as(&at(path))
    }

    fn listen_as(config: &config::Socket) -> Result<Listener, BindError> {
        let mut listener = Listener::bind(config)?;
        listener.serve(refusing(Still::default(), config.timeout));
        Ok(listener)
    }

    async fn asked(path: &Path) -> String {
        let path = path.to_owned();
        let change = ServerChange::Weight(Weight::Absolute(3));
        let command = Command::server("k8s/bettley", change).expect("a server");
        let answer = tokio::task::spawn_blocking(move || ask(&path, &command)).await;
        let answer = answer.expect("the client ends").map_err(|error| error.to_string());
        answer.map_or_else(|error| error, |outcome| outcome.expect_err("it refuses").to_string())
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("is there").permissions().mode() & 0o777
    }

    #[tokio::test]
    async fn commands_are_answered_and_only_for_the_owner() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("run/xlb.sock");
        let listener = listen(&path).expect("listens");
        assert_eq!(asked(&path).await, "set server k8s/bettley weight 3");
        assert_eq!(mode(&path), 0o600);
        drop(listener);
        assert!(!path.exists());
        assert!(asked(&path).await.starts_with("no agent at"));
    }

    #[tokio::test]
    async fn others_are_let_in_by_mode_and_group() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("xlb.sock");
        let own = Group::from_gid(nix::unistd::getegid()).expect("can be asked").expect("has a name").name;
        let config = config::Socket { mode: 0o660, group: Some(own), ..at(&path) };
        let _listener = listen_as(&config).expect("listens");
        assert_eq!(mode(&path), 0o660);
        assert_eq!(fs::metadata(&path).expect("is there").gid(), nix::unistd::getegid().as_raw());
    }

    #[tokio::test]
    async fn a_group_that_there_is_not_is_named() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("xlb.sock");
        let config = config::Socket { group: Some("no-such-group".into()), ..at(&path) };
        let error = listen_as(&config).map(drop).expect_err("nobody has this name");
        assert!(matches!(error, BindError::NoGroup { .. }), "{error}");
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn who_comes_before_there_is_an_answer_waits_for_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let config = at(&directory.path().join("xlb.sock"));
        let mut listener = Listener::bind(&config).expect("listens");
        let waiting = asked(&config.path);
        let serving = async {
            tokio::task::yield_now().await;
            listener.serve(refusing(Still::default(), config.timeout));
        };
        assert_eq!(tokio::join!(waiting, serving).0, "set server k8s/bettley weight 3");
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

    #[tokio::test]
    async fn more_clients_than_there_is_room_for_wait_until_others_have_gone() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("xlb.sock");
        let config = config::Socket { timeout: Duration::from_secs(3600), ..at(&path) };
        let _listener = listen_as(&config).expect("listens");
        let mut idle = Vec::new();
        for _ in 0..MOST_CLIENTS {
            idle.push(UnixStream::connect(&path).await.expect("is let in"));
        }
        let mut late = tokio::spawn({
            let path = path.clone();
            async move { asked(&path).await }
        });
        timeout(Duration::from_millis(100), &mut late).await.expect_err("there is no room yet");
        let answer = exchange(idle.remove(0), "show version\n").await;
        assert_eq!(answer, format!("{}\n\n", crate::stats::haproxy::version()));
        assert_eq!(late.await.expect("it ends"), "set server k8s/bettley weight 3");
        drop(idle);
    }

    /// Says something, and returns all that is said until the agent has ended the conversation.
    async fn exchange(mut stream: UnixStream, says: &str) -> String {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        stream.write_all(says.as_bytes()).await.expect("can be said");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("can be heard");
        answer
    }
}
