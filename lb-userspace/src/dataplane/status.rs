//! What the agent leaves in a map for the CLI: names, health, and who it is.
//!
//! The packet path needs no names, so they are no part of its layouts; a JSON text in a map of its
//! own survives the agent as the other maps do.

use std::fmt;
use std::net::SocketAddrV4;
use std::path::Path;

use aya::maps::{Array, Map, MapData};
use serde::{Deserialize, Serialize};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::Error;
use super::table::{self, Raw, Table};

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
    /// The mode of attachment; empty while the program is not attached.
    pub mode: String,
    /// Why this one.
    #[serde(default)]
    pub mode_reason: String,
    /// Until when the start has to be confirmed, in ms of `CLOCK_MONOTONIC`; none if it need not be.
    #[serde(default)]
    pub confirm_by: Option<u64>,
    /// In the order of the configuration; behind them those that are leaving.
    pub frontends: Vec<FrontendStatus>,
    /// In the order of the configuration; behind them those that are leaving.
    pub servers: Vec<ServerStatus>,
}

/// A frontend's names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrontendStatus {
    /// Its number in the maps.
    pub number: u16,
    /// Where clients connect to.
    pub bind: SocketAddrV4,
    /// Its name.
    pub name: String,
    /// Its backend's name.
    pub backend: String,
    /// Whether it has left the configuration, and only its connections go on.
    #[serde(default)]
    pub leaving: bool,
}

/// A server's names and health.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServerStatus {
    /// Its number in the maps.
    pub number: u16,
    /// Where it listens.
    pub address: SocketAddrV4,
    /// Its backend's name.
    pub backend: String,
    /// Its name.
    pub name: String,
    /// The weight that the configuration gives it.
    pub weight: u32,
    /// The weight that the operator gave it since.
    #[serde(default)]
    pub runtime_weight: Option<u32>,
    /// What the operator wants of it.
    #[serde(default)]
    pub admin: Admin,
    /// Whether the operator has turned its health checks off; it stays UP or DOWN as it was.
    #[serde(default)]
    pub checks_off: bool,
    /// Whether it is used only when no other can be.
    #[serde(default)]
    pub backup: bool,
    /// Whether it has left the configuration, and only its connections go on.
    #[serde(default)]
    pub leaving: bool,
    /// When it came back UP or from maintenance, in ms of `CLOCK_MONOTONIC`; none if it was there from
    /// the beginning, or is DOWN.
    #[serde(default)]
    pub came_back_at: Option<u64>,
    /// What its checks have come to since it was configured.
    #[serde(default)]
    pub history: History,
    /// What the health checks say; none when it is not checked.
    pub health: Option<HealthStatus>,
}

/// What the operator wants of a server, in HAProxy's words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Admin {
    /// That it works.
    #[default]
    Ready,
    /// That it gets no new connections.
    Drain,
    /// That it gets no new connections, loses those that it has, and is not checked.
    Maint,
}

impl Admin {
    /// The wish that a word names.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        match word {
            "ready" => Some(Self::Ready),
            "drain" => Some(Self::Drain),
            "maint" => Some(Self::Maint),
            _ => None,
        }
    }
}

impl fmt::Display for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ready => "ready",
            Self::Drain => "drain",
            Self::Maint => "maint",
        })
    }
}

impl ServerStatus {
    /// Its share of new connections, if it gets any.
    #[must_use]
    pub fn effective_weight(&self) -> u32 {
        self.runtime_weight.unwrap_or(self.weight)
    }

    /// Whether its health checks, if it has any, are to be made.
    #[must_use]
    pub fn is_checked(&self) -> bool {
        self.admin != Admin::Maint && !self.checks_off
    }

    /// Whether it may get new connections: it is UP, in use, and has a weight.
    #[must_use]
    pub fn takes_connections(&self) -> bool {
        self.is_up() && self.admin == Admin::Ready && !self.leaving && self.effective_weight() > 0
    }

    /// Whether its health allows new connections.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.health.as_ref().is_none_or(|health| health.up)
    }
}

impl Status {
    /// The server at an address.
    #[must_use]
    pub fn server_at(&self, address: SocketAddrV4) -> Option<&ServerStatus> {
        self.servers.iter().find(|server| server.address == address)
    }

    /// The server with a number.
    #[must_use]
    pub fn server(&self, number: u16) -> Option<&ServerStatus> {
        self.servers.iter().find(|server| server.number == number)
    }

    /// The frontend with a number.
    #[must_use]
    pub fn frontend(&self, number: u16) -> Option<&FrontendStatus> {
        self.frontends.iter().find(|frontend| frontend.number == number)
    }
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
    /// When the server's certificate expires, in seconds since 1970; none if no check saw one.
    #[serde(default)]
    pub certificate_expires: Option<u64>,
    /// Where the server stands between DOWN and UP.
    #[serde(default)]
    pub standing: Standing,
}

/// Where a server stands between DOWN and UP, as HAProxy counts it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// From 0 to `rise + fall - 1`; UP from `rise` on.
    pub counter: u32,
    /// How many checks in a row have to pass to bring it UP.
    pub rise: u32,
    /// How many have to fail to take it DOWN.
    pub fall: u32,
}

/// What a server's checks have come to over time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// Checks that failed while it was UP.
    pub failures: u64,
    /// How often it went DOWN.
    pub downs: u64,
    /// How long it had been DOWN altogether when it last came UP, in ms.
    pub down_for: u64,
}

impl Standing {
    /// As far from DOWN, or from UP, as can be.
    #[must_use]
    pub fn at_the_end(self, up: bool) -> Self {
        Self { counter: if up { (self.rise + self.fall).saturating_sub(1) } else { 0 }, ..self }
    }
}

impl History {
    /// Takes in what followed on what: `failed` says whether it was a check that failed.
    pub fn follow(&mut self, before: &HealthStatus, after: &HealthStatus, failed: bool) {
        self.failures += u64::from(before.up && failed);
        match (before.up, after.up) {
            (true, false) => self.downs += 1,
            (false, true) => self.down_for += after.changed_at.saturating_sub(before.changed_at),
            _ => {}
        }
    }
}

/// A health check's outcome.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckStatus {
    /// The short name, such as `L4OK`.
    pub code: String,
    /// The same in words.
    pub description: String,
    /// The status of the server's answer, if it gave one.
    #[serde(default)]
    pub answer: Option<u16>,
    /// What the system or the server said.
    pub info: Option<String>,
    /// How long it took, in ms.
    pub duration: u64,
    /// When it ended, in ms of `CLOCK_MONOTONIC`.
    pub at: u64,
}

/// The map's name.
pub(super) const NAME: &str = "STATUS";

/// Bytes for the text: 64 servers and 16 frontends with the longest names and messages fit.
const TEXT: usize = 96 * 1024 - 3 * 8;

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
    memory: u64,
}

/// Bytes of the whole map.
pub(super) const BYTES: u64 = 2 * size_of::<Page>() as u64;

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
        let error = |source| Error::Map { name: NAME, source };
        let data = MapData::from_pin(path).map_err(error)?;
        let memory = table::memory(&data).map_err(|source| Error::File { path: path.to_owned(), source })?;
        let map = Map::from_map_data(data).map_err(error)?;
        Ok(Self { pages: Table::new(NAME, map)?, memory })
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
        self.pages.set((page.sequence % 2) as u32, *page)
    }

    /// The status last written; an empty one if none was.
    pub fn read(&self) -> Result<Status, Error> {
        let page = self.newest()?;
        let text = &page.text[..(page.length as usize).min(TEXT)];
        Ok(serde_json::from_slice(text).unwrap_or_default())
    }

    /// How often a status was written.
    pub fn sequence(&self) -> Result<u64, Error> {
        Ok(self.newest()?.sequence)
    }

    /// Its name, and the bytes of kernel memory that it holds.
    #[must_use]
    pub const fn memory(&self) -> (&'static str, u64) {
        (NAME, self.memory)
    }

    fn newest(&self) -> Result<Box<Page>, Error> {
        let (a, b) = (self.page(0)?, self.page(1)?);
        let whole = |page: &Page| page.sequence == page.sequence_again;
        Ok(if whole(&a) && (!whole(&b) || a.sequence >= b.sequence) { a } else { b })
    }

    /// Pages are large: a few of them on its stack are too much for a thread.
    fn page(&self, number: u32) -> Result<Box<Page>, Error> {
        self.pages.get(number).map(Box::new)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use lb_common::frontend::MAX_FRONTENDS;
    use lb_common::server::MAX_SERVERS;

    use super::*;

    #[test]
    fn the_history_has_each_failure_and_the_time_in_between() {
        let at = |up, changed_at| HealthStatus { up, changed_at, ..HealthStatus::default() };
        let mut history = History::default();
        history.follow(&at(true, 10), &at(true, 10), true);
        history.follow(&at(true, 10), &at(false, 20), true);
        // While it is DOWN, a failure says nothing new.
        history.follow(&at(false, 20), &at(false, 20), true);
        assert_eq!(history, History { failures: 2, downs: 1, down_for: 0 });
        history.follow(&at(false, 20), &at(true, 75), false);
        history.follow(&at(true, 75), &at(true, 75), false);
        assert_eq!(history, History { failures: 2, downs: 1, down_for: 55 });
    }

    #[test]
    fn the_longest_status_fits() {
        /// Longer than a host runs, in ms.
        const CENTURY: u64 = 100 * 366 * 24 * 60 * 60 * 1000;
        let name = || "n".repeat(63);
        let address = SocketAddrV4::new(Ipv4Addr::BROADCAST, u16::MAX);
        let check = CheckStatus {
            code: "L4TOUT".to_owned(),
            description: "Layer4 connection problem".to_owned(),
            answer: Some(500),
            // As much as a check keeps, each character with an escape.
            info: Some("\"".repeat(200)),
            duration: CENTURY,
            at: CENTURY,
        };
        let health = HealthStatus {
            up: false,
            text: "DOWN 254/255".to_owned(),
            changed_at: CENTURY,
            check: Some(check),
            certificate_expires: Some(CENTURY),
            standing: Standing { counter: 508, rise: 255, fall: 255 },
        };
        let history = History { failures: u64::MAX, downs: u64::MAX, down_for: CENTURY };
        let server = ServerStatus {
            number: 63,
            address,
            backend: name(),
            name: name(),
            weight: 256,
            runtime_weight: Some(256),
            admin: Admin::Maint,
            checks_off: false,
            backup: false,
            leaving: false,
            came_back_at: Some(CENTURY),
            history,
            health: Some(health),
        };
        let (backend, leaving) = (name(), false);
        let frontend = FrontendStatus { number: 15, bind: address, name: name(), backend, leaving };
        let status = Status {
            pid: u32::MAX,
            started: u64::MAX,
            interface: "i".repeat(15),
            mode: "generic".to_owned(),
            mode_reason: "r".repeat(1000),
            confirm_by: Some(u64::MAX),
            frontends: vec![frontend; MAX_FRONTENDS as usize],
            servers: vec![server; MAX_SERVERS as usize],
        };
        let length = serde_json::to_vec(&status).expect("it is text").len();
        assert!(length <= TEXT, "{length} bytes");
    }
}
