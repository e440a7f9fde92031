//! The programs for clients on this host, and the cgroup that they are attached to.

use std::fs::File;
use std::path::Path;

use aya::Ebpf;
use aya::programs::links::FdLink;
use aya::programs::{CgroupAttachMode, CgroupSock, CgroupSockAddr, Program, ProgramError};

use super::Error;
use crate::dataplane;
use crate::dataplane::pins::{LOCAL_LINKS, Pins};

/// The programs, by the links that hold them.
const PROGRAMS: [(&str, &str); 5] = [
    ("xlb_connect4", LOCAL_LINKS[0]),
    ("xlb_connect6", LOCAL_LINKS[1]),
    ("xlb_peer4", LOCAL_LINKS[2]),
    ("xlb_peer6", LOCAL_LINKS[3]),
    ("xlb_release", LOCAL_LINKS[4]),
];

/// Loads the programs into the kernel. Comes before the maps are taken out of the object.
pub fn load(ebpf: &mut Ebpf) -> Result<(), Error> {
    for (name, _) in PROGRAMS {
        let loaded = match program(ebpf, name)? {
            Program::CgroupSockAddr(program) => program.load(),
            Program::CgroupSock(program) => program.load(),
            _ => return Err(dataplane::Error::Missing(name).into()),
        };
        loaded.map_err(|source| dataplane::Error::Program { name, source })?;
    }
    Ok(())
}

/// A link, and the name of its pin.
pub type Link = (&'static str, FdLink);

/// Attaches the loaded programs to a cgroup.
pub fn attach(ebpf: &mut Ebpf, cgroup: &Path) -> Result<Vec<Link>, Error> {
    let file = File::open(cgroup).map_err(|source| Error::Cgroup { path: cgroup.to_owned(), source })?;
    // Connections last: whoever has one can ask for its peer.
    let mut links = Vec::with_capacity(PROGRAMS.len());
    for (name, link) in PROGRAMS.into_iter().rev() {
        links.push((link, attach_one(program(ebpf, name)?, name, &file, cgroup)?));
    }
    Ok(links)
}

/// Pins the links of attached programs, in place of those of another agent or of another cgroup, if there
/// are any.
///
/// There is no moment without a program. For one moment both may run: a connection that the first
/// has turned to a server is none to a frontend any more, so the second leaves it alone and nothing
/// is counted twice.
pub fn pin(links: Vec<Link>, pins: &Pins) -> Result<(), Error> {
    for (name, link) in links {
        pins.replace_link(name, link)?;
    }
    Ok(())
}

/// Takes the programs off their cgroup. Connections that were turned to a server go on.
pub fn detach(pins: &Pins) -> Result<(), Error> {
    for name in LOCAL_LINKS {
        pins.remove_link(name)?;
    }
    Ok(())
}

/// Whether the programs are on a cgroup.
#[must_use]
pub fn is_attached(pins: &Pins) -> bool {
    LOCAL_LINKS.iter().all(|name| pins.has_link(name))
}

fn program<'a>(ebpf: &'a mut Ebpf, name: &'static str) -> Result<&'a mut Program, dataplane::Error> {
    ebpf.program_mut(name).ok_or(dataplane::Error::Missing(name))
}

fn attach_one(
    program: &mut Program,
    name: &'static str,
    cgroup: &File,
    path: &Path,
) -> Result<FdLink, Error> {
    // By a link, which always lets others' programs run beside it; the mode is for older kernels.
    let mode = CgroupAttachMode::Single;
    let link = match program {
        Program::CgroupSockAddr(program) => link_of_address_program(program, cgroup, mode),
        Program::CgroupSock(program) => link_of_socket_program(program, cgroup, mode),
        _ => return Err(dataplane::Error::Missing(name).into()),
    };
    let link = link.map_err(|source| Error::Attach { name, path: path.to_owned(), source })?;
    link.ok_or(Error::NoLink(name))
}

fn link_of_address_program(
    program: &mut CgroupSockAddr,
    cgroup: &File,
    mode: CgroupAttachMode,
) -> Result<Option<FdLink>, ProgramError> {
    let id = program.attach(cgroup, mode)?;
    Ok(FdLink::try_from(program.take_link(id)?).ok())
}

fn link_of_socket_program(
    program: &mut CgroupSock,
    cgroup: &File,
    mode: CgroupAttachMode,
) -> Result<Option<FdLink>, ProgramError> {
    let id = program.attach(cgroup, mode)?;
    Ok(FdLink::try_from(program.take_link(id)?).ok())
}
