//! The sections of a `haproxy.cfg`.

use super::note::Note;
use super::words::{Trouble, words};
use crate::config::problem::{Place, Problem};

/// What a section is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Global,
    Defaults,
    Frontend,
    Backend,
    Listen,
    /// One that a TCP load balancer in the kernel has no use for.
    Other,
}

impl Kind {
    fn of(keyword: &str) -> Option<Self> {
        Some(match keyword {
            "global" => Self::Global,
            "defaults" => Self::Defaults,
            "frontend" => Self::Frontend,
            "backend" => Self::Backend,
            "listen" => Self::Listen,
            "cache" | "crt-store" | "fcgi-app" | "http-errors" | "log-forward" | "mailers" | "peers"
            | "program" | "resolvers" | "ring" | "traces" | "userlist" => Self::Other,
            _ => return None,
        })
    }
}

/// A section.
#[derive(Debug)]
pub(super) struct Section {
    pub kind: Kind,
    pub head: Setting,
    pub settings: Vec<Setting>,
}

impl Section {
    /// Its name, empty if it has none.
    pub fn name(&self) -> &str {
        self.head.words.get(1).map_or("", String::as_str)
    }
}

/// A line with its words, of which there is at least one.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    pub line: usize,
    pub words: Vec<String>,
}

impl Setting {
    /// A note on the whole line.
    pub fn note(&self, text: &str) -> Note {
        let shown = match self.words.as_slice() {
            // What follows is a password.
            [first, second, ..] if first == "stats" && second == "auth" => "stats auth".to_owned(),
            words => words.join(" "),
        };
        Note::at(self.line, format!("{shown}: {text}"))
    }

    fn problem(&self, finding: &str, remedy: &str) -> Problem {
        let place = Place { line: self.line, key: self.words.join(" "), value: None };
        place.problem(finding, remedy)
    }
}

/// Reads all sections, or finds every line that cannot be read.
pub(super) fn sections(text: &str) -> Result<Vec<Section>, Vec<Problem>> {
    let mut sections: Vec<Section> = Vec::new();
    let mut problems = Vec::new();
    for (i, line) in text.lines().enumerate() {
        match setting(i + 1, line) {
            Ok(setting) if setting.words.is_empty() => {}
            Ok(setting) => problems.extend(add(&mut sections, setting)),
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() { Ok(sections) } else { Err(problems) }
}

fn setting(line: usize, text: &str) -> Result<Setting, Problem> {
    let trouble = match words(text) {
        Ok(words) => return Ok(Setting { line, words }),
        Err(trouble) => trouble,
    };
    let key = text.split_whitespace().next().unwrap_or_default().to_owned();
    let place = Place { line, key, value: None };
    Err(match trouble {
        Trouble::OpenQuote => place.problem("a quotation mark has no partner", "close the quotation"),
        Trouble::Variable => {
            place.problem("contains an environment variable, which only HAProxy knows", "write its value")
        }
    })
}

/// Begins a section or adds to the last one.
fn add(sections: &mut Vec<Section>, setting: Setting) -> Option<Problem> {
    let keyword = setting.words[0].as_str();
    if keyword.starts_with('.') {
        return Some(setting.problem(
            "HAProxy decides this condition when it starts",
            "keep the lines that apply, and remove the condition",
        ));
    }
    if let Some(kind) = Kind::of(keyword) {
        sections.push(Section { kind, head: setting, settings: Vec::new() });
        return None;
    }
    match sections.last_mut() {
        Some(section) => section.settings.push(setting),
        None => return Some(setting.problem("stands before the first section", "move it into a section")),
    }
    None
}
