//! A program that leaves its interface with this process, whatever ends it, until it is kept.
//!
//! A link that is not pinned does that by itself. A filter stays for ever, so a small program is in it
//! that jumps into the real one by a table of programs. The kernel empties such a table when nobody has
//! it open or pinned any more, and from then on the small program lets every frame pass.

use aya::Ebpf;
use aya::maps::{MapData, MapError, ProgramArray};
use aya::programs::SchedClassifier;
use aya::programs::links::FdLink;

use super::super::pins::Pins;
use super::super::{Error, object};
use super::filter::Filter;
use super::{AttachError, Mode};
use crate::neighbours::Interface;

/// The program that jumps into the real one, and the table that it finds it in.
pub(super) const PROGRAM: &str = "xlb_tc_trial";
const TABLE: &str = "TRIAL";

/// How long an attached program stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stay {
    /// Until its pins are removed.
    Pinned,
    /// As long as this process lives, unless it is [kept](Trial::keep).
    OnTrial,
}

/// What holds a program that is on trial; it ends when this is dropped.
pub enum Trial {
    /// A link that is not pinned.
    Link(FdLink),
    /// A filter, and the table that its program jumps by.
    Filter(Filter, ProgramArray<MapData>),
}

impl Trial {
    /// Puts a program on trial into a filter. The filter itself stays at the end, with a pin that tells of
    /// it, and does nothing any more.
    pub fn in_filter(ebpf: &mut Ebpf, interface: &Interface, pins: &Pins) -> Result<Self, AttachError> {
        object::load_program(ebpf, PROGRAM)?;
        let table = ebpf.take_map(TABLE).ok_or(Error::Missing(TABLE))?;
        let mut table = ProgramArray::try_from(table).map_err(table_error)?;
        let name = Mode::Tc.program();
        let real = classifier(ebpf, name)?.fd().map_err(|source| Error::Program { name, source })?;
        table.set(0, real, 0).map_err(table_error)?;
        let filter = Filter::attach_on_trial(classifier(ebpf, PROGRAM)?, interface, pins)?;
        Ok(Self::Filter(filter, table))
    }

    /// The id of the program that the link holds; for a filter nobody needs it.
    #[must_use]
    pub fn program(&self) -> Option<u32> {
        match self {
            Self::Link(link) => Some(link.info().ok()?.program_id()),
            Self::Filter(..) => None,
        }
    }

    /// The filter, if it is one: it has to be removed, also if somebody has removed the pin that tells of it.
    #[must_use]
    pub fn filter(&self) -> Option<Filter> {
        match self {
            Self::Link(_) => None,
            Self::Filter(filter, _) => Some(*filter),
        }
    }

    /// Makes the program stay, as if it had never been on trial: each packet meets it all the time.
    pub fn keep(self, interface: &Interface, pins: &Pins) -> Result<(), AttachError> {
        match self {
            Self::Link(link) => Ok(pins.pin_link(link)?),
            Self::Filter(_, table) => {
                let mut program = pins.classifier(Mode::Tc.program())?;
                Filter::attach(&mut program, interface, pins)?;
                drop(table);
                Ok(())
            }
        }
    }
}

fn classifier<'e>(ebpf: &'e mut Ebpf, name: &'static str) -> Result<&'e mut SchedClassifier, Error> {
    object::program(ebpf, name)?.try_into().map_err(|source| Error::Program { name, source })
}

fn table_error(source: MapError) -> Error {
    Error::Map { name: TABLE, source }
}
