//! `stats` lines of a proxy.

use super::note::Note;
use super::section::Setting;
use super::time::{Time, noted};

/// A statistics page.
#[derive(Clone, Debug, Default)]
pub(super) struct Page {
    pub uri: Option<String>,
    pub refresh: Option<Time>,
    pub realm: Option<String>,
    pub auth: Option<String>,
    pub hide_version: bool,
    pub admin: bool,
}

impl Page {
    /// Takes in a line, and notes what has no counterpart.
    pub fn apply(&mut self, setting: &Setting, notes: &mut Vec<Note>) {
        let words: Vec<&str> = setting.words.iter().map(String::as_str).collect();
        match words[1..] {
            ["enable"] => {}
            ["uri", uri] => self.uri = Some(uri.to_owned()),
            ["refresh", delay] => self.refresh = noted(delay, "s", setting, notes),
            ["realm", realm] => self.realm = Some(realm.to_owned()),
            ["auth", account] if self.auth.is_none() => self.auth = Some(account.to_owned()),
            ["auth", _] => notes.push(setting.note("not carried: xlb.toml has room for one account")),
            ["hide-version"] => self.hide_version = true,
            ["admin", "if", "TRUE" | "true"] => self.admin = true,
            ["admin", ..] => notes.push(setting.note(
                "not carried: xlb.toml has no conditions; admin = true in [stats] is for all who have the password",
            )),
            _ => notes.push(setting.note("not carried: xlb has no counterpart")),
        }
    }
}
