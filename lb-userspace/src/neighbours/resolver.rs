//! Resolves the servers' next hops and follows their changes.

use std::net::Ipv4Addr;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::{error, warn};

use super::netlink::{Notification, Notifications, Requests};
use super::notice::Notice;
use super::table::{NextHop, Table};
use super::{Error, Interface, entry, route};

/// Follows the next hops until it is released or dropped.
///
/// The kernel's managed neighbour entries outlive a resolver that is only dropped, as they outlive
/// an agent that was killed.
pub struct Resolver {
    interface: u32,
    follower: JoinSet<()>,
}

/// The task's state.
struct Follower {
    interface: Interface,
    servers: Vec<Ipv4Addr>,
    requests: Requests,
    notifications: Notifications,
    table: Table,
    /// What is wrong with the route to each server, so that it is said once.
    problems: Vec<Option<String>>,
    events: mpsc::Sender<NextHop>,
}

impl Resolver {
    /// Finds the next hops of `servers` and has the kernel resolve them.
    ///
    /// One event per server says what is known at first, maybe nothing; further ones follow
    /// whenever a MAC address changes. Nothing is installed if a server cannot be reached by
    /// `interface`.
    pub async fn start(
        interface: &Interface,
        servers: &[Ipv4Addr],
        events: mpsc::Sender<NextHop>,
    ) -> Result<Self, Error> {
        let mut follower = Follower::new(interface.clone(), servers.to_vec(), events).await?;
        // The first changes are part of what is known at first, which the task reports.
        if let Err(error) = follower.look_at_neighbours().await {
            follower.release().await?;
            return Err(error);
        }
        Ok(Self { interface: interface.index, follower: JoinSet::from_iter([follower.run()]) })
    }

    /// Stops, and removes what was installed in the kernel.
    pub async fn release(mut self) -> Result<(), Error> {
        self.follower.shutdown().await;
        release(self.interface).await
    }
}

/// Removes the neighbour entries that any resolver has installed on an interface.
pub async fn release(interface: u32) -> Result<(), Error> {
    entry::release(Requests::open()?.handle(), interface).await
}

impl Follower {
    async fn new(
        interface: Interface,
        servers: Vec<Ipv4Addr>,
        events: mpsc::Sender<NextHop>,
    ) -> Result<Self, Error> {
        // Subscribed before the first look, so that no change falls in between.
        let notifications = Notifications::subscribe()?;
        let requests = Requests::open()?;
        let mut next_hops = Vec::with_capacity(servers.len());
        for server in &servers {
            next_hops.push(route::next_hop(requests.handle(), &interface, *server).await?);
        }
        let problems = vec![None; servers.len()];
        let table = Table::new(next_hops);
        Ok(Self { interface, servers, requests, notifications, table, problems, events })
    }

    async fn run(mut self) {
        let mut changes = self.table.all();
        loop {
            for change in changes {
                if self.events.send(change).await.is_err() {
                    return;
                }
            }
            let Some(notification) = self.notifications.next().await else {
                error!("the netlink socket has failed; next hops are not followed any more");
                return;
            };
            changes = self.take_in(notification).await;
        }
    }

    /// Takes in a notification and those queued behind it, so that a burst costs one look.
    async fn take_in(&mut self, first: Notification) -> Vec<NextHop> {
        let mut changes = Vec::new();
        let mut look_again = false;
        let mut next = Some(first);
        while let Some(notification) = next {
            match Notice::of(&notification, self.interface.index) {
                Some(Notice::Changed(entry)) => changes.extend(self.table.observe(&entry)),
                // Whoever flushes the neighbours takes ours too.
                Some(Notice::Deleted(entry)) => look_again |= self.table.contains(entry.address),
                Some(Notice::LookAgain) => look_again = true,
                None => {}
            }
            next = self.notifications.queued();
        }
        if look_again {
            changes.extend(self.look_again().await);
        }
        changes
    }

    async fn look_again(&mut self) -> Vec<NextHop> {
        self.look_at_interface().await;
        self.look_at_routes().await;
        self.look_at_neighbours().await.unwrap_or_else(|error| {
            warn!("next hops not refreshed: {error}");
            Vec::new()
        })
    }

    /// Says so when the interface is not any more what the data plane was told.
    async fn look_at_interface(&mut self) {
        let known = &self.interface;
        match Interface::lookup(&known.name).await {
            Ok(now) => {
                if (now.mac, now.mtu) != (known.mac, known.mtu) {
                    let (name, mac, mtu) = (&now.name, now.mac, now.mtu);
                    error!("{name} has changed (MAC address {mac}, MTU {mtu}); restart xlb to follow it");
                }
                self.interface = now;
            }
            Err(error) => error!("{error}; nothing is forwarded"),
        }
    }

    /// Looks up all routes. Where there is none any more, the last one known stays.
    async fn look_at_routes(&mut self) {
        for (number, server) in self.servers.iter().enumerate() {
            let problem = match route::next_hop(self.requests.handle(), &self.interface, *server).await {
                Ok(next_hop) => {
                    self.table.route(number, next_hop);
                    None
                }
                Err(error) => Some(error.to_string()),
            };
            if let Some(problem) = &problem
                && self.problems[number].as_ref() != Some(problem)
            {
                warn!("{problem}");
            }
            self.problems[number] = problem;
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
