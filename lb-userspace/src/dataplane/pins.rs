//! What keeps a data plane alive without its agent: its pins in a bpf file system.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use aya::Ebpf;
use aya::maps::{Map, MapData};
use aya::programs::links::FdLink;
use lb_common::LAYOUT_VERSION;

use super::maps::{Maps, NAMES};
use super::setup::SetupMemory;
use super::status::{self, StatusBoard};
use super::ticker::{self, Ticker};
use super::{Error, object};

/// Where the pins of the host's one data plane are.
pub const DEFAULT_DIRECTORY: &str = "/sys/fs/bpf/xlb";

const LINK: &str = "link";

/// A directory of pins.
#[derive(Clone, Debug)]
pub struct Pins {
    directory: PathBuf,
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

    /// Whether anything is pinned.
    pub fn exist(&self) -> Result<bool, Error> {
        match fs::read_dir(&self.directory) {
            Ok(mut entries) => Ok(entries.next().is_some()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(self.file_error(source)),
        }
    }

    /// Makes the directory, and so the one who made it its owner.
    pub fn claim(&self) -> Result<(), Error> {
        // An empty one is what is left of a run that was killed before it pinned anything.
        let _ = fs::remove_dir(&self.directory);
        match fs::create_dir(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(Error::Taken(self.directory.clone()))
            }
            other => other.map_err(|source| self.file_error(source)),
        }
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

    /// Pins a loaded program of the object under its own name.
    pub fn pin_program(&self, ebpf: &mut Ebpf, name: &'static str) -> Result<(), Error> {
        let path = self.directory.join(name);
        object::program(ebpf, name)?.pin(&path).map_err(|source| Error::Pin { path, source })
    }

    /// Pins the link that holds the program on the interface.
    pub fn pin_link(&self, link: FdLink) -> Result<(), Error> {
        let path = self.directory.join(LINK);
        // The pin holds the link from here on, so the handle may go.
        link.pin(&path).map(drop).map_err(|source| Error::Pin { path, source })
    }

    /// Opens the pinned maps, if they are of the layout that this program knows.
    pub fn open(&self) -> Result<(Maps, StatusBoard), Error> {
        if !self.exist()? {
            return Err(Error::NotRunning(self.directory.clone()));
        }
        let found = SetupMemory::new(&self.open_map("SETUP")?)?.get().settings.layout_version;
        if found != LAYOUT_VERSION {
            return Err(Error::Layout { path: self.directory.clone(), found, known: LAYOUT_VERSION });
        }
        let maps = Maps::gather(|name| self.open_map(name))?;
        Ok((maps, StatusBoard::open(&self.directory.join(status::NAME))?))
    }

    /// Opens the pinned clock of the packet path.
    pub fn open_ticker(&self) -> Result<Ticker, Error> {
        Ticker::open(&self.directory.join(ticker::PROGRAM))
    }

    fn open_map(&self, name: &'static str) -> Result<Map, Error> {
        let path = self.directory.join(name);
        MapData::from_pin(path).and_then(Map::from_map_data).map_err(|source| Error::Map { name, source })
    }

    /// Takes the data plane down: with its last pin, the link is gone and the program is off the
    /// interface. Tells whether there was anything.
    pub fn remove(&self) -> Result<bool, Error> {
        let entries = match fs::read_dir(&self.directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(source) => return Err(self.file_error(source)),
        };
        // The link first, so that no packet meets a program without its maps' pins.
        remove_file(&self.directory.join(LINK))?;
        for entry in entries {
            let entry = entry.map_err(|source| self.file_error(source))?;
            remove_file(&entry.path())?;
        }
        fs::remove_dir(&self.directory).map_err(|source| self.file_error(source))?;
        Ok(true)
    }

    fn file_error(&self, source: io::Error) -> Error {
        Error::File { path: self.directory.clone(), source }
    }
}

fn remove_file(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(Error::File { path: path.to_owned(), source }),
        Ok(()) => Ok(()),
    }
}
