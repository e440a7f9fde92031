//! Puts the program on the interface, finds it there again, and replaces it.
//!
//! In XDP and, since Linux 6.6, in TC, a link holds the program, and a pin holds the link. On older
//! kernels TC has no links: there a [`filter`] holds the program until it is removed.

mod choice;
pub mod filter;
mod tcx;
mod trial;

use std::fmt;
use std::time::Duration;

use aya::Ebpf;
use aya::programs::links::FdLink;
use aya::programs::tc::{SchedClassifierLink, TcAttachOptions};
use aya::programs::xdp::XdpLink;
use aya::programs::{
    LinkOrder, Program, ProgramError, SchedClassifier, TcAttachType, Xdp, XdpMode as XdpFlags,
};
use tracing::info;

use self::filter::Filter;
use super::pins::{Hold, Pins};
use super::{Error, object};
use crate::neighbours::{Interface, XdpMode};
use crate::os_error;

pub use choice::{Choice, choose};
pub use trial::{Stay, Trial};

/// How the program is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// XDP in the driver.
    Native,
    /// XDP behind the driver, on packets that the kernel has copied. Works with every driver.
    Generic,
    /// In traffic control, at the interface's ingress, before other programs there. Works with every
    /// driver, and leaves the kernel what it merges and what it has to fill in.
    Tc,
}

/// Which mode is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WantedMode {
    /// The best that the interface allows: see [`choose`].
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
         set `mode = \"tc\"`, or `mode = \"auto\"` to take what there is"
    )]
    NotNative {
        /// The interface.
        interface: String,
        /// What the kernel said.
        source: ProgramError,
    },
    /// Anything else.
    #[error("cannot attach to {interface} in mode {mode}: {source}")]
    Other {
        /// The interface.
        interface: String,
        /// How it was tried.
        mode: Mode,
        /// What the kernel said.
        source: ProgramError,
    },
    /// The kernel is older than XDP links (5.9).
    #[error("the kernel gave no link for {0}; xlb needs Linux 6.1 or newer")]
    NoLink(String),
    /// The program cannot be loaded or pinned.
    #[error(transparent)]
    Dataplane(#[from] Error),
}

/// An attached program. One in a link stays on the interface until its pins are removed, one in a filter
/// until that is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attached {
    /// The mode that was taken.
    pub mode: Mode,
    /// Why this one.
    pub reason: String,
}

impl Mode {
    /// All modes.
    pub const ALL: [Self; 3] = [Self::Native, Self::Generic, Self::Tc];

    /// The mode with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.to_string() == name)
    }

    /// The name of its program in the object.
    #[must_use]
    pub const fn program(self) -> &'static str {
        match self {
            Self::Native | Self::Generic => "xlb_xdp",
            Self::Tc => "xlb_tc",
        }
    }

    /// What it is, in the words of a sentence.
    #[must_use]
    pub const fn description(self) -> &'static str {
        match self {
            Self::Native => "native XDP",
            Self::Generic => "generic XDP",
            Self::Tc => "TC",
        }
    }

    /// Whether checksums leave as they came, even those that somebody was still to fill in.
    #[must_use]
    pub const fn leaves_checksums(self) -> bool {
        matches!(self, Self::Native | Self::Generic)
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Native => "native",
            Self::Generic => "generic",
            Self::Tc => "tc",
        })
    }
}

/// Loads the programs of all modes that [`attach`] may come to, into the kernel.
pub fn load(ebpf: &mut Ebpf, interface: &Interface, wanted: WantedMode) -> Result<(), Error> {
    choose(wanted, interface).programs().iter().try_for_each(|name| object::load_program(ebpf, name))
}

/// Attaches the object's program for the wanted mode, or for the best one that works, and pins what
/// holds it, unless it is to be on trial.
pub fn attach(
    ebpf: &mut Ebpf,
    interface: &Interface,
    wanted: WantedMode,
    pins: &Pins,
    stay: Stay,
) -> Result<(Attached, Option<Trial>), AttachError> {
    let Choice { first, others, reason } = choose(wanted, interface);
    let mut failures = Vec::new();
    let mut try_mode = |mode| attach_in(ebpf, interface, mode, pins, stay).map(|trial| (mode, trial));
    let mut attempt = try_mode(first);
    for mode in others {
        let Err(error) = attempt else { break };
        failures.push(error.reason());
        attempt = try_mode(*mode);
    }
    let reason = if failures.is_empty() { reason } else { failures.join("; ") };
    attempt.map(|(mode, trial)| (Attached { mode, reason }, trial))
}

fn attach_in(
    ebpf: &mut Ebpf,
    interface: &Interface,
    mode: Mode,
    pins: &Pins,
    stay: Stay,
) -> Result<Option<Trial>, AttachError> {
    let link = match object::program(ebpf, mode.program())? {
        Program::Xdp(program) => attach_xdp(program, interface, mode)?,
        Program::SchedClassifier(program) => match attach_tcx(program, interface) {
            Err(AttachError::Other { source, .. }) if has_no_tcx(&source) => {
                let attached = match stay {
                    Stay::Pinned => Filter::attach(program, interface, pins).map(|()| None),
                    Stay::OnTrial => Trial::in_filter(ebpf, interface, pins).map(Some),
                };
                return attached.inspect_err(|_| {
                    // What it needed is of no use any more.
                    let _ = pins.remove_filter();
                });
            }
            link => link?,
        },
        _ => return Err(Error::Missing(mode.program()).into()),
    };
    match stay {
        Stay::Pinned => Ok(pins.pin_link(link).map(|()| None)?),
        Stay::OnTrial => Ok(Some(Trial::Link(link))),
    }
}

fn attach_xdp(program: &mut Xdp, interface: &Interface, mode: Mode) -> Result<FdLink, AttachError> {
    let flags = if mode == Mode::Native { XdpFlags::Driver } else { XdpFlags::Skb };
    let id = program.attach(&interface.name, flags).map_err(|source| {
        let interface = interface.name.clone();
        if mode == Mode::Native && is_unsupported(&source) {
            AttachError::NotNative { interface, source }
        } else {
            AttachError::Other { interface, mode, source }
        }
    })?;
    let link = program.take_link(id).map_err(|_| no_link(interface))?;
    FdLink::try_from(link).map_err(|_| no_link(interface))
}

/// First of all programs: what is not ours goes on to the next one.
fn attach_tcx(program: &mut SchedClassifier, interface: &Interface) -> Result<FdLink, AttachError> {
    let options = TcAttachOptions::TcxOrder(LinkOrder::first());
    let id = program
        .attach_with_options(&interface.name, TcAttachType::Ingress, options)
        .map_err(failed(interface, Mode::Tc))?;
    let link = program.take_link(id).map_err(|_| no_link(interface))?;
    FdLink::try_from(link).map_err(|_| no_link(interface))
}

/// Replaces the attached program by the object's, in one step: each packet meets one of the two.
pub fn swap(ebpf: &mut Ebpf, interface: &Interface, mode: Mode, pins: &Pins) -> Result<(), AttachError> {
    let program = object::program(ebpf, mode.program())?;
    let no_link = |_| no_link(interface);
    match (pins.hold()?, program) {
        (Hold::Link(link), Program::Xdp(program)) => {
            let link = XdpLink::try_from(link).map_err(no_link)?;
            let id = program.attach_to_link(link).map_err(failed(interface, mode))?;
            // The pin holds the link, so the handle may go, and must not take the program with it.
            program.take_link(id).map(drop).map_err(failed(interface, mode))
        }
        (Hold::Link(link), Program::SchedClassifier(program)) => {
            let link = SchedClassifierLink::try_from(link).map_err(no_link)?;
            let id = program.attach_to_link(link).map_err(failed(interface, mode))?;
            program.take_link(id).map(drop).map_err(failed(interface, mode))
        }
        (Hold::Filter(_), Program::SchedClassifier(program)) => Filter::attach(program, interface, pins),
        _ => Err(Error::Missing(mode.program()).into()),
    }
}

/// How the pinned program is attached to an interface; none if it is not any more.
pub fn find(pins: &Pins, interface: &Interface) -> Result<Option<Mode>, Error> {
    match pins.hold()? {
        Hold::Link(link) => mode_of(&[link.info()?.program_id()], interface),
        Hold::Nothing => mode_of(&pins.programs(), interface),
        Hold::Filter(filter) => Ok(filter.is_on(interface)?.then_some(Mode::Tc)),
    }
}

/// How one of these programs is attached to an interface by a link; none if none is.
fn mode_of(programs: &[u32], interface: &Interface) -> Result<Option<Mode>, Error> {
    let is_ours = |program: &u32| programs.contains(program);
    match interface.xdp.filter(|xdp| xdp.program.as_ref().is_some_and(is_ours)).map(|xdp| xdp.mode) {
        Some(XdpMode::Native) => Ok(Some(Mode::Native)),
        Some(XdpMode::Generic) => Ok(Some(Mode::Generic)),
        Some(XdpMode::Hardware | XdpMode::Multiple) => Ok(None),
        None => {
            let attached = tcx::programs(interface.index).map_err(Error::Filter)?;
            Ok(attached.iter().any(is_ours).then_some(Mode::Tc))
        }
    }
}

/// Waits until none of these programs is on the interface any more, at most five seconds.
///
/// The kernel lets go of a link some milliseconds after its last pin is gone, or its agent killed, and tells
/// nobody when. Whoever starts again at once would meet the old program.
pub async fn until_detached(programs: &[u32], name: &str) {
    const PAUSE: Duration = Duration::from_millis(10);
    const USUAL: u32 = 10;
    const MOST: u32 = 500;
    for round in 0..MOST {
        match Interface::lookup(name).await {
            Ok(interface) if matches!(mode_of(programs, &interface), Ok(Some(_))) => {
                if round == USUAL {
                    info!("waiting until the kernel has let go of the program on {name}");
                }
                tokio::time::sleep(PAUSE).await;
            }
            _ => return,
        }
    }
}

/// How many programs of others are at an interface's ingress in TC, by links and in filters.
pub fn others_in_tc(interface: &Interface, pins: &Pins) -> Result<usize, Error> {
    let ours = pins.programs();
    let programs = tcx::programs(interface.index).map_err(Error::Filter)?;
    let linked = programs.iter().filter(|program| !ours.contains(program)).count();
    Ok(linked + filter::others(interface)?)
}

fn failed(interface: &Interface, mode: Mode) -> impl FnOnce(ProgramError) -> AttachError {
    move |source| AttachError::Other { interface: interface.name.clone(), mode, source }
}

fn no_link(interface: &Interface) -> AttachError {
    AttachError::NoLink(interface.name.clone())
}

impl AttachError {
    /// What the kernel said, in a few words.
    fn reason(&self) -> String {
        match self {
            Self::NotNative { interface, source } => {
                let error = os_error::find(source).map_or_else(|| source.to_string(), ToString::to_string);
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
    os_error::number(error).is_some_and(|errno| !KERNELS_OWN.contains(&errno))
}

/// Whether the kernel has never heard of links in TC (before 6.6).
fn has_no_tcx(error: &ProgramError) -> bool {
    os_error::number(error) == Some(libc::EINVAL)
}
