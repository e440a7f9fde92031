//! What the agent leaves in a map for the CLI: names, health, and who it is.
//!
//! The packet path needs no names, so they are no part of its layouts; a JSON text in a map of its
//! own survives the agent as the other maps do.

use std::path::Path;

use aya::maps::{Array, Map, MapData};
use serde::{Deserialize, Serialize};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::Error;
use super::table::{Raw, Table};

/// Everything that the CLI shows and the packet path does not know.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The agent's process.
    pub pid: u32,
    /// When that process started, in the kernel's clock ticks, to tell it from a later one with the
    /// same number.
    pub started: u64,
    /// The interface.
    pub interface: String,
    /// The mode of attachment.
    pub mode: String,
    /// By frontend number.
    pub frontends: Vec<FrontendStatus>,
    /// By server number.
    pub servers: Vec<ServerStatus>,
}

/// A frontend's names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrontendStatus {
    /// Its name.
    pub name: String,
    /// Its backend's name.
    pub backend: String,
}

/// A server's names and health.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ServerStatus {
    /// Its backend's name.
    pub backend: String,
    /// Its name.
    pub name: String,
    /// Its weight.
    pub weight: u32,
    /// What the health checks say; none when it is not checked.
    pub health: Option<HealthStatus>,
}

/// A server's health, in HAProxy's words.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthStatus {
    /// Whether it may be used.
    pub up: bool,
    /// As on HAProxy's page: `UP`, `UP 2/3`, `DOWN`, `DOWN 1/2`.
    pub text: String,
    /// When it went up or down, in ms of `CLOCK_MONOTONIC`.
    pub changed_at: u64,
    /// The last check; none before the first.
    pub check: Option<CheckStatus>,
}

/// A health check's outcome.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckStatus {
    /// `L4OK`, `L4TOUT`, `L4CON`.
    pub code: String,
    /// The same in words.
    pub description: String,
    /// What the system said.
    pub info: Option<String>,
    /// How long it took, in ms.
    pub duration: u64,
    /// When it ended, in ms of `CLOCK_MONOTONIC`.
    pub at: u64,
}

/// The map's name.
pub(super) const NAME: &str = "STATUS";

/// Bytes for the text: 64 servers and 16 frontends with the longest names and messages fit twice.
const TEXT: usize = 64 * 1024 - 3 * 8;

/// An element of the map.
#[repr(C)]
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable)]
struct Page {
    sequence: u64,
    length: u64,
    text: [u8; TEXT],
    /// The same as `sequence`, unless the page was read while it was written.
    sequence_again: u64,
}

/// The `STATUS` map: two pages, written in turn, so that a reader always finds a whole one.
pub struct StatusBoard {
    pages: Table<Page>,
}

impl StatusBoard {
    /// Makes an empty board, pinned at `path`.
    pub(super) fn create(path: &Path) -> Result<Self, Error> {
        let pages = Array::<MapData, Raw<Page>>::create(2, 0);
        let pages = pages.map_err(|source| Error::Map { name: NAME, source })?;
        pages.pin(path).map_err(|source| Error::Pin { path: path.to_owned(), source })?;
        Self::open(path)
    }

    /// Opens a pinned board.
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let map = MapData::from_pin(path).and_then(Map::from_map_data);
        Ok(Self { pages: Table::new(NAME, map.map_err(|source| Error::Map { name: NAME, source })?)? })
    }

    /// Replaces the status. One writer at a time.
    pub fn write(&mut self, status: &Status) -> Result<(), Error> {
        let text = serde_json::to_vec(status).map_err(|_| Error::StatusTooLong)?;
        let mut page = self.newest()?;
        let room = page.text.get_mut(..text.len()).ok_or(Error::StatusTooLong)?;
        room.copy_from_slice(&text);
        page.length = text.len() as u64;
        page.sequence += 1;
        page.sequence_again = page.sequence;
        self.pages.set((page.sequence % 2) as u32, page)
    }

    /// The status last written; an empty one if none was.
    pub fn read(&self) -> Result<Status, Error> {
        let page = self.newest()?;
        let text = &page.text[..(page.length as usize).min(TEXT)];
        Ok(serde_json::from_slice(text).unwrap_or_default())
    }

    fn newest(&self) -> Result<Page, Error> {
        let (a, b) = (self.pages.get(0)?, self.pages.get(1)?);
        let whole = |page: &Page| page.sequence == page.sequence_again;
        Ok(if whole(&a) && (!whole(&b) || a.sequence >= b.sequence) { a } else { b })
    }
}
