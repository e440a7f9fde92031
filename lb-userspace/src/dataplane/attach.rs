//! Puts the program on the interface.

use std::fmt;
use std::io;

use aya::programs::links::FdLink;
use aya::programs::xdp::{XdpLink, XdpLinkId};
use aya::programs::{ProgramError, Xdp, XdpMode};

/// How the program is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// In the driver.
    Native,
    /// Behind the driver, on packets that the kernel has copied. Works with every driver.
    Generic,
}

/// Which mode is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WantedMode {
    /// Native if the driver has it, else generic.
    Auto,
    /// This one or none.
    Only(Mode),
}

/// The program could not be attached.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// The driver has no native XDP.
    #[error(
        "the driver of {interface} does not offer native XDP ({source}); \
         set `mode = \"generic\"`, or `mode = \"auto\"` to take what there is"
    )]
    NotNative {
        /// The interface.
        interface: String,
        /// What the kernel said.
        source: ProgramError,
    },
    /// Anything else.
    #[error("cannot attach to {interface}: {source}")]
    Other {
        /// The interface.
        interface: String,
        /// What the kernel said.
        source: ProgramError,
    },
    /// The kernel is older than XDP links (5.9).
    #[error("the kernel gave no link for {0}; xlb needs Linux 6.1 or newer")]
    NoLink(String),
}

/// An attached program: it stays on the interface as long as the link is held or pinned.
#[derive(Debug)]
pub struct Attached {
    /// The mode that was taken.
    pub mode: Mode,
    /// Why it is not the native one, if that was tried.
    pub why_not_native: Option<String>,
    /// The link.
    pub link: FdLink,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Native => "native",
            Self::Generic => "generic",
        })
    }
}

/// Attaches a loaded program.
pub fn attach(program: &mut Xdp, interface: &str, wanted: WantedMode) -> Result<Attached, AttachError> {
    let mut why_not_native = None;
    let attempt = match wanted {
        WantedMode::Only(mode) => attach_in(program, interface, mode),
        WantedMode::Auto => match attach_in(program, interface, Mode::Native) {
            Err(error @ AttachError::NotNative { .. }) => {
                why_not_native = Some(error.reason());
                attach_in(program, interface, Mode::Generic)
            }
            native => native,
        },
    };
    let (mode, id) = attempt?;
    let no_link = || AttachError::NoLink(interface.to_owned());
    let link = program.take_link(id).map_err(|_| no_link())?;
    let link = FdLink::try_from(link).map_err(|_| no_link())?;
    Ok(Attached { mode, why_not_native, link })
}

/// Replaces the program of a link by a loaded one, in one step: each packet meets one of the two.
pub fn swap(program: &mut Xdp, link: FdLink, interface: &str) -> Result<(), AttachError> {
    let error = |source| AttachError::Other { interface: interface.to_owned(), source };
    let link = XdpLink::try_from(link).map_err(|_| AttachError::NoLink(interface.to_owned()))?;
    let id = program.attach_to_link(link).map_err(error)?;
    // The pin holds the link, so the handle may go, and must not take the program with it.
    program.take_link(id).map(drop).map_err(error)
}

fn attach_in(program: &mut Xdp, interface: &str, mode: Mode) -> Result<(Mode, XdpLinkId), AttachError> {
    let flags = match mode {
        Mode::Native => XdpMode::Driver,
        Mode::Generic => XdpMode::Skb,
    };
    match program.attach(interface, flags) {
        Ok(id) => Ok((mode, id)),
        Err(source) if mode == Mode::Native && is_unsupported(&source) => {
            Err(AttachError::NotNative { interface: interface.to_owned(), source })
        }
        Err(source) => Err(AttachError::Other { interface: interface.to_owned(), source }),
    }
}

impl AttachError {
    /// What the kernel said, in a few words.
    fn reason(&self) -> String {
        match self {
            Self::NotNative { interface, source } => {
                let error = os_error(source).map_or_else(|| source.to_string(), ToString::to_string);
                format!("the driver of {interface} does not take a native program: {error}")
            }
            other => other.to_string(),
        }
    }
}

/// Whether it is the driver that refuses: it has no XDP, or not for the interface as it is set up
/// (a large MTU, too few queues). Each driver has its own errors for that, so these are all but the
/// kernel's own.
fn is_unsupported(error: &ProgramError) -> bool {
    const KERNELS_OWN: [i32; 5] = [libc::EBUSY, libc::EEXIST, libc::EPERM, libc::ENODEV, libc::EBADF];
    os_error(error).and_then(io::Error::raw_os_error).is_some_and(|errno| !KERNELS_OWN.contains(&errno))
}

/// The system's error at the bottom of aya's.
fn os_error(error: &ProgramError) -> Option<&io::Error> {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref() {
            return Some(error);
        }
        source = error.source();
    }
    None
}
