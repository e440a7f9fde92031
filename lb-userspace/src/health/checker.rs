//! Runs the checks: one task per server, every result an event.

use std::collections::BTreeMap;
use std::future;
use std::net::SocketAddrV4;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use lb_common::event::Failure;
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{self, Instant, Interval, MissedTickBehavior};

use super::connects::Connects;
use super::{Check, CheckResult, Health, Status, Transition, check};

/// So many checks at most do clients cause in an interval.
const DOUBTS: u32 = 4;

/// A server to check.
#[derive(Clone, Debug)]
pub struct Target {
    /// The number that its events carry.
    pub server: usize,
    /// Where it listens.
    pub address: SocketAddrV4,
    /// How to check it.
    pub check: Check,
    /// What is known of it from before; none for a server that nothing is known of.
    pub health: Option<Health>,
}

/// Something was learned about a server.
#[derive(Clone, Debug)]
pub struct Event {
    /// The number of the server.
    pub server: usize,
    /// Where it listens. After [`Checker::retarget`] it tells events of a server that is gone from
    /// those of another with its number.
    pub address: SocketAddrV4,
    /// Its health from now on.
    pub health: Health,
    /// Whether this has changed the state.
    pub transition: Option<Transition>,
}

/// The running checks. They end when this is dropped, or when nobody receives the events.
#[derive(Debug)]
pub struct Checker {
    tasks: JoinSet<()>,
    servers: BTreeMap<usize, Followed>,
    is_suspended: watch::Sender<bool>,
    events: mpsc::Sender<Event>,
}

/// A server with a task.
#[derive(Debug)]
struct Followed {
    address: SocketAddrV4,
    orders: mpsc::UnboundedSender<Order>,
    task: AbortHandle,
}

/// What a task is told.
#[derive(Debug)]
enum Order {
    /// Check once more, now.
    CheckNow,
    /// A client's connect has failed.
    ConnectFailed {
        failure: Failure,
        /// The server's counter of established connections.
        established: u64,
    },
    /// It is UP or DOWN by the operator's word.
    Set {
        /// Which of them.
        up: bool,
    },
    /// Check in another way from now on.
    Change {
        check: Check,
        /// How long it is until the next check.
        phase: Duration,
    },
}

impl Checker {
    /// Starts checking all targets at once; must be called in a tokio runtime.
    #[must_use]
    pub fn start(targets: &[Target], events: &mpsc::Sender<Event>) -> Self {
        let mut checker = Self {
            tasks: JoinSet::new(),
            servers: BTreeMap::new(),
            is_suspended: watch::Sender::new(false),
            events: events.clone(),
        };
        checker.retarget(targets);
        checker
    }

    /// Checks these servers from now on and no others.
    ///
    /// A server stays the same if number and address do. It keeps its health then, whatever
    /// [`Target::health`] says, and is checked in the new way from its next turn on. Events of
    /// servers that are gone may still be under way.
    pub fn retarget(&mut self, targets: &[Target]) {
        let stays = |number: &usize, followed: &Followed| {
            targets.iter().any(|target| target.server == *number && target.address == followed.address)
        };
        self.servers.retain(|number, followed| {
            let stays = stays(number, followed);
            if !stays {
                followed.task.abort();
            }
            stays
        });
        // Tasks that have ended are of no more use.
        while self.tasks.try_join_next().is_some() {}
        for (n, target) in targets.iter().enumerate() {
            let phase = phase(target.check.interval, n, targets.len());
            match self.servers.get(&target.server) {
                Some(followed) => {
                    let check = target.check.clone();
                    tell(followed, Order::Change { check, phase });
                }
                None => self.follow(target, phase),
            }
        }
    }

    /// Checks a server once more, now. One check that is under way ends before; a server that is not
    /// checked at all stays unchecked.
    pub fn check_now(&self, server: usize) {
        if let Some(followed) = self.servers.get(&server) {
            tell(followed, Order::CheckNow);
        }
    }

    /// A client's connect to a server has failed; `established` is the server's counter of
    /// established connections at that time. After `error_limit` in a row the server goes DOWN. One
    /// that it did not answer counts only if a check fails too, and has the server checked between
    /// its turns.
    pub fn connect_failed(&self, server: usize, failure: Failure, established: u64) {
        if let Some(followed) = self.servers.get(&server) {
            tell(followed, Order::ConnectFailed { failure, established });
        }
    }

    /// A server is UP or DOWN from now on, by the operator's word, until its checks say otherwise. This
    /// makes no event.
    pub fn set(&self, server: usize, up: bool) {
        if let Some(followed) = self.servers.get(&server) {
            tell(followed, Order::Set { up });
        }
    }

    /// Stops all checks while the fault would be ours, as when the link is down: what is under way
    /// counts for nothing. Afterwards all servers are checked at once.
    pub fn suspend(&self, suspend: bool) {
        self.is_suspended
            .send_if_modified(|is_suspended| std::mem::replace(is_suspended, suspend) != suspend);
    }

    fn follow(&mut self, target: &Target, phase: Duration) {
        let (sender, orders) = mpsc::unbounded_channel();
        let now = Instant::now();
        let fresh = || Health::new(&target.check, now.into_std());
        let follower = Follower {
            server: target.server,
            address: target.address,
            check: target.check.clone(),
            phase,
            health: target.health.clone().unwrap_or_else(fresh),
            connects: Connects::default(),
            doubted: None,
            ticks: ticks(now + phase, target.check.interval),
            orders,
            is_suspended: self.is_suspended.subscribe(),
            events: self.events.clone(),
        };
        let task = self.tasks.spawn(follower.run());
        self.servers.insert(target.server, Followed { address: target.address, orders: sender, task });
    }
}

/// A task that has ended needs no orders: nobody receives its events.
fn tell(followed: &Followed, order: Order) {
    let _ = followed.orders.send(order);
}

/// How long after its first check the `n`th of `count` servers is checked again.
///
/// All are checked at the start, because until then nothing is known about them. From then on they
/// take turns within the interval, so that the checks of many servers come as a trickle.
fn phase(interval: Duration, n: usize, count: usize) -> Duration {
    interval * (n as u32 + 1) / count as u32
}

/// Ticks once an interval. A check that takes longer delays the next ones and brings no burst.
fn ticks(first: Instant, interval: Duration) -> Interval {
    let mut ticks = time::interval_at(first, interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// The task of one server.
struct Follower {
    server: usize,
    address: SocketAddrV4,
    check: Check,
    phase: Duration,
    health: Health,
    connects: Connects,
    /// When a client last had it checked between its turns.
    doubted: Option<Instant>,
    ticks: Interval,
    orders: mpsc::UnboundedReceiver<Order>,
    is_suspended: watch::Receiver<bool>,
    events: mpsc::Sender<Event>,
}

/// A check under way.
#[derive(Default)]
struct Current {
    check: Option<BoxFuture<'static, CheckResult>>,
    /// Whether another is to follow at once.
    again: bool,
}

impl Current {
    /// The result, once there is one.
    async fn result(&mut self) -> CheckResult {
        match &mut self.check {
            Some(check) => {
                let result = check.await;
                self.check = None;
                result
            }
            None => future::pending().await,
        }
    }
}

impl Follower {
    /// Checks for ever: now, a phase later, and from there on once an interval.
    async fn run(mut self) {
        let mut current = Current::default();
        self.begin(&mut current);
        loop {
            // Results last: one must not count that was overtaken by the end of our link.
            let events = tokio::select! {
                biased;
                order = self.orders.recv() => match order {
                    Some(order) => [self.obey(order, &mut current), None],
                    None => return,
                },
                Ok(()) = self.is_suspended.changed() => {
                    current = Current::default();
                    self.connects.start_again();
                    self.begin(&mut current);
                    self.ticks.reset_after(self.phase);
                    [None, None]
                }
                result = current.result() => {
                    if current.again {
                        self.begin(&mut current);
                    }
                    self.take(result)
                }
                _ = self.ticks.tick(), if current.check.is_none() => {
                    self.begin(&mut current);
                    [None, None]
                }
            };
            for event in events.into_iter().flatten() {
                if self.events.send(event).await.is_err() {
                    return;
                }
            }
        }
    }

    /// Begins a check, unless none may be made.
    fn begin(&self, current: &mut Current) {
        let may = !*self.is_suspended.borrow();
        let check = || check::run(self.address, self.check.clone()).boxed();
        *current = Current { check: may.then(check), again: false };
    }

    fn obey(&mut self, order: Order, current: &mut Current) -> Option<Event> {
        match order {
            Order::CheckNow => self.check_now(current),
            Order::ConnectFailed { failure, established } => {
                return self.connect_failed(failure, established, current);
            }
            Order::Set { up } => {
                self.health.set(up, std::time::Instant::now());
                self.connects.start_again();
            }
            Order::Change { check, phase } => {
                self.health.change_check(&check);
                if check.interval != self.check.interval {
                    self.ticks = ticks(Instant::now() + phase, check.interval);
                }
                (self.check, self.phase) = (check, phase);
            }
        }
        None
    }

    fn check_now(&self, current: &mut Current) {
        if current.check.is_some() {
            current.again = true;
        } else {
            self.begin(current);
        }
    }

    /// Takes in a result, and what clients' failed connects mean in its light.
    fn take(&mut self, result: CheckResult) -> [Option<Event>; 2] {
        self.connects.checked(result.passed());
        let transition = self.health.record(result);
        [Some(self.event(transition)), self.judge_connects()]
    }

    fn connect_failed(&mut self, failure: Failure, established: u64, current: &mut Current) -> Option<Event> {
        if self.check.error_limit.is_none() || *self.is_suspended.borrow() {
            return None;
        }
        match failure {
            Failure::Refused => self.connects.refused(established),
            Failure::Silent => {
                self.connects.unanswered(established);
                self.check_in_doubt(current);
            }
        }
        self.judge_connects()
    }

    /// Checks now, unless that was done not long ago: anybody can send SYNs that nobody answers, and
    /// they must not become as many checks.
    fn check_in_doubt(&mut self, current: &mut Current) {
        let now = Instant::now();
        let distance = self.check.interval / DOUBTS;
        if self.doubted.is_none_or(|doubted| now >= doubted + distance) {
            self.doubted = Some(now);
            self.check_now(current);
        }
    }

    /// Takes the server DOWN if enough connects in a row have failed.
    fn judge_connects(&mut self) -> Option<Event> {
        let (limit, failed) = (self.check.error_limit?, self.connects.failed());
        if failed < limit || !self.health.is_up() {
            return None;
        }
        let status = Status::ConnectsFailed(failed);
        let (duration, at) = (Duration::ZERO, std::time::Instant::now());
        let transition =
            self.health.mark_down(CheckResult { status, duration, at, certificate_expires: None });
        Some(self.event(transition))
    }

    fn event(&mut self, transition: Option<Transition>) -> Event {
        if transition.is_some() {
            self.connects.start_again();
        }
        Event { server: self.server, address: self.address, health: self.health.clone(), transition }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::net::{TcpListener, TcpSocket};

    use super::*;
    use crate::health::Probe;

    const INTERVAL: Duration = Duration::from_millis(20);

    /// A port of the loopback interface that refuses connections until someone listens.
    fn reserve() -> (TcpSocket, SocketAddrV4) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let port = socket.local_addr().unwrap().port();
        (socket, SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))
    }

    fn target(server: usize, address: SocketAddrV4, interval: Duration) -> Target {
        let timeout = Duration::from_secs(10);
        let check = Check { probe: Probe::Tcp, interval, timeout, fall: 3, rise: 2, error_limit: Some(3) };
        Target { server, address, check, health: None }
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

    #[tokio::test]
    async fn the_operators_word_holds_until_checks_say_otherwise() {
        let (socket, address) = reserve();
        let _listener = socket.listen(8).unwrap();
        let (sender, mut events) = mpsc::channel(1);
        let checker = Checker::start(&[target(7, address, INTERVAL)], &sender);
        next(&mut events).await;
        checker.set(7, false);
        let mut shown = Vec::new();
        loop {
            let event = next(&mut events).await;
            shown.push(event.health.to_string());
            if let Some(transition) = event.transition {
                assert_eq!(transition, Transition::Up);
                break;
            }
            assert!(shown.len() < 100, "{shown:?}");
        }
        assert_eq!(shown[shown.len() - 2..], ["DOWN 1/2", "UP"]);
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

    const HOUR: Duration = Duration::from_secs(3600);

    /// Someone who listens, and where.
    async fn listener() -> (TcpListener, SocketAddrV4) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        (listener, SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))
    }

    /// The state after the next event, and the short name of its reason.
    async fn shown(events: &mut mpsc::Receiver<Event>) -> (String, &'static str) {
        let health = next(events).await.health;
        (health.to_string(), health.last_check().unwrap().status.name())
    }

    #[tokio::test]
    async fn a_server_can_be_checked_between_its_turns() {
        let (_listener, address) = listener().await;
        let (sender, mut events) = mpsc::channel(1);
        let checker = Checker::start(&[target(0, address, HOUR)], &sender);
        next(&mut events).await;
        for _ in 0..3 {
            checker.check_now(0);
            let event = next(&mut events).await;
            assert!(event.health.is_up());
        }
        checker.check_now(1);
    }

    #[tokio::test]
    async fn an_extra_check_begins_after_one_that_is_under_way() {
        // Nobody accepts beyond the first, so that checks last until their timeout.
        let (socket, address) = reserve();
        let _listener = socket.listen(0).unwrap();
        let _first = tokio::net::TcpStream::connect(address).await.unwrap();
        let mut slow = target(0, address, HOUR);
        slow.check.timeout = Duration::from_millis(50);
        let (sender, mut events) = mpsc::channel(1);
        let checker = Checker::start(&[slow], &sender);
        tokio::task::yield_now().await;
        checker.check_now(0);
        checker.check_now(0);
        let first = next(&mut events).await.health.last_check().unwrap().clone();
        let second = next(&mut events).await.health.last_check().unwrap().clone();
        assert!(second.started() >= first.at, "they overlap");
        // Two requests at once are one check.
        checker.connect_failed(0, Failure::Refused, 0);
        checker.connect_failed(0, Failure::Refused, 0);
        assert!(events.try_recv().is_err());
    }

    #[tokio::test]
    async fn failed_connects_take_a_server_down_and_checks_bring_it_back() {
        let (_listener, address) = listener().await;
        let (sender, mut events) = mpsc::channel(1);
        let checker = Checker::start(&[target(0, address, HOUR)], &sender);
        assert_eq!(shown(&mut events).await, ("UP".into(), "L4OK"));
        // A success in between, and the count begins again.
        for established in [5, 5, 6, 6, 6] {
            checker.connect_failed(0, Failure::Refused, established);
        }
        assert_eq!(shown(&mut events).await, ("DOWN".into(), "HANA"));
        for _ in 0..5 {
            checker.connect_failed(0, Failure::Refused, 6);
        }
        checker.check_now(0);
        assert_eq!(shown(&mut events).await, ("DOWN 1/2".into(), "L4OK"));
        checker.check_now(0);
        assert_eq!(shown(&mut events).await, ("UP".into(), "L4OK"));
        // What failed while it was DOWN is forgotten.
        for _ in 0..3 {
            checker.connect_failed(0, Failure::Refused, 6);
        }
        let last = next(&mut events).await.health.last_check().unwrap().clone();
        assert_eq!(last.status, Status::ConnectsFailed(3));
    }

    #[tokio::test]
    async fn connects_without_an_answer_have_a_server_checked_and_count_if_that_fails() {
        let (listener, address) = listener().await;
        let (sender, mut events) = mpsc::channel(8);
        let checker = Checker::start(&[target(0, address, HOUR)], &sender);
        let unanswered = || (0..5).for_each(|_| checker.connect_failed(0, Failure::Silent, 7));
        assert_eq!(shown(&mut events).await, ("UP".into(), "L4OK"));
        // It is checked once, and well: who sent these was a stranger.
        unanswered();
        assert_eq!(shown(&mut events).await, ("UP".into(), "L4OK"));
        // It is not checked again so soon; when it is, and has failed, they count.
        drop(listener);
        unanswered();
        checker.check_now(0);
        assert_eq!(shown(&mut events).await, ("UP 2/3".into(), "L4CON"));
        assert_eq!(shown(&mut events).await, ("DOWN".into(), "HANA"));
        assert!(events.try_recv().is_err(), "another check was made");
    }

    #[tokio::test]
    async fn nothing_counts_while_the_fault_is_ours() {
        let (socket, address) = reserve();
        let (_other, up) = listener().await;
        let (sender, mut events) = mpsc::channel(8);
        let checker = Checker::start(&[target(0, up, INTERVAL)], &sender);
        next(&mut events).await;
        checker.suspend(true);
        checker.suspend(true);
        // A server that is known to be UP, and now refuses.
        let mut refusing = target(1, address, INTERVAL);
        refusing.health = Some(Health::restored(&refusing.check, true, Instant::now().into_std(), None));
        let mut checker = checker;
        checker.retarget(&[refusing]);
        while events.try_recv().is_ok() {}
        for _ in 0..10 {
            checker.check_now(1);
            checker.connect_failed(1, Failure::Refused, 0);
        }
        // Meanwhile another, which is not suspended, has made some checks.
        let (other_sender, mut others) = mpsc::channel(1);
        let _other = Checker::start(&[target(1, address, INTERVAL)], &other_sender);
        for _ in 0..4 {
            next(&mut others).await;
        }
        assert!(events.try_recv().is_err(), "a check was made");

        let _listener = socket.listen(8).unwrap();
        checker.suspend(false);
        assert_eq!(shown(&mut events).await, ("UP".into(), "L4OK"));
    }

    #[tokio::test]
    async fn a_known_server_stays_down_until_it_has_passed() {
        let (_listener, address) = listener().await;
        let (sender, mut events) = mpsc::channel(1);
        let mut down = target(0, address, INTERVAL);
        down.health = Some(Health::restored(&down.check, false, Instant::now().into_std(), None));
        let _checker = Checker::start(&[down], &sender);
        assert_eq!(shown(&mut events).await, ("DOWN 1/2".into(), "L4OK"));
        assert_eq!(next(&mut events).await.transition, Some(Transition::Up));
    }

    #[tokio::test]
    async fn servers_that_stay_keep_their_health() {
        let (listener, up) = listener().await;
        let (_refusing, down) = reserve();
        let (_also_refusing, other) = reserve();
        let (_gone, gone) = reserve();
        let (sender, mut events) = mpsc::channel(8);
        let targets = [target(0, gone, HOUR), target(1, down, HOUR), target(2, up, HOUR)];
        let mut checker = Checker::start(&targets, &sender);
        for _ in 0..3 {
            next(&mut events).await;
        }
        drop(listener);
        let changed = |server, address| {
            let mut target = target(server, address, INTERVAL);
            (target.check.fall, target.check.rise) = (1, 4);
            target
        };
        // The first is gone, and its number is given to a server that refuses. Of the others, the one
        // that was UP now refuses, too; it has become enough to do so once.
        checker.retarget(&[changed(0, other), changed(1, down), changed(2, up)]);
        let mut seen = BTreeMap::new();
        while seen.len() < 3 {
            let event = next(&mut events).await;
            let first = (event.address, event.health.to_string(), event.transition);
            seen.entry(event.server).or_insert(first);
        }
        assert_eq!(seen[&0], (other, "DOWN".into(), Some(Transition::Down)));
        assert_eq!(seen[&1], (down, "DOWN".into(), None));
        assert_eq!(seen[&2], (up, "DOWN".into(), Some(Transition::Down)));

        checker.retarget(&[]);
        drop(sender);
        drop(checker);
        time::timeout(Duration::from_secs(20), async { while events.recv().await.is_some() {} })
            .await
            .unwrap();
    }
}
