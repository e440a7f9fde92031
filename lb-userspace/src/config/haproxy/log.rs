//! `log` lines.

use super::note::Note;
use super::section::Setting;
use crate::config::draft::LEVELS;
use crate::config::logging::LogAddress;

/// Servers that come up are logged at this level, and those that go down at a more important one.
const STATE_LEVEL: &str = "notice";

/// A syslog receiver.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub line: usize,
    pub address: String,
    pub facility: Option<String>,
    pub level: Option<String>,
}

/// Reads `log <address> [len n] [format f] [sample s] <facility> [level [minlevel]]`; none for
/// `log global`, which names no target of its own.
pub(super) fn target(setting: &Setting, notes: &mut Vec<Note>) -> Option<Target> {
    let mut words = setting.words.iter().skip(1);
    let address = address(words.next().filter(|address| *address != "global")?);
    if LogAddress::parse(address).is_none() {
        notes.push(setting.note("not carried: xlb has no counterpart to this kind of receiver"));
        return None;
    }
    let mut facility = words.next();
    while let Some(option @ ("len" | "format" | "sample" | "profile")) = facility.map(String::as_str) {
        notes.push(setting.note(&format!("`{option}` is not carried: xlb has no counterpart")));
        facility = words.nth(1);
    }
    let target = Target {
        line: setting.line,
        address: address.to_owned(),
        facility: facility.cloned(),
        level: words.next().cloned(),
    };
    if words.next().is_some() {
        notes.push(setting.note("the last level is not carried: xlb has no counterpart"));
    }
    Some(target)
}

/// An address without the word that says of which family it is.
fn address(text: &str) -> &str {
    const FAMILIES: [&str; 6] = ["ipv4@", "ipv6@", "udp@", "udp4@", "udp6@", "unix@"];
    FAMILIES.iter().find_map(|family| text.strip_prefix(family)).unwrap_or(text)
}

/// A note on each target that gets the same state lines as one before it.
pub(super) fn duplicates(targets: &[Target]) -> Vec<Note> {
    let states: Vec<&Target> = targets.iter().filter(|target| gets_states(target)).collect();
    let mut notes = Vec::new();
    for (i, target) in states.iter().enumerate() {
        if let Some(first) = states[..i].iter().find(|first| first.address == target.address) {
            let here = if target.level == first.level {
                "so does xlb; keep one"
            } else {
                "xlb gives each line to the one of both that asks for fewer"
            };
            let text = format!(
                "log {}: HAProxy writes each change of a server's state here and to the target of line {}; {here}",
                target.address, first.line
            );
            notes.push(Note::at(target.line, text));
        }
    }
    notes
}

fn gets_states(target: &Target) -> bool {
    let rank = |level: &str| LEVELS.iter().position(|known| *known == level);
    target.level.as_deref().is_none_or(|level| rank(level) >= rank(STATE_LEVEL))
}
