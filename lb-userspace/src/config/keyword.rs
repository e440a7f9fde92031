//! Values that are one of a few words.

use toml::de::DeValue;

use super::draft::{CheckType, ObserveType};
use super::model::{Balance, LogFormat, Mode, OnMarkedDown, OnStop};
use super::suggest;
use super::value::{Parsed, refuse, string};

/// A type whose values are written as words.
pub(super) trait Keyword: Copy + 'static {
    /// All values.
    const KNOWN: &'static [Self];

    /// The word for a value.
    fn word(self) -> &'static str;
}

impl Keyword for Mode {
    const KNOWN: &'static [Self] = &[Self::Auto, Self::Native, Self::Generic, Self::Tc];

    fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Native => "native",
            Self::Generic => "generic",
            Self::Tc => "tc",
        }
    }
}

impl Keyword for Balance {
    const KNOWN: &'static [Self] = &[Self::RoundRobin];

    fn word(self) -> &'static str {
        match self {
            Self::RoundRobin => "roundrobin",
        }
    }
}

impl Keyword for OnStop {
    const KNOWN: &'static [Self] = &[Self::Remove, Self::Keep];

    fn word(self) -> &'static str {
        match self {
            Self::Remove => "remove",
            Self::Keep => "keep",
        }
    }
}

impl Keyword for OnMarkedDown {
    const KNOWN: &'static [Self] = &[Self::Reset, Self::Keep];

    fn word(self) -> &'static str {
        match self {
            Self::Reset => "reset",
            Self::Keep => "keep",
        }
    }
}

impl Keyword for CheckType {
    const KNOWN: &'static [Self] = &[Self::Tcp, Self::Https];

    fn word(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Https => "https",
        }
    }
}

impl Keyword for ObserveType {
    const KNOWN: &'static [Self] = &[Self::Off, Self::Connect];

    fn word(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Connect => "connect",
        }
    }
}

impl Keyword for LogFormat {
    const KNOWN: &'static [Self] = &[Self::Tcplog, Self::Json];

    fn word(self) -> &'static str {
        match self {
            Self::Tcplog => "tcplog",
            Self::Json => "json",
        }
    }
}

/// One of the words of a type.
pub(super) fn keyword<T: Keyword>(value: &DeValue<'_>) -> Parsed<T> {
    let words: Vec<&str> = T::KNOWN.iter().map(|known| known.word()).collect();
    let found = string(value, &alternatives(&words))?;
    match T::KNOWN.iter().find(|known| known.word() == found) {
        Some(known) => Ok(*known),
        None => unknown(found, &words),
    }
}

/// One of the words of a list.
pub(super) fn listed(words: &'static [&'static str]) -> impl Fn(&DeValue<'_>) -> Parsed<String> {
    move |value| match string(value, &alternatives(words))? {
        word if words.contains(&word) => Ok(word.to_owned()),
        other => unknown(other, words),
    }
}

fn unknown<T>(word: &str, known: &[&str]) -> Parsed<T> {
    refuse(
        "not a word that is known here",
        suggest::remedy(word, known, format!("use {}", alternatives(known))),
    )
}

/// Quoted words with "or" before the last.
fn alternatives(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}
