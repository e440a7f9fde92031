//! What there is to know about a network interface.

use std::net::{IpAddr, Ipv4Addr};

use futures::TryStreamExt;
use lb_common::net::Mac;
use nix::errno::Errno;
use rtnetlink::Handle;
use rtnetlink::packet_route::address::AddressAttribute;
use rtnetlink::packet_route::link::{LinkAttribute, LinkFlags, LinkMessage, LinkXdp, XdpAttached};

use super::netlink::Requests;
use super::{Error, driver, error, features};

/// An Ethernet interface, as it was when looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its number.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Its own address.
    pub mac: Mac,
    /// The largest IP packet that it sends, in bytes.
    pub mtu: u32,
    /// Its IPv4 addresses and the lengths of their prefixes.
    pub addresses: Vec<(Ipv4Addr, u8)>,
    /// Whether it is switched on (`IFF_UP`).
    pub is_up: bool,
    /// Whether its cable is connected (`IFF_LOWER_UP`).
    pub has_carrier: bool,
    /// The name of its driver; not every driver gives one.
    pub driver: Option<String>,
    /// Whether the driver has native XDP; kernels before 6.3 do not tell.
    pub has_native_xdp: Option<bool>,
    /// The XDP program that is attached.
    pub xdp: Option<AttachedXdp>,
}

/// An attached XDP program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttachedXdp {
    /// The program's id; none where programs are attached in several modes at once.
    pub program: Option<u32>,
    /// How it is attached.
    pub mode: XdpMode,
}

/// Where an XDP program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum XdpMode {
    /// In the driver.
    Native,
    /// In the kernel's network stack.
    Generic,
    /// In the network card.
    Hardware,
    /// In several places.
    Multiple,
}

impl XdpMode {
    /// The mode in a word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Generic => "generic",
            Self::Hardware => "offloaded",
            Self::Multiple => "several modes",
        }
    }
}

impl Interface {
    /// Looks an interface up by name, in the calling thread's network namespace.
    pub async fn lookup(name: &str) -> Result<Self, Error> {
        let requests = Requests::open()?;
        let link = link(requests.handle(), name).await?;
        let addresses = addresses(requests.handle(), link.header.index).await?;
        let driver =
            driver::name(name).map_err(|reason| Error::Request { doing: "ask for the driver", reason })?;
        let mut interface = Self {
            index: link.header.index,
            name: name.to_owned(),
            mac: mac(&link).ok_or_else(|| Error::NotEthernet(name.to_owned()))?,
            mtu: 0,
            addresses,
            is_up: link.header.flags.contains(LinkFlags::Up),
            has_carrier: link.header.flags.contains(LinkFlags::LowerUp),
            driver,
            has_native_xdp: features::has_native_xdp(link.header.index),
            xdp: None,
        };
        for attribute in &link.attributes {
            match attribute {
                LinkAttribute::Mtu(mtu) => interface.mtu = *mtu,
                LinkAttribute::Xdp(attributes) => interface.xdp = attached(attributes),
                _ => {}
            }
        }
        Ok(interface)
    }

    /// Whether frames may come with checksums that are left to be filled in by a network card that does
    /// not exist: over an interface without a wire, from a peer on the same machine.
    #[must_use]
    pub fn leaves_checksums(&self) -> bool {
        const WITHOUT_WIRE: [&str; 6] = ["veth", "virtio_net", "bridge", "tun", "xen_netfront", "macvlan"];
        self.driver.as_deref().is_some_and(|driver| WITHOUT_WIRE.contains(&driver))
    }
}

/// The name of the interface with this number.
pub(super) async fn name(handle: &Handle, index: u32) -> Result<String, Error> {
    let mut links = handle.link().get().match_index(index).execute();
    let link = links.try_next().await.map_err(Error::request("look up an interface"))?;
    let names = link.into_iter().flat_map(|link| link.attributes).find_map(|attribute| match attribute {
        LinkAttribute::IfName(name) => Some(name),
        _ => None,
    });
    Ok(names.unwrap_or_else(|| index.to_string()))
}

/// The number of the interface with this name.
pub(super) async fn index(handle: &Handle, name: &str) -> Result<u32, Error> {
    Ok(link(handle, name).await?.header.index)
}

/// The names of the interfaces that have an IPv4 address, but for loopback.
pub(super) async fn addressed(handle: &Handle) -> Result<Vec<String>, Error> {
    let links: Vec<_> =
        handle.link().get().execute().try_collect().await.map_err(Error::request("list the interfaces"))?;
    let mut names = Vec::new();
    for link in links.iter().filter(|link| !link.header.flags.contains(LinkFlags::Loopback)) {
        if !addresses(handle, link.header.index).await?.is_empty() {
            names.push(name(handle, link.header.index).await?);
        }
    }
    Ok(names)
}

async fn link(handle: &Handle, name: &str) -> Result<LinkMessage, Error> {
    let no_interface = || Error::NoInterface(name.to_owned());
    let mut links = handle.link().get().match_name(name).execute();
    let link = links.try_next().await.map_err(|error| match error::reason(error) {
        // ERANGE and EINVAL: no interface can have a name like this.
        reason if is_any(&reason, &[Errno::ENODEV, Errno::ERANGE, Errno::EINVAL]) => no_interface(),
        reason => Error::Request { doing: "look up an interface", reason },
    })?;
    link.ok_or_else(no_interface)
}

fn is_any(error: &std::io::Error, codes: &[Errno]) -> bool {
    error.raw_os_error().is_some_and(|code| codes.contains(&Errno::from_raw(code)))
}

async fn addresses(handle: &Handle, index: u32) -> Result<Vec<(Ipv4Addr, u8)>, Error> {
    let request = handle.address().get().set_link_index_filter(index);
    let messages: Vec<_> =
        request.execute().try_collect().await.map_err(Error::request("list the addresses"))?;
    let addresses = messages.into_iter().flat_map(|message| {
        let length = message.header.prefix_len;
        message.attributes.into_iter().filter_map(move |attribute| match attribute {
            AddressAttribute::Local(IpAddr::V4(address)) => Some((address, length)),
            _ => None,
        })
    });
    Ok(addresses.collect())
}

fn mac(link: &LinkMessage) -> Option<Mac> {
    let bytes = link.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::Address(bytes) => <[u8; 6]>::try_from(bytes.as_slice()).ok(),
        _ => None,
    });
    bytes.map(Mac).filter(|mac| mac.is_unicast())
}

fn attached(attributes: &[LinkXdp]) -> Option<AttachedXdp> {
    let mode = attributes.iter().find_map(|attribute| match attribute {
        LinkXdp::Attached(XdpAttached::Driver) => Some(XdpMode::Native),
        LinkXdp::Attached(XdpAttached::SocketBuffer) => Some(XdpMode::Generic),
        LinkXdp::Attached(XdpAttached::Hardware) => Some(XdpMode::Hardware),
        LinkXdp::Attached(XdpAttached::Multiple) => Some(XdpMode::Multiple),
        _ => None,
    })?;
    let program = attributes.iter().find_map(|attribute| match attribute {
        LinkXdp::ProgId(id) => Some(*id),
        _ => None,
    });
    Some(AttachedXdp { program, mode })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_attached_program_and_its_mode() {
        let attributes = |how| [LinkXdp::Attached(how), LinkXdp::ProgId(42)];
        let program = |mode| Some(AttachedXdp { program: Some(42), mode });
        assert_eq!(attached(&attributes(XdpAttached::Driver)), program(XdpMode::Native));
        assert_eq!(attached(&attributes(XdpAttached::SocketBuffer)), program(XdpMode::Generic));
        assert_eq!(attached(&[LinkXdp::Attached(XdpAttached::None)]), None);
        assert_eq!(attached(&[]), None);
    }
}
