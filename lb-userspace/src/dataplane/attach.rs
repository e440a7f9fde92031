//! Puts the program on the interface.

use std::fmt;

use aya::programs::links::FdLink;
use aya::programs::xdp::XdpLinkId;
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WantedMode {
    /// Native if the driver has it, else generic.
    #[default]
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
    let attempt = match wanted {
        WantedMode::Only(mode) => attach_in(program, interface, mode),
        WantedMode::Auto => match attach_in(program, interface, Mode::Native) {
            Err(AttachError::NotNative { .. }) => attach_in(program, interface, Mode::Generic),
            native => native,
        },
    };
    let (mode, id) = attempt?;
    let no_link = || AttachError::NoLink(interface.to_owned());
    let link = program.take_link(id).map_err(|_| no_link())?;
    let link = FdLink::try_from(link).map_err(|_| no_link())?;
    Ok(Attached { mode, link })
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

/// Whether the driver says that it has no XDP, or not for the interface as it is set up (a large
/// MTU, for example).
fn is_unsupported(error: &ProgramError) -> bool {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<std::io::Error>() {
            return matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::EINVAL | libc::ERANGE));
        }
        source = error.source();
    }
    false
}
