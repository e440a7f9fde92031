//! What keeps a data plane alive without its agent: its pins in a bpf file system.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use aya::Ebpf;
use aya::maps::{Map, MapData};
use aya::programs::links::{FdLink, PinnedLink};
use aya::programs::{ProgramInfo, SchedClassifier};
use lb_common::LAYOUT_VERSION;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use super::attach::Mode;
use super::attach::filter::Filter;
use super::maps::{Maps, NAMES};
use super::object::{self, Sizes};
use super::setup::SetupMemory;
use super::status::{self, StatusBoard};
use super::ticker::{self, Ticker};
use super::{Error, definition};

/// Where the pins of the host's one data plane are.
pub const DEFAULT_DIRECTORY: &str = "/sys/fs/bpf/xlb";

const LINK: &str = "link";

/// What stands before an interface's number in the name of the pin that tells of a filter there, and of
/// one whose queueing discipline is ours, too.
const FILTER: &str = "filter_";
const FILTER_WITH_QDISC: &str = "clsact_";

/// What stands before such a name while the filter's program is on trial.
const ON_TRIAL: &str = "trial_";

/// Behind the name of a pin that is to replace another; names with a dot are not allowed there.
const NEXT: &str = "_next";

/// The links that hold the programs for this host's own clients, in the order in which they are
/// removed: first of all nothing new is begun.
pub const LOCAL_LINKS: [&str; 5] =
    ["link_connect4", "link_connect6", "link_peer4", "link_peer6", "link_release"];

/// A directory of pins.
#[derive(Clone, Debug)]
pub struct Pins {
    directory: PathBuf,
}

/// The right to change what is pinned. One process has it, until it drops this or ends.
#[derive(Debug)]
pub struct Claim {
    directory: PathBuf,
    lock: Flock<File>,
}

/// What holds the program on its interface.
#[derive(Debug)]
pub enum Hold {
    /// A link.
    Link(FdLink),
    /// A filter in TC.
    Filter(Filter),
    /// Nothing that is pinned: the program is on trial, or on no interface.
    Nothing,
}

/// What there is in a directory of pins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Nothing,
    /// What is left of a start that was killed before it attached anything, or before it was confirmed:
    /// nothing is forwarded. Or what belongs to an agent that is not so far yet, and lives.
    Ruins,
    /// A data plane.
    DataPlane,
}

impl Pins {
    /// The pins in a directory, which need not exist yet.
    #[must_use]
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into() }
    }

    /// The directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// What is pinned.
    pub fn find(&self) -> Result<Found, Error> {
        match fs::read_dir(&self.directory) {
            Ok(mut entries) => Ok(match entries.next() {
                None => Found::Nothing,
                Some(_) if self.has_link(LINK) => Found::DataPlane,
                Some(_) if self.filter()?.is_some_and(|filter| !filter.on_trial) => Found::DataPlane,
                Some(_) => Found::Ruins,
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Found::Nothing),
            Err(source) => Err(self.file_error(source)),
        }
    }

    /// Takes the right to change what is pinned, and makes the directory where there is none.
    pub fn claim(&self) -> Result<Claim, Error> {
        loop {
            match fs::create_dir(&self.directory) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(self.file_error(error));
                }
                _ => {}
            }
            // Whoever has just taken a data plane down has removed the directory.
            if let Some(claim) = self.try_claim()? {
                return Ok(claim);
            }
        }
    }

    /// Locks the directory; none if it is not there any more once it is locked.
    fn try_claim(&self) -> Result<Option<Claim>, Error> {
        let file = match File::open(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file.map_err(|source| self.file_error(source))?,
        };
        let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| match errno {
            Errno::EWOULDBLOCK => Error::Taken { path: self.directory.clone(), agent: self.agent() },
            errno => self.file_error(errno.into()),
        })?;
        let claim = Claim { directory: self.directory.clone(), lock };
        Ok(claim.is_of_the_directory().then_some(claim))
    }

    /// The process that says it is the agent.
    fn agent(&self) -> Option<u32> {
        let status = self.open_board().and_then(|board| board.read()).ok()?;
        Some(status.pid).filter(|pid| *pid != 0)
    }

    /// Pins the maps of a loaded object, and makes the one that the CLI reads names and health from.
    pub fn pin_maps(&self, ebpf: &Ebpf) -> Result<StatusBoard, Error> {
        for name in NAMES {
            let map = ebpf.map(name).ok_or(Error::Missing(name))?;
            let path = self.directory.join(name);
            map.pin(&path).map_err(|source| Error::Pin { path, source })?;
        }
        StatusBoard::create(&self.directory.join(status::NAME))
    }

    /// Loads an object around the pinned maps, if they are what it needs.
    pub fn load(&self, object: &[u8], sizes: Sizes) -> Result<Ebpf, Error> {
        definition::check(object, sizes, &self.directory)?;
        object::load_over(object, sizes, &self.directory)
    }

    /// Pins a loaded program of the object under its own name, in place of the one that may have it.
    pub fn pin_program(&self, ebpf: &mut Ebpf, name: &'static str) -> Result<(), Error> {
        self.replace(name, |path| {
            object::program(ebpf, name)?
                .pin(path)
                .map_err(|source| Error::Pin { path: path.to_owned(), source })
        })
    }

    /// Pins the link that holds the program on the interface, in place of the link or the filter that may
    /// be there.
    pub fn pin_link(&self, link: FdLink) -> Result<(), Error> {
        self.replace_link(LINK, link)?;
        self.remove_filter().map(drop)
    }

    /// Pins a program under the name that tells of its filter, in place of another filter's.
    pub fn pin_filter(&self, filter: Filter, program: &mut SchedClassifier) -> Result<(), Error> {
        let former = self.filter()?;
        self.replace(&filter_name(filter), |path| {
            program.pin(path).map_err(|source| Error::Pin { path: path.to_owned(), source })
        })?;
        match former.filter(|former| *former != filter) {
            Some(former) => self.remove_link(&filter_name(former)).map(drop),
            None => Ok(()),
        }
    }

    /// The filter that holds the program on the interface, if it is one.
    pub fn filter(&self) -> Result<Option<Filter>, Error> {
        let entries = fs::read_dir(&self.directory).map_err(|source| self.file_error(source))?;
        let mut names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        Ok(names.find_map(|name| named_filter(&name)))
    }

    /// Removes the filter, if there is one, and then its pin.
    pub fn remove_filter(&self) -> Result<bool, Error> {
        let Some(filter) = self.filter()? else { return Ok(false) };
        filter.remove()?;
        self.remove_link(&filter_name(filter))
    }

    /// What holds the program on the interface.
    pub fn hold(&self) -> Result<Hold, Error> {
        if let Some(filter) = self.filter()? {
            return Ok(Hold::Filter(filter));
        }
        if !self.has_link(LINK) {
            return Ok(Hold::Nothing);
        }
        Ok(Hold::Link(PinnedLink::from_pin(self.directory.join(LINK))?.into()))
    }

    /// The ids of the packet programs that are this data plane's: of the one that the pinned link holds, and
    /// of those that are pinned themselves. No link tells of one that is on trial.
    #[must_use]
    pub fn programs(&self) -> Vec<u32> {
        let pinned = [Mode::Native, Mode::Tc].map(Mode::program).into_iter();
        let pinned = pinned.filter_map(|name| Some(self.program_info(name).ok()?.id()));
        self.linked_program().into_iter().chain(pinned).collect()
    }

    fn linked_program(&self) -> Option<u32> {
        let link: FdLink = PinnedLink::from_pin(self.directory.join(LINK)).ok()?.into();
        Some(link.info().ok()?.program_id())
    }

    /// Makes a pin beside the one that it is to replace, and moves it there in one step.
    fn replace(&self, name: &str, pin: impl FnOnce(&Path) -> Result<(), Error>) -> Result<(), Error> {
        let (next, path) = (self.directory.join(format!("{name}{NEXT}")), self.directory.join(name));
        // Of an agent that was killed between the two steps.
        remove_file(&next)?;
        pin(&next)?;
        fs::rename(&next, &path).map_err(|source| Error::File { path, source })
    }

    /// Pins a link of this name in place of the one that may be there, which ends with its pin.
    pub fn replace_link(&self, name: &str, link: FdLink) -> Result<(), Error> {
        self.replace(name, |path| {
            // The pin holds the link from here on, so the handle may go.
            link.pin(path).map(drop).map_err(|source| Error::Pin { path: path.to_owned(), source })
        })
    }

    /// Whether a link of this name is pinned.
    #[must_use]
    pub fn has_link(&self, name: &str) -> bool {
        self.directory.join(name).exists()
    }

    /// Removes the pin of a link of this name, and so the link; tells whether there was one.
    pub fn remove_link(&self, name: &str) -> Result<bool, Error> {
        remove_file(&self.directory.join(name))
    }

    /// Opens the pinned maps, if they are of the layout that this program knows.
    pub fn open(&self) -> Result<(Maps, StatusBoard), Error> {
        if self.find()? == Found::Nothing {
            return Err(Error::NotRunning(self.directory.clone()));
        }
        self.check_layout()?;
        let maps = Maps::gather(|name| self.open_map(name))?;
        Ok((maps, self.open_board()?))
    }

    /// Fails unless the pinned maps are of the layout that this program knows.
    pub fn check_layout(&self) -> Result<(), Error> {
        let found = SetupMemory::layout_version(&self.open_map("SETUP")?)?;
        if found == LAYOUT_VERSION {
            return Ok(());
        }
        Err(Error::Layout { path: self.directory.clone(), found, known: LAYOUT_VERSION })
    }

    /// Opens what the agent left word in.
    pub fn open_board(&self) -> Result<StatusBoard, Error> {
        StatusBoard::open(&self.directory.join(status::NAME))
    }

    /// What the kernel tells of a pinned program.
    pub fn program_info(&self, name: &'static str) -> Result<ProgramInfo, Error> {
        ProgramInfo::from_pin(self.directory.join(name)).map_err(|source| Error::Program { name, source })
    }

    /// Opens a pinned program of TC.
    pub fn classifier(&self, name: &'static str) -> Result<SchedClassifier, Error> {
        SchedClassifier::from_pin(self.directory.join(name)).map_err(|source| Error::Program { name, source })
    }

    /// Opens the pinned clock of the packet path.
    pub fn open_ticker(&self) -> Result<Ticker, Error> {
        Ticker::open(&self.directory.join(ticker::PROGRAM))
    }

    fn open_map(&self, name: &'static str) -> Result<Map, Error> {
        let path = self.directory.join(name);
        MapData::from_pin(path).and_then(Map::from_map_data).map_err(|source| Error::Map { name, source })
    }

    /// Takes the data plane down and removes the directory. Tells whether there was anything.
    pub fn remove(&self) -> Result<bool, Error> {
        let found = self.clear()?;
        match fs::remove_dir(&self.directory) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.file_error(error)),
            _ => Ok(found),
        }
    }

    /// Takes the data plane down: with its last pin, the link is gone and the program is off the
    /// interface. Tells whether there was anything.
    pub fn clear(&self) -> Result<bool, Error> {
        let entries = match fs::read_dir(&self.directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(source) => return Err(self.file_error(source)),
        };
        // What holds the programs first, so that no packet and no client meets one without its maps' pins.
        let mut found = self.remove_filter()?;
        for name in LOCAL_LINKS.iter().chain([&LINK]) {
            found |= self.remove_link(name)?;
        }
        for entry in entries {
            let entry = entry.map_err(|source| self.file_error(source))?;
            found |= remove_file(&entry.path())?;
        }
        Ok(found)
    }

    fn file_error(&self, source: io::Error) -> Error {
        let path = self.directory.clone();
        match source.kind() {
            io::ErrorKind::PermissionDenied => Error::NotAllowed(path),
            _ => Error::File { path, source },
        }
    }
}

impl Claim {
    /// Whether the locked directory is the one that has the name.
    fn is_of_the_directory(&self) -> bool {
        let inode = |metadata: io::Result<fs::Metadata>| metadata.ok().map(|metadata| metadata.ino());
        let locked = inode(self.lock.metadata());
        locked.is_some() && locked == inode(fs::metadata(&self.directory))
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if self.is_of_the_directory() {
            // Only one that nothing is pinned in goes.
            let _ = fs::remove_dir(&self.directory);
        }
    }
}

fn filter_name(Filter { interface, with_qdisc, on_trial }: Filter) -> String {
    let trial = if on_trial { ON_TRIAL } else { "" };
    format!("{trial}{}{interface}", if with_qdisc { FILTER_WITH_QDISC } else { FILTER })
}

/// The filter that a pin of this name tells of.
fn named_filter(name: &str) -> Option<Filter> {
    let (name, on_trial) = name.strip_prefix(ON_TRIAL).map_or((name, false), |name| (name, true));
    let number = |prefix| name.strip_prefix(prefix).and_then(|number: &str| number.parse().ok());
    let filter = |with_qdisc| move |interface| Filter { interface, with_qdisc, on_trial };
    number(FILTER).map(filter(false)).or_else(|| number(FILTER_WITH_QDISC).map(filter(true)))
}

/// Removes a file, and tells whether there was one.
fn remove_file(path: &Path) -> Result<bool, Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(Error::File { path: path.to_owned(), source }),
        Ok(()) => Ok(true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_known_by_the_name_of_its_pin() {
        let filter = |interface, with_qdisc, on_trial| Filter { interface, with_qdisc, on_trial };
        for filter in [filter(2, false, false), filter(u32::MAX, true, false), filter(3, true, true)] {
            assert_eq!(named_filter(&filter_name(filter)), Some(filter));
        }
        // One that was to replace another is none.
        let next = format!("{}{NEXT}", filter_name(filter(2, true, false)));
        for other in ["link", "filter_", "filter_eth0", "trial_2", &next] {
            assert_eq!(named_filter(other), None, "{other}");
        }
    }
}
