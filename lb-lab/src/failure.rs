//! What happens to hosts and cables.

use crate::host::INTERFACE;
use crate::{Error, Host, Lab, Result, xdp};

/// A host that answers nothing but ARP, as if it hung; it recovers when this is dropped.
#[derive(Debug)]
pub struct Silence {
    _to: xdp::Attached,
    _from: xdp::Attached,
}

impl Silence {
    /// Drops all packets to and from a host of the LAN. Its link stays up, and ARP finds it.
    pub fn begin(lab: &Lab, host: &Host) -> Result<Self> {
        let silence =
            |at: &Host, interface: &str| at.inside(|| xdp::drop_all_but_arp(interface)).map_err(cannot(host));
        Ok(Self { _to: silence(host, INTERFACE)?, _from: silence(&lab.switch, host.name())? })
    }
}

fn cannot(host: &Host) -> impl FnOnce(std::io::Error) -> Error {
    Error::io(format!("silence {host}"))
}

/// Pulls the cable between a host of the LAN and the switch: both sides lose their carrier.
pub fn unplug(lab: &Lab, host: &Host) -> Result<()> {
    lab.switch.run("ip", &["link", "set", host.name(), "down"]).map(drop)
}

/// Plugs it in again.
pub fn plug_in(lab: &Lab, host: &Host) -> Result<()> {
    lab.switch.run("ip", &["link", "set", host.name(), "up"]).map(drop)
}
