//! Resolves the servers' next hops and follows their changes.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::{error, info, warn};

use super::netlink::{Notification, Notifications, Requests};
use super::notice::Notice;
use super::table::{NextHop, Table, Way};
use super::{Error, Interface, entry, interface, route};

/// Follows the next hops until it is released or dropped.
///
/// The kernel's managed neighbour entries outlive a resolver that is only dropped, as they outlive
/// an agent that was killed.
pub struct Resolver {
    interface: String,
    servers: mpsc::UnboundedSender<Servers>,
    follower: JoinSet<()>,
}

/// Something that the data plane has to follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A server's next hop is now this.
    NextHop(NextHop),
    /// The interface has another MAC address or MTU, has lost its carrier or has it again, or is there
    /// again after it was [lost](Self::InterfaceLost).
    Interface(Interface),
    /// The interface is not there any more.
    InterfaceLost,
}

/// Servers by number.
type Servers = BTreeMap<u16, Ipv4Addr>;

/// The task's state.
struct Follower {
    interface: Interface,
    /// Whether the interface is not there any more; it is followed by its name.
    is_lost: bool,
    servers: Servers,
    changed_servers: mpsc::UnboundedReceiver<Servers>,
    requests: Requests,
    notifications: Notifications,
    table: Table,
    /// What is wrong with the route to each server, so that it is said once.
    problems: BTreeMap<u16, String>,
    events: mpsc::Sender<Event>,
}

impl Resolver {
    /// Finds the next hops of `servers` and has the kernel resolve them.
    ///
    /// One event per server says what is known at first, maybe nothing; further ones follow
    /// whenever a MAC address changes. Nothing is installed if a server cannot be reached by
    /// `interface`.
    pub async fn start(
        interface: &Interface,
        servers: impl IntoIterator<Item = (u16, Ipv4Addr)>,
        events: mpsc::Sender<Event>,
    ) -> Result<Self, Error> {
        let (sender, changed_servers) = mpsc::unbounded_channel();
        let servers = servers.into_iter().collect();
        let mut follower = Follower::new(interface.clone(), servers, changed_servers, events).await?;
        // The first changes are part of what is known at first, which the task reports.
        if let Err(error) = follower.look_at_neighbours().await {
            follower.release().await?;
            return Err(error);
        }
        let follower = JoinSet::from_iter([follower.run()]);
        Ok(Self { interface: interface.name.clone(), servers: sender, follower })
    }

    /// Follows these servers from now on, and tells again what is known of each. One that cannot be reached is
    /// only warned about; see [`check_routes`].
    pub fn set_servers(&self, servers: impl IntoIterator<Item = (u16, Ipv4Addr)>) {
        // It fails only when the follower has panicked, which has been said.
        let _ = self.servers.send(servers.into_iter().collect());
    }

    /// Stops, and removes what was installed in the kernel.
    pub async fn release(mut self) -> Result<(), Error> {
        self.follower.shutdown().await;
        release(&self.interface).await
    }
}

/// Fails if one of these servers cannot be reached by an interface.
pub async fn check_routes(
    interface: &Interface,
    servers: impl IntoIterator<Item = Ipv4Addr>,
) -> Result<(), Error> {
    let requests = Requests::open()?;
    for server in servers {
        route::next_hop(requests.handle(), interface, server).await?;
    }
    Ok(())
}

/// Removes the neighbour entries that any resolver has installed on an interface. One that is gone has
/// none.
pub async fn release(interface: &str) -> Result<(), Error> {
    let requests = Requests::open()?;
    match interface::index(requests.handle(), interface).await {
        Ok(index) => entry::release(requests.handle(), index).await,
        Err(Error::NoInterface(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

impl Follower {
    async fn new(
        interface: Interface,
        servers: Servers,
        changed_servers: mpsc::UnboundedReceiver<Servers>,
        events: mpsc::Sender<Event>,
    ) -> Result<Self, Error> {
        // Subscribed before the first look, so that no change falls in between.
        let notifications = Notifications::subscribe()?;
        let requests = Requests::open()?;
        let mut ways: Vec<Way> = Vec::with_capacity(servers.len());
        for (number, server) in &servers {
            ways.push((*number, *server, route::next_hop(requests.handle(), &interface, *server).await?));
        }
        Ok(Self {
            interface,
            is_lost: false,
            servers,
            changed_servers,
            requests,
            notifications,
            table: Table::new(ways),
            problems: BTreeMap::new(),
            events,
        })
    }

    async fn run(mut self) {
        let mut news = self.known();
        loop {
            for event in news {
                if self.events.send(event).await.is_err() {
                    return;
                }
            }
            news = tokio::select! {
                notification = self.notifications.next() => match notification {
                    Some(notification) => self.take_in(notification).await,
                    None => self.subscribe_again().await,
                },
                servers = self.changed_servers.recv() => match servers {
                    Some(servers) => self.set_servers(servers).await,
                    // The resolver is being dropped.
                    None => return,
                },
            };
        }
    }

    /// Takes in a notification and those queued behind it, so that a burst costs one look.
    async fn take_in(&mut self, first: Notification) -> Vec<Event> {
        let mut changes = Vec::new();
        let mut look_again = false;
        let mut next = Some(first);
        while let Some(notification) = next {
            match Notice::of(&notification, &self.interface) {
                Some(Notice::Changed(entry)) => changes.extend(self.table.observe(&entry)),
                // Whoever flushes the neighbours takes ours too.
                Some(Notice::Deleted(entry)) => look_again |= self.table.contains(entry.address),
                Some(Notice::LookAgain) => look_again = true,
                None => {}
            }
            next = self.notifications.queued();
        }
        let mut events: Vec<_> = changes.into_iter().map(Event::NextHop).collect();
        if look_again {
            events.extend(self.look_again().await);
        }
        events
    }

    /// Opens another socket for notifications in place of one that has failed, and looks at what it
    /// has missed.
    async fn subscribe_again(&mut self) -> Vec<Event> {
        const PAUSE: Duration = Duration::from_secs(1);
        error!("the netlink socket has failed; opening another one");
        loop {
            tokio::time::sleep(PAUSE).await;
            match Notifications::subscribe() {
                Ok(notifications) => self.notifications = notifications,
                Err(error) => {
                    error!("next hops are not followed: {error}");
                    continue;
                }
            }
            info!("next hops are followed again");
            return self.look_again().await;
        }
    }

    async fn set_servers(&mut self, servers: Servers) -> Vec<Event> {
        let mut ways: Vec<Way> = Vec::with_capacity(servers.len());
        for (number, server) in &servers {
            match route::next_hop(self.requests.handle(), &self.interface, *server).await {
                Ok(next_hop) => ways.push((*number, *server, next_hop)),
                Err(error) => warn!("{error}"),
            }
        }
        self.servers = servers;
        self.problems.retain(|number, _| self.servers.contains_key(number));
        self.table.replace(ways);
        self.see_neighbours().await;
        // Of a new one that never answers, no change would ever tell.
        self.known()
    }

    /// What is known of all next hops.
    fn known(&self) -> Vec<Event> {
        self.table.all().into_iter().map(Event::NextHop).collect()
    }

    async fn look_again(&mut self) -> Vec<Event> {
        let mut events: Vec<_> = self.look_at_interface().await.into_iter().collect();
        if self.is_lost {
            // With it, all its routes and neighbours are gone.
            events.extend(self.table.silence().into_iter().map(Event::NextHop));
            return events;
        }
        self.look_at_routes().await;
        events.extend(self.see_neighbours().await);
        events
    }

    /// Takes in all neighbour entries, and lets go of those that no server's packets go to any more.
    async fn see_neighbours(&mut self) -> Vec<Event> {
        let changes = self.look_at_neighbours().await.unwrap_or_else(|error| {
            warn!("next hops not refreshed: {error}");
            Vec::new()
        });
        let (handle, interface) = (self.requests.handle(), self.interface.index);
        let released = entry::release_unless(handle, interface, |address| self.table.contains(address)).await;
        if let Err(error) = released {
            warn!("neighbour entries that are not needed any more stay: {error}");
        }
        changes.into_iter().map(Event::NextHop).collect()
    }

    /// What has become of the interface, if it is not any more what the data plane was told.
    async fn look_at_interface(&mut self) -> Option<Event> {
        match Interface::lookup(&self.interface.name).await {
            Ok(now) => {
                let was_lost = std::mem::take(&mut self.is_lost);
                let known = std::mem::replace(&mut self.interface, now.clone());
                let essence = |Interface { index, mac, mtu, has_carrier, .. }: &Interface| {
                    (*index, *mac, *mtu, *has_carrier)
                };
                (was_lost || essence(&now) != essence(&known)).then_some(Event::Interface(now))
            }
            Err(Error::NoInterface(_)) => {
                let is_known = std::mem::replace(&mut self.is_lost, true);
                (!is_known).then_some(Event::InterfaceLost)
            }
            Err(error) => {
                error!("{error}");
                None
            }
        }
    }

    /// Looks up all routes. Where there is none any more, the last one known stays.
    async fn look_at_routes(&mut self) {
        for (number, server) in &self.servers {
            match route::next_hop(self.requests.handle(), &self.interface, *server).await {
                Ok(next_hop) => {
                    self.table.route((*number, *server, next_hop));
                    self.problems.remove(number);
                }
                Err(error) => {
                    let problem = error.to_string();
                    if self.problems.get(number) != Some(&problem) {
                        warn!("{problem}");
                    }
                    self.problems.insert(*number, problem);
                }
            }
        }
    }

    /// Takes in all neighbour entries, and installs those that are missing.
    async fn look_at_neighbours(&mut self) -> Result<Vec<NextHop>, Error> {
        let (handle, interface) = (self.requests.handle(), self.interface.index);
        let entries = entry::list(handle, interface).await?;
        let changes = entries.iter().flat_map(|entry| self.table.observe(entry)).collect();
        for address in self.table.missing(&entries) {
            if let Err(error) = entry::install(handle, interface, address).await {
                warn!("the kernel does not keep the next hop {address} fresh: {error}");
            }
        }
        Ok(changes)
    }

    async fn release(&self) -> Result<(), Error> {
        entry::release(self.requests.handle(), self.interface.index).await
    }
}
