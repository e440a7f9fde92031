//! What a translation has to say.

use std::fmt;

/// Something that the reader of a translation should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The line of `haproxy.cfg` that it is about, from 1; none if it is about all of it.
    pub line: Option<usize>,
    /// What to know, and what to do.
    pub text: String,
}

impl Note {
    pub(super) fn at(line: usize, text: impl Into<String>) -> Self {
        Self { line: Some(line), text: text.into() }
    }

    pub(super) fn general(text: impl Into<String>) -> Self {
        Self { line: None, text: text.into() }
    }
}

/// All notes on one file: first those on lines, in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notes {
    file: String,
    list: Vec<Note>,
}

impl Notes {
    pub(super) fn new(file: &str, mut list: Vec<Note>) -> Self {
        list.sort_by_key(|note| note.line.unwrap_or(usize::MAX));
        // What several proxies inherit from one line is said once.
        list.dedup();
        Self { file: file.to_owned(), list }
    }
}

impl fmt::Display for Notes {
    /// One line for each note, as `file:line: text`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for note in &self.list {
            match note.line {
                Some(line) => writeln!(f, "{}:{line}: {}", self.file, note.text)?,
                None => writeln!(f, "{}: {}", self.file, note.text)?,
            }
        }
        Ok(())
    }
}
