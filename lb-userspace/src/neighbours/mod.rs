//! Where frames to the servers go: the next hops' MAC addresses, by netlink.
//!
//! A [`Resolver`] finds the next hop of each server, has the kernel keep its neighbour entry fresh
//! (`NTF_EXT_MANAGED`, since Linux 5.16, which goes on without us), and reports every MAC address
//! that it learns. [`Interface`] says what there is to know about the balancer's own interface.

mod driver;
mod entry;
mod error;
mod features;
mod interface;
mod look;
mod netlink;
mod notice;
mod resolver;
mod route;
mod table;

pub use driver::Merging;
pub use error::Error;
pub use interface::{AttachedXdp, Interface, XdpMode};
pub use look::WayTo;
pub(crate) use look::{addressed, try_managed, ways};
pub use resolver::{Event, Resolver, check_routes, release};
pub use table::NextHop;
