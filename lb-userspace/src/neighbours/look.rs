//! Looks at how things are, and changes nothing that anybody uses.

use std::net::Ipv4Addr;

use lb_common::net::Mac;
use rtnetlink::{LinkUnspec, LinkVeth};

use super::netlink::Requests;
use super::{Error, Interface, entry, interface, route};

/// The way to a server, as the kernel knows it now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WayTo {
    /// The gateway, or the server itself.
    pub next_hop: Ipv4Addr,
    /// Where frames to it go, if the kernel knows.
    pub mac: Option<Mac>,
}

/// Looks up the way to each server, which must lead by the interface.
pub(crate) async fn ways(
    interface: &Interface,
    servers: impl IntoIterator<Item = Ipv4Addr>,
) -> Result<Vec<Result<WayTo, Error>>, Error> {
    let requests = Requests::open()?;
    let entries = entry::list(requests.handle(), interface.index).await?;
    let mac = |address| entries.iter().find(|entry| entry.address == address).and_then(|entry| entry.mac);
    let mut ways = Vec::new();
    for server in servers {
        let next_hop = route::next_hop(requests.handle(), interface, server).await;
        ways.push(next_hop.map(|next_hop| WayTo { next_hop, mac: mac(next_hop) }));
    }
    Ok(ways)
}

/// The names of the interfaces that have an IPv4 address, but for loopback.
pub(crate) async fn addressed() -> Result<Vec<String>, Error> {
    let requests = Requests::open()?;
    interface::addressed(requests.handle()).await
}

/// Whether the kernel keeps neighbours fresh by itself, tried between two interfaces that are made for it
/// in the calling thread's network namespace, which should be one of its own.
pub(crate) async fn try_managed() -> Result<bool, Error> {
    const ENDS: [&str; 2] = ["probe0", "probe1"];
    const NEIGHBOUR: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);
    let requests = Requests::open()?;
    let links = requests.handle().link();
    let pair = LinkVeth::new(ENDS[0], ENDS[1]).build();
    links.add(pair).execute().await.map_err(Error::request("make a pair of interfaces"))?;
    let up = LinkUnspec::new_with_name(ENDS[0]).up().build();
    requests.handle().link().set(up).execute().await.map_err(Error::request("bring an interface up"))?;
    let index = interface::index(requests.handle(), ENDS[0]).await?;
    if entry::install(requests.handle(), index, NEIGHBOUR).await.is_err() {
        return Ok(false);
    }
    let entries = entry::list(requests.handle(), index).await?;
    Ok(entries.iter().any(|entry| entry.address == NEIGHBOUR && entry.is_kept))
}
