//! `stats` lines of `global`: the control socket.

use super::note::Note;
use super::section::Setting;
use super::time::{Time, noted};

/// The level that `HAProxy` gives a socket which names none.
const USUAL_LEVEL: &str = "operator";

/// The level at which a client may do everything, as with ours.
const FULL_LEVEL: &str = "admin";

/// The control socket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Socket {
    pub path: Option<String>,
    pub mode: Option<String>,
    pub group: Option<String>,
    pub timeout: Option<Time>,
}

/// Who may do what by a socket.
struct Rights<'w> {
    mode: Option<&'w str>,
    group: Option<&'w str>,
    level: &'w str,
}

impl Socket {
    /// Takes in a line, and notes what has no counterpart.
    pub fn apply(&mut self, setting: &Setting, notes: &mut Vec<Note>) {
        let words: Vec<&str> = setting.words.iter().map(String::as_str).collect();
        match words[1..] {
            ["socket", address, ref options @ ..] => self.bind(address, options, setting, notes),
            ["timeout", time] => self.timeout = noted(time, "ms", setting, notes),
            _ => notes.push(setting.note("not carried: xlb has no counterpart")),
        }
    }

    fn bind(&mut self, address: &str, options: &[&str], setting: &Setting, notes: &mut Vec<Note>) {
        let path = address.strip_prefix("unix@").unwrap_or(address);
        if !path.starts_with('/') {
            return notes.push(setting.note("not carried: xlb's control socket is a file"));
        }
        if self.path.is_some() {
            return notes.push(setting.note("not carried: xlb has one control socket"));
        }
        self.path = Some(path.to_owned());
        let rights = Rights::read(options, setting, notes);
        if rights.level == FULL_LEVEL {
            self.mode = rights.mode.map(ToOwned::to_owned);
            self.group = rights.group.map(ToOwned::to_owned);
        } else {
            notes.push(setting.note(&format!(
                "level {} is not carried: who can connect to xlb's control socket may do everything, so nobody but \
                 root may; mode and group in [socket] let others in",
                rights.level
            )));
        }
    }
}

impl<'w> Rights<'w> {
    fn read(options: &[&'w str], setting: &Setting, notes: &mut Vec<Note>) -> Self {
        let mut rights = Self { mode: None, group: None, level: USUAL_LEVEL };
        let mut words = options.iter().copied();
        while let Some(option) = words.next() {
            match option {
                "mode" => rights.mode = words.next(),
                "group" => rights.group = words.next(),
                "level" => rights.level = words.next().unwrap_or(USUAL_LEVEL),
                "expose-fd" => {
                    words.next();
                    notes.push(setting.note("`expose-fd` is not needed: connections outlive xlb's agent"));
                }
                "user" | "uid" | "gid" | "name" | "process" | "thread" | "maxconn" | "severity-output" => {
                    words.next();
                    notes.push(setting.note(&format!("`{option}` is not carried: xlb has no counterpart")));
                }
                _ => notes.push(setting.note(&format!("`{option}` is not carried: xlb has no counterpart"))),
            }
        }
        rights
    }
}
