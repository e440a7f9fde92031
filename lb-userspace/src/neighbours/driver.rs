//! What `ethtool` shows of an interface: the name of its driver, and what is merged before anybody sees it.
//!
//! By ioctl and not from `/sys/class/net`, which shows the network namespace that was current when
//! it was mounted, and nothing for interfaces without hardware.

use std::ffi::CStr;
use std::io;
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use socket2::{Domain, Socket, Type};

/// `linux/sockios.h`.
const SIOCETHTOOL: libc::Ioctl = 0x8946;
/// `linux/ethtool.h`.
const ETHTOOL_GDRVINFO: u32 = 3;
const ETHTOOL_GFLAGS: u32 = 0x25;
const ETHTOOL_GGRO: u32 = 0x2b;
const ETH_FLAG_LRO: u32 = 1 << 15;

/// `struct ethtool_drvinfo` of `linux/ethtool.h`.
#[repr(C)]
struct DriverInfo {
    command: u32,
    driver: [u8; 32],
    /// Versions, bus, and counts that nobody here asks for.
    rest: [u8; 160],
}

const _: () = assert!(size_of::<DriverInfo>() == 196);

/// `struct ethtool_value` of `linux/ethtool.h`.
#[repr(C)]
struct Value {
    command: u32,
    data: u32,
}

/// What is merged of what comes in, before any program but native XDP sees it. None where the driver does
/// not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Merging {
    /// By the kernel, which can take it apart again.
    pub gro: Option<bool>,
    /// By the card, for good.
    pub lro: Option<bool>,
}

impl Merging {
    /// That of an interface.
    #[must_use]
    pub fn of(interface: &str) -> Self {
        let value = |command| {
            let mut value = Value { command, data: 0 };
            query(interface, &mut value).ok().map(|()| value.data)
        };
        let flags = value(ETHTOOL_GFLAGS);
        Self { gro: value(ETHTOOL_GGRO).map(|on| on != 0), lro: flags.map(|flags| flags & ETH_FLAG_LRO != 0) }
    }
}

/// The driver's name; none if it does not give one.
pub(super) fn name(interface: &str) -> io::Result<Option<String>> {
    let mut info = DriverInfo { command: ETHTOOL_GDRVINFO, driver: [0; 32], rest: [0; 160] };
    match query(interface, &mut info) {
        Ok(()) => {
            let name = CStr::from_bytes_until_nul(&info.driver).unwrap_or_default();
            Ok(Some(name.to_string_lossy().into_owned()))
        }
        Err(Errno::EOPNOTSUPP) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Asks by a structure that begins with the command and is what the command expects.
fn query<T>(interface: &str, info: &mut T) -> Result<(), Errno> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).map_err(|_| Errno::last())?;
    let mut request = libc::ifreq {
        ifr_name: interface_name(interface)?,
        ifr_ifru: libc::__c_anonymous_ifr_ifru { ifru_data: std::ptr::from_mut(info).cast() },
    };
    // SAFETY: the request names a buffer that outlives the call and is the structure that the kernel
    // writes for its command, and the name ends with a zero.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), SIOCETHTOOL, &raw mut request) };
    Errno::result(result).map(drop)
}

/// The name as the kernel takes it, filled up with at least one zero.
fn interface_name(name: &str) -> Result<[libc::c_char; libc::IFNAMSIZ], Errno> {
    if name.len() >= libc::IFNAMSIZ {
        return Err(Errno::ENODEV);
    }
    let mut field = [0; libc::IFNAMSIZ];
    for (to, from) in field.iter_mut().zip(name.bytes()) {
        *to = libc::c_char::from_ne_bytes([from]);
    }
    Ok(field)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_that_does_not_exist_has_no_driver() {
        let errno = |interface| name(interface).unwrap_err().raw_os_error();
        assert_eq!(errno("nosuchdevice"), Some(libc::ENODEV));
        assert_eq!(errno("a-name-that-is-longer-than-any"), Some(libc::ENODEV));
    }
}
