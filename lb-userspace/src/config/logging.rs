//! Where lines of the log go, in syslog's words.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use super::draft::{FACILITIES, LEVELS};

/// A receiver of lines.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogAddress {
    /// A datagram socket of a syslog daemon on this host, by its path.
    Socket(PathBuf),
    /// A syslog daemon by UDP.
    Udp(SocketAddr),
    /// systemd's journal, in its own protocol.
    Journal,
    /// The agent's standard output, the lines alone.
    Stdout,
    /// The agent's standard error, the same.
    Stderr,
}

impl LogAddress {
    /// syslog's port.
    const PORT: u16 = 514;

    /// Reads an address; none if it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "stdout" => return Some(Self::Stdout),
            "stderr" => return Some(Self::Stderr),
            "journald" => return Some(Self::Journal),
            path if path.starts_with('/') => return Some(Self::Socket(path.into())),
            _ => {}
        }
        let with_port = text.parse().map(Self::Udp).ok();
        with_port.or_else(|| Some(Self::Udp(SocketAddr::new(text.parse::<IpAddr>().ok()?, Self::PORT))))
    }
}

impl fmt::Display for LogAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(path) => path.display().fmt(f),
            Self::Udp(address) => address.fmt(f),
            Self::Journal => f.write_str("journald"),
            Self::Stdout => f.write_str("stdout"),
            Self::Stderr => f.write_str("stderr"),
        }
    }
}

/// How important a line is, by syslog's number: 0 for `emerg` to 7 for `debug`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Level(u8);

impl Level {
    /// The system is unusable: a backend has no server.
    pub const EMERG: Self = Self(0);
    /// Somebody has to act at once: a server is DOWN.
    pub const ALERT: Self = Self(1);
    /// Normal, but significant: a server is UP.
    pub const NOTICE: Self = Self(5);
    /// A connection has ended.
    pub const INFO: Self = Self(6);
    /// The least important one.
    pub const DEBUG: Self = Self(7);

    /// A level by its name.
    pub(super) fn named(name: &str) -> Option<Self> {
        LEVELS.iter().position(|known| *known == name).map(|number| Self(number as u8))
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        LEVELS[usize::from(self.0)]
    }
}

/// What kind of program a line comes from, by syslog's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Facility(u8);

impl Facility {
    /// `local0`, which most use for a load balancer.
    pub const LOCAL0: Self = Self(16);

    /// A facility by its name.
    pub(super) fn named(name: &str) -> Option<Self> {
        FACILITIES.iter().position(|known| *known == name).map(|number| Self(number as u8))
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_numbers_in_syslogs_order() {
        let levels = [("emerg", Level::EMERG), ("alert", Level::ALERT), ("notice", Level::NOTICE)];
        for (name, level) in levels.into_iter().chain([("info", Level::INFO), ("debug", Level::DEBUG)]) {
            assert_eq!((Level::named(name), level.name()), (Some(level), name));
        }
        assert_eq!(Facility::named("local0"), Some(Facility::LOCAL0));
        assert_eq!(Facility::named("local7").map(Facility::number), Some(23));
        assert_eq!(Facility::named("daemon").map(Facility::number), Some(3));
    }

    #[test]
    fn an_address_is_a_path_a_host_or_a_word() {
        let udp = |text: &str| LogAddress::Udp(text.parse().expect("an address"));
        assert_eq!(LogAddress::parse("/dev/log"), Some(LogAddress::Socket("/dev/log".into())));
        assert_eq!(LogAddress::parse("198.18.0.5"), Some(udp("198.18.0.5:514")));
        assert_eq!(LogAddress::parse("198.18.0.5:1514"), Some(udp("198.18.0.5:1514")));
        assert_eq!(LogAddress::parse("[2001:2::5]:514"), Some(udp("[2001:2::5]:514")));
        assert_eq!(LogAddress::parse("journald"), Some(LogAddress::Journal));
        assert_eq!(LogAddress::parse("stdout"), Some(LogAddress::Stdout));
        for wrong in ["", "log", "loghost:514", "198.18.0.5:", "fd@1"] {
            assert_eq!(LogAddress::parse(wrong), None, "{wrong}");
        }
    }
}
