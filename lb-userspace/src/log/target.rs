//! Where lines go: each receiver has a task and a queue of its own, so that none waits for another.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, Local};
use tokio::net::{UdpSocket, UnixDatagram};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tracing::{info, warn};

use super::Dropped;
use super::stream::Stream;
use super::syslog::Sender;
use crate::config::logging::{Level, LogAddress};
use crate::config::model::LogTarget;

/// Lines that wait for one receiver; more are dropped.
const QUEUE: usize = 8192;

/// How long a receiver that is not there is left alone.
const PATIENCE: Duration = Duration::from_secs(1);

/// Where systemd's journal takes entries in its own protocol.
const JOURNAL: &str = "/run/systemd/journal/socket";

/// A line for the receivers.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub level: Level,
    pub at: DateTime<Local>,
    pub text: String,
}

/// All receivers.
pub(super) struct Targets {
    settings: Vec<LogTarget>,
    queues: Vec<mpsc::Sender<Entry>>,
    dropped: Dropped,
    tasks: JoinSet<()>,
}

impl Targets {
    /// Starts a task for each.
    pub fn start(settings: &[LogTarget], tag: &str, dropped: &Dropped) -> Self {
        let (settings, mut queues, mut tasks) = (settings.to_vec(), Vec::new(), JoinSet::new());
        for target in &settings {
            let (sender, entries) = mpsc::channel(QUEUE);
            let author = Sender { tag: tag.to_owned(), pid: std::process::id() };
            let writer = Writer::new(target.clone(), author, entries, dropped.clone());
            tasks.spawn(writer.run());
            queues.push(sender);
        }
        Self { settings, queues, dropped: dropped.clone(), tasks }
    }

    /// Gives a line to those that it is for.
    pub fn write(&self, entry: &Entry) {
        for index in receivers(&self.settings, entry.level) {
            if self.queues[index].try_send(entry.clone()).is_err() {
                self.dropped.add(1);
            }
        }
    }

    /// Waits until all has been sent that is in the queues, or for so long; what is still there then is dropped.
    pub async fn finish(&mut self, patience: Duration) {
        self.queues.clear();
        let tasks = &mut self.tasks;
        let sent = async { while tasks.join_next().await.is_some() {} };
        if timeout(patience, sent).await.is_err() {
            self.tasks.shutdown().await;
        }
    }
}

/// The targets that a line is for: at each address the one that asks for the least lines of those that ask
/// for this one, so that none comes twice. Several that ask for the same lines are meant to have them.
fn receivers(targets: &[LogTarget], level: Level) -> impl Iterator<Item = usize> {
    let asks = move |target: &&LogTarget| target.level >= level;
    targets
        .iter()
        .enumerate()
        .filter(move |(_, target)| {
            let beside = targets.iter().filter(|other| other.address == target.address).filter(asks);
            asks(target) && beside.map(|other| other.level).min() == Some(target.level)
        })
        .map(|(index, _)| index)
}

/// Sends lines to one receiver.
struct Writer {
    target: LogTarget,
    author: Sender,
    entries: mpsc::Receiver<Entry>,
    channel: Option<Channel>,
    dropped: Dropped,
    /// Whether one has been taken out that is not sent yet.
    holds_one: bool,
    /// How many were dropped since the receiver was last there.
    missed: u64,
    /// Not before then it is tried again.
    next_try: Instant,
}

impl Writer {
    fn new(target: LogTarget, author: Sender, entries: mpsc::Receiver<Entry>, dropped: Dropped) -> Self {
        let (channel, next_try) = (None, Instant::now());
        Self { target, author, entries, channel, dropped, holds_one: false, missed: 0, next_try }
    }

    async fn run(mut self) {
        while let Some(entry) = self.entries.recv().await {
            if self.missed > 0 && Instant::now() < self.next_try {
                self.miss();
                continue;
            }
            self.holds_one = true;
            let written = self.write(&entry).await;
            self.holds_one = false;
            match written {
                Ok(()) => self.is_well(),
                Err(error) => self.is_ill(&error),
            }
        }
    }

    /// Sends a line. A receiver that was started anew has another socket of the same name, so an old one is
    /// given up at the first failure.
    async fn write(&mut self, entry: &Entry) -> io::Result<()> {
        let bytes = self.bytes(entry);
        if let Some(channel) = &mut self.channel
            && channel.send(&bytes).await.is_ok()
        {
            return Ok(());
        }
        self.channel = None;
        let mut channel = Channel::open(&self.target.address).await?;
        channel.send(&bytes).await?;
        self.channel = Some(channel);
        Ok(())
    }

    fn bytes(&self, entry: &Entry) -> Vec<u8> {
        let Entry { level, at, text } = entry;
        let facility = self.target.facility;
        match self.target.address {
            LogAddress::Socket(_) | LogAddress::Udp(_) => self.author.datagram(facility, *level, *at, text),
            LogAddress::Journal => self.author.entry(facility, *level, text),
            LogAddress::Stdout | LogAddress::Stderr => format!("{text}\n").into_bytes(),
        }
    }

    fn is_well(&mut self) {
        if self.missed > 0 {
            info!("log: {} takes lines again; {} were dropped", self.target.address, self.missed);
            self.missed = 0;
        }
    }

    fn is_ill(&mut self, error: &io::Error) {
        if self.missed == 0 {
            warn!("log: cannot send to {}: {error}; lines are dropped meanwhile", self.target.address);
        }
        self.next_try = Instant::now() + PATIENCE;
        self.miss();
    }

    fn miss(&mut self) {
        self.missed += 1;
        self.dropped.add(1);
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Nobody sends what was not sent by now.
        self.dropped.add(self.entries.len() as u64 + u64::from(self.holds_one));
    }
}

/// An open way to a receiver.
enum Channel {
    Local(UnixDatagram),
    Udp(UdpSocket),
    Stream(Stream),
}

impl Channel {
    async fn open(address: &LogAddress) -> io::Result<Self> {
        Ok(match address {
            LogAddress::Socket(path) => Self::Local(connect(path)?),
            LogAddress::Journal => Self::Local(connect(Path::new(JOURNAL))?),
            LogAddress::Udp(address) => {
                let any = match address {
                    SocketAddr::V4(_) => SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0),
                    SocketAddr::V6(_) => SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), 0),
                };
                let socket = UdpSocket::bind(any).await?;
                socket.connect(address).await?;
                Self::Udp(socket)
            }
            LogAddress::Stdout => Self::Stream(Stream::stdout()?),
            LogAddress::Stderr => Self::Stream(Stream::stderr()?),
        })
    }

    async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Local(socket) => socket.send(bytes).await.map(drop),
            Self::Udp(socket) => socket.send(bytes).await.map(drop),
            Self::Stream(stream) => stream.write(bytes).await,
        }
    }
}

fn connect(path: &Path) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.connect(path)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::logging::Facility;

    fn target(address: &str, level: Level) -> LogTarget {
        let address = LogAddress::parse(address).expect("an address");
        LogTarget { address, facility: Facility::LOCAL0, level }
    }

    fn of(targets: &[LogTarget], level: Level) -> Vec<usize> {
        receivers(targets, level).collect()
    }

    #[test]
    fn each_address_gets_a_line_once() {
        let seed = [target("/dev/log", Level::DEBUG), target("/dev/log", Level::NOTICE)];
        assert_eq!(of(&seed, Level::INFO), [0]);
        assert_eq!(of(&seed, Level::NOTICE), [1]);
        assert_eq!(of(&seed, Level::ALERT), [1]);
        let elsewhere = [target("/dev/log", Level::DEBUG), target("198.18.0.5", Level::NOTICE)];
        assert_eq!(of(&elsewhere, Level::ALERT), [0, 1]);
    }

    #[test]
    fn who_asks_for_the_same_twice_gets_it_twice() {
        let twice = [target("/dev/log", Level::NOTICE), target("/dev/log", Level::NOTICE)];
        assert_eq!(of(&twice, Level::ALERT), [0, 1]);
        assert_eq!(of(&twice, Level::INFO), [0; 0]);
    }
}
