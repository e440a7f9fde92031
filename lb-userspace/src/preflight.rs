//! What has to be so before anything is changed on the host.

use std::path::PathBuf;

use nix::sys::statfs::{FsType, statfs};
use nix::sys::utsname::uname;
use nix::unistd::Uid;

use crate::dataplane::attach::{Mode, WantedMode};
use crate::dataplane::pins::{Claim, Pins};
use crate::neighbours::{self, Interface};

/// The oldest kernel that the program is made for.
const OLDEST_KERNEL: (u32, u32) = (6, 1);

/// `BPF_FS_MAGIC` of `linux/magic.h`.
const BPF_FS: FsType = FsType(0xcafe_4a11);

/// The environment is not fit to run in; nothing has been changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not root.
    #[error("xlb run has to be started by root; use sudo")]
    NotRoot,
    /// The kernel lacks what the program needs.
    #[error("the kernel is Linux {found}; xlb needs {oldest_major}.{oldest_minor} or newer", oldest_major = OLDEST_KERNEL.0, oldest_minor = OLDEST_KERNEL.1)]
    OldKernel {
        /// Its release.
        found: String,
    },
    /// The pins would have no file system to be in.
    #[error("{path} is not on a bpf file system; mount one: `mount -t bpf bpf /sys/fs/bpf`", path = .0.display())]
    NoBpfFs(PathBuf),
    /// Somebody else's program.
    #[error(
        "interface {interface} has another XDP program attached ({mode}, id {program}); \
         detach it (`ip link set dev {interface} xdp off`), set `mode = \"tc\"`, or choose another interface",
        program = program.map_or("unknown".to_owned(), |id| id.to_string())
    )]
    OtherProgram {
        /// The interface.
        interface: String,
        /// How it is attached.
        mode: &'static str,
        /// The program's number.
        program: Option<u32>,
    },
    /// The interface is off.
    #[error("interface {0} is down; bring it up: `ip link set dev {0} up`")]
    InterfaceDown(String),
    /// The interface is not there or not usable.
    #[error("{0}; set `interface` to one of those that `ip link` shows")]
    Interface(#[from] neighbours::Error),
    /// The host does not tell its addresses and ports.
    #[error("cannot ask the host for its addresses and ports: {0}; is /proc mounted?")]
    Facts(#[source] std::io::Error),
    /// The pins cannot be looked at.
    #[error(transparent)]
    Pins(#[from] crate::dataplane::Error),
}

/// The environment is fit to run in.
#[derive(Debug)]
pub struct Fit {
    /// The interface.
    pub interface: Interface,
    /// The right to change what is pinned.
    pub claim: Claim,
}

/// Looks at everything, in the order in which a person would want to know.
pub async fn check(interface: &str, wanted: WantedMode, pins: &Pins) -> Result<Fit, Error> {
    if !Uid::effective().is_root() {
        return Err(Error::NotRoot);
    }
    check_kernel()?;
    check_file_system(pins)?;
    let claim = pins.claim()?;
    let interface = Interface::lookup(interface).await?;
    let ours = pins.linked_program();
    // In TC, programs run one after the other, and `auto` finds a mode that is free.
    let is_exclusive = matches!(wanted, WantedMode::Only(Mode::Native | Mode::Generic));
    let other = interface.xdp.filter(|xdp| ours.is_none() || xdp.program != ours);
    if let Some(xdp) = other.filter(|_| is_exclusive) {
        let mode = xdp.mode.name();
        return Err(Error::OtherProgram { interface: interface.name, mode, program: xdp.program });
    }
    if !interface.is_up {
        return Err(Error::InterfaceDown(interface.name));
    }
    Ok(Fit { interface, claim })
}

fn check_kernel() -> Result<(), Error> {
    let release = uname().map(|name| name.release().to_string_lossy().into_owned()).unwrap_or_default();
    match version(&release) {
        Some(version) if version < OLDEST_KERNEL => Err(Error::OldKernel { found: release }),
        // What cannot be read is left for the kernel itself to refuse.
        _ => Ok(()),
    }
}

/// Major and minor number of a kernel's release.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn check_file_system(pins: &Pins) -> Result<(), Error> {
    let parent = pins.directory().parent().unwrap_or(pins.directory());
    let is_bpf = statfs(parent).is_ok_and(|stat| stat.filesystem_type() == BPF_FS);
    if is_bpf { Ok(()) } else { Err(Error::NoBpfFs(parent.to_owned())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_compared_by_number() {
        assert_eq!(version("6.1.0-37-arm64"), Some((6, 1)));
        assert_eq!(version("6.12.47+rpt-rpi-v8"), Some((6, 12)));
        assert_eq!(version("linux"), None);
        assert!(version("5.15.84-v8+").is_some_and(|v| v < OLDEST_KERNEL));
        assert!(version("6.12.0").is_some_and(|v| v >= OLDEST_KERNEL));
    }
}
