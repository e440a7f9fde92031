//! `haproxy.cfg` as a source of the configuration.
//!
//! [`section`] reads the lines, [`proxy`] takes each section's settings on top of its defaults,
//! [`translate`] makes an [`outline`] of the new file, and [`emit`] writes it. Values go over as
//! text: what xlb thinks of them is said when the result is validated like any other file.

mod backend;
mod bind;
mod emit;
mod httpchk;
mod log;
mod note;
mod outline;
mod proxy;
mod section;
mod server;
mod socket;
mod source;
mod stats;
mod time;
mod translate;
mod uncarried;
mod words;

use std::net::Ipv4Addr;

pub use self::note::{Note, Notes};

use super::problem::Problems;

/// The result of a translation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// The text of `xlb.toml`.
    pub toml: String,
    /// What its reader should know.
    pub notes: Notes,
}

/// Translates the text of a `haproxy.cfg`; its name goes into the messages.
///
/// `interface_of` names the interface for the first frontend's address, which is none if the file
/// has no single one.
///
/// # Errors
///
/// Lines that cannot be read at all.
pub fn import(
    file: &str,
    text: &str,
    interface_of: impl Fn(Option<Ipv4Addr>) -> Option<String>,
) -> Result<Import, Problems> {
    let sections = section::sections(text).map_err(|problems| Problems::new(file, problems))?;
    let (outline, notes) = translate::translate(file, &sections, interface_of);
    Ok(Import { toml: emit::toml(&outline), notes: Notes::new(file, notes) })
}
