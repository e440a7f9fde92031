//! Runs the checks: one task per server, every result an event.

use std::net::SocketAddrV4;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{self, Instant, MissedTickBehavior};

use super::{Check, Health, Transition, check};

/// A server to check.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// The number that its events carry.
    pub server: usize,
    /// Where it listens.
    pub address: SocketAddrV4,
    /// How to check it.
    pub check: Check,
}

/// A check has ended.
#[derive(Clone, Debug)]
pub struct Event {
    /// The number of the server.
    pub server: usize,
    /// Its health after the check.
    pub health: Health,
    /// Whether this check changed the state.
    pub transition: Option<Transition>,
}

/// The running checks. They end when this is dropped, or when nobody receives the events.
#[derive(Debug)]
pub struct Checker {
    _tasks: JoinSet<()>,
}

impl Checker {
    /// Starts checking all targets at once; must be called in a tokio runtime.
    #[must_use]
    pub fn start(targets: &[Target], events: &mpsc::Sender<Event>) -> Self {
        let start = Instant::now();
        let mut tasks = JoinSet::new();
        for (n, target) in targets.iter().enumerate() {
            let second = start + phase(target.check.interval, n, targets.len());
            tasks.spawn(follow(*target, second, events.clone()));
        }
        Self { _tasks: tasks }
    }
}

/// How long after its first check the `n`th of `count` servers is checked again.
///
/// All are checked at the start, because until then nothing is known about them. From then on they
/// take turns within the interval, so that the checks of many servers come as a trickle.
fn phase(interval: Duration, n: usize, count: usize) -> Duration {
    interval * (n as u32 + 1) / count as u32
}

/// Checks one server for ever: now, at `second`, and from there on once an interval.
async fn follow(target: Target, second: Instant, events: mpsc::Sender<Event>) {
    let mut health = Health::new(&target.check, Instant::now().into_std());
    let mut ticks = time::interval_at(second, target.check.interval);
    // A check that takes longer than the interval delays the next ones and brings no burst.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let result = check::tcp(target.address, target.check.timeout).await;
        let transition = health.record(result);
        let event = Event { server: target.server, health: health.clone(), transition };
        if events.send(event).await.is_err() {
            return;
        }
        ticks.tick().await;
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::net::{TcpListener, TcpSocket};

    use super::*;
    use crate::health::Status;

    const INTERVAL: Duration = Duration::from_millis(20);

    /// A port of the loopback interface that refuses connections until someone listens.
    fn reserve() -> (TcpSocket, SocketAddrV4) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let port = socket.local_addr().unwrap().port();
        (socket, SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))
    }

    fn target(server: usize, address: SocketAddrV4, interval: Duration) -> Target {
        let check = Check { interval, timeout: Duration::from_secs(10), fall: 3, rise: 2 };
        Target { server, address, check }
    }

    async fn next(events: &mut mpsc::Receiver<Event>) -> Event {
        time::timeout(Duration::from_secs(20), events.recv()).await.unwrap().unwrap()
    }

    #[tokio::test]
    async fn a_server_goes_down_and_comes_back() {
        let (socket, address) = reserve();
        let (sender, mut events) = mpsc::channel(1);
        let _checker = Checker::start(&[target(7, address, INTERVAL)], &sender);

        let first = next(&mut events).await;
        assert_eq!((first.server, first.transition), (7, Some(Transition::Down)));
        let status = &first.health.last_check().unwrap().status;
        assert_eq!(*status, Status::ConnectionProblem("Connection refused".into()));

        let listener = socket.listen(8).unwrap();
        let up = loop {
            let event = next(&mut events).await;
            if event.transition.is_some() {
                break event;
            }
        };
        assert_eq!(up.transition, Some(Transition::Up));

        drop(listener);
        let down: Vec<_> = until_down(&mut events).await;
        assert_eq!(down[down.len() - 3..], ["UP 2/3", "UP 1/3", "DOWN"]);
    }

    async fn until_down(events: &mut mpsc::Receiver<Event>) -> Vec<String> {
        let mut shown = Vec::new();
        loop {
            let event = next(events).await;
            shown.push(event.health.to_string());
            if event.transition == Some(Transition::Down) {
                return shown;
            }
        }
    }

    #[tokio::test]
    async fn all_servers_are_checked_at_the_start() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (_refusing, down) = reserve();
        let up = SocketAddrV4::new(Ipv4Addr::LOCALHOST, listener.local_addr().unwrap().port());
        let hour = Duration::from_secs(3600);
        let targets = [target(0, up, hour), target(1, down, hour), target(2, up, hour)];
        let (sender, mut events) = mpsc::channel(1);
        let _checker = Checker::start(&targets, &sender);

        let mut seen = [next(&mut events).await, next(&mut events).await, next(&mut events).await]
            .map(|event| (event.server, event.health.is_up()));
        seen.sort_unstable();
        assert_eq!(seen, [(0, true), (1, false), (2, true)]);
    }

    #[test]
    fn later_checks_take_turns() {
        let interval = Duration::from_secs(3);
        let phases: Vec<_> = (0..3).map(|n| phase(interval, n, 3).as_secs()).collect();
        assert_eq!(phases, [1, 2, 3]);
    }

    #[tokio::test]
    async fn dropping_the_checker_ends_the_checks() {
        let (_refusing, address) = reserve();
        let (sender, mut events) = mpsc::channel(1);
        let checker = Checker::start(&[target(0, address, INTERVAL)], &sender);
        drop(sender);
        drop(checker);
        // The channel closes only when no task holds its sender any more.
        time::timeout(Duration::from_secs(20), async { while events.recv().await.is_some() {} })
            .await
            .unwrap();
    }
}
