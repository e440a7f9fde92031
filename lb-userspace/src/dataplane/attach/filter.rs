//! TC on kernels without links for it (before 6.6): a filter of the `clsact` queueing discipline.
//!
//! It stays until it is removed, whatever becomes of the process. It is known again by its priority,
//! its handle and its program's name; and a pin beside the maps says on which interface it is, and
//! whether the queueing discipline was made for it.

use std::io;
use std::mem;

use aya::programs::tc::{
    NlOptions, SchedClassifierLink, TcAttachOptions, TcError, TcHandle as Handle, qdisc_add_clsact,
};
use aya::programs::{ProgramError, SchedClassifier, TcAttachType};
use rtnetlink::packet_core::{NLM_F_ACK, NLM_F_DUMP};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::tc::{TcAttribute, TcFilterBpfOption, TcHandle, TcMessage, TcOption};
use rtnetlink::sys::protocols::NETLINK_ROUTE;

use super::super::Error;
use super::super::pins::Pins;
use super::{AttachError, Mode, failed, trial};
use crate::neighbours::Interface;
use crate::netlink::Line;

/// Before all filters that somebody adds without saying where.
const PRIORITY: u16 = 1;

/// "xlb", in a place where the kernel itself would count up from 1.
const HANDLE: Handle = Handle::new(0x0078, 0x6c62);

/// All protocols, as a filter's key has them.
const ETH_P_ALL: u16 = 3;

/// Our filter on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filter {
    /// The interface's number.
    pub interface: u32,
    /// Whether the queueing discipline is ours, too.
    pub with_qdisc: bool,
    /// Whether its program is on trial, and does nothing once the agent has ended.
    pub on_trial: bool,
}

impl Filter {
    /// Puts a program into the filter on an interface, in place of the one that may be in it, in one
    /// step. Makes the filter where there is none, and what it needs.
    ///
    /// The pin comes first: what is attached without one, nobody would find again.
    pub fn attach(
        program: &mut SchedClassifier,
        interface: &Interface,
        pins: &Pins,
    ) -> Result<(), AttachError> {
        Self::put(program, interface, pins, false).map(drop)
    }

    /// The same with the program that jumps into the real one as long as it is on trial.
    pub(super) fn attach_on_trial(
        program: &mut SchedClassifier,
        interface: &Interface,
        pins: &Pins,
    ) -> Result<Self, AttachError> {
        Self::put(program, interface, pins, true)
    }

    fn put(
        program: &mut SchedClassifier,
        interface: &Interface,
        pins: &Pins,
        on_trial: bool,
    ) -> Result<Self, AttachError> {
        let before = pins.filter()?.filter(|filter| filter.interface == interface.index);
        let made_now = add_qdisc(&interface.name).map_err(failed(interface, Mode::Tc))?;
        let with_qdisc = made_now || before.is_some_and(|filter| filter.with_qdisc);
        let filter = Self { interface: interface.index, with_qdisc, on_trial };
        pins.pin_filter(filter, program)?;
        let attached = if filter.is_on(interface)? {
            replace(program, interface)
        } else {
            let options = NlOptions { priority: PRIORITY, handle: HANDLE, classid: None };
            let options = TcAttachOptions::Netlink(options);
            program.attach_with_options(&interface.name, TcAttachType::Ingress, options)
        };
        let link = attached.and_then(|id| program.take_link(id)).map_err(failed(interface, Mode::Tc))?;
        // aya would detach it.
        mem::forget(link);
        Ok(filter)
    }

    /// Whether it is there.
    pub fn is_on(self, interface: &Interface) -> Result<bool, Error> {
        Ok(self.interface == interface.index && self.is_there()?)
    }

    fn is_there(self) -> Result<bool, Error> {
        let filters = filters(self.interface, TcHandle::MIN_INGRESS)?;
        Ok(filters.iter().any(is_ours))
    }

    /// Removes it, and the queueing discipline if that is ours and nobody else uses it.
    pub fn remove(self) -> Result<(), Error> {
        if self.is_there()? {
            let mut message = message(self.interface, parent(TcHandle::MIN_INGRESS));
            message.header.handle = u32::from(HANDLE).into();
            message.header.info = info();
            request(RouteNetlinkMessage::DelTrafficFilter(message), NLM_F_ACK)?;
        }
        if self.with_qdisc && self.is_unused()? {
            let mut message = message(self.interface, TcHandle::CLSACT);
            message.header.handle = TcHandle { major: u16::MAX, minor: 0 };
            match request(RouteNetlinkMessage::DelQueueDiscipline(message), NLM_F_ACK) {
                // It went with its interface.
                Err(Error::Filter(error)) if is_gone(&error) => {}
                result => result.map(drop)?,
            }
        }
        Ok(())
    }

    /// Whether no filter is left, of whomever.
    fn is_unused(self) -> Result<bool, Error> {
        let is_empty = |side| filters(self.interface, side).map(|filters| filters.is_empty());
        Ok(is_empty(TcHandle::MIN_INGRESS)? && is_empty(TcHandle::MIN_EGRESS)?)
    }
}

/// Makes the queueing discipline; tells whether there was none.
fn add_qdisc(interface: &str) -> Result<bool, ProgramError> {
    match qdisc_add_clsact(interface) {
        Ok(()) => Ok(true),
        Err(TcError::NetlinkError(error)) if error.raw_os_error() == Some(libc::EEXIST) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn replace(
    program: &mut SchedClassifier,
    interface: &Interface,
) -> Result<aya::programs::tc::SchedClassifierLinkId, ProgramError> {
    let attached =
        SchedClassifierLink::attached(&interface.name, TcAttachType::Ingress, PRIORITY, HANDLE, None);
    program.attach_to_link(attached.map_err(TcError::IoError)?)
}

/// The filters on one side of an interface.
fn filters(interface: u32, side: u16) -> Result<Vec<TcMessage>, Error> {
    let message = message(interface, parent(side));
    match request(RouteNetlinkMessage::GetTrafficFilter(message), NLM_F_DUMP) {
        Err(Error::Filter(error)) if is_gone(&error) => Ok(Vec::new()),
        filters => filters,
    }
}

/// How many filters of others there are at an interface's ingress.
pub(super) fn others(interface: &Interface) -> Result<usize, Error> {
    let filters = filters(interface.index, TcHandle::MIN_INGRESS)?;
    Ok(filters.iter().filter(|filter| !is_ours(filter)).count())
}

/// A chain's head is listed like a filter, but has no handle.
fn is_filter(message: &TcMessage) -> bool {
    u32::from(message.header.handle) != 0
}

fn is_ours(message: &TcMessage) -> bool {
    let mut options = message.attributes.iter().flat_map(|attribute| match attribute {
        TcAttribute::Options(options) => options.as_slice(),
        _ => &[],
    });
    let has_name = options.any(
        |option| matches!(option, TcOption::Bpf(TcFilterBpfOption::ProgName(name)) if is_name_of_ours(name)),
    );
    u32::from(message.header.handle) == u32::from(HANDLE) && message.header.info == info() && has_name
}

fn is_name_of_ours(name: &str) -> bool {
    [Mode::Tc.program(), trial::PROGRAM].contains(&name)
}

/// Where a filter is in its side: its priority, and for which protocol.
fn info() -> u32 {
    u32::from(PRIORITY) << 16 | u32::from(ETH_P_ALL.to_be())
}

const fn parent(side: u16) -> TcHandle {
    TcHandle { major: u16::MAX, minor: side }
}

fn message(interface: u32, parent: TcHandle) -> TcMessage {
    let mut message = TcMessage::with_index(interface as i32);
    message.header.parent = parent;
    message
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENODEV | libc::ENOENT | libc::EINVAL))
}

/// Asks the kernel, and returns the filters that it answers with.
fn request(message: RouteNetlinkMessage, flags: u16) -> Result<Vec<TcMessage>, Error> {
    let mut found = Vec::new();
    let ask = || -> io::Result<()> {
        let line = Line::open(NETLINK_ROUTE)?;
        line.send(message, flags)?;
        line.receive(|answer| {
            if let RouteNetlinkMessage::NewTrafficFilter(filter) = answer {
                found.push(filter);
            }
        })
    };
    ask().map_err(Error::Filter)?;
    found.retain(is_filter);
    Ok(found)
}
