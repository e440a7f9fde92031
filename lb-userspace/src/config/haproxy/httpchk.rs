//! `option httpchk` and `http-check`: the page that a check asks for.

use super::note::Note;
use super::section::Setting;

/// What a check over HTTP does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct HttpCheck {
    /// The line that turns it on; none while it is off.
    pub line: Option<usize>,
    pub method: Option<String>,
    pub path: Option<String>,
    pub status: Option<String>,
}

impl HttpCheck {
    /// Takes in an `option httpchk` line: `[METHOD] PATH [VERSION]`.
    pub fn turn_on(&mut self, setting: &Setting) {
        let line = Some(setting.line);
        let (method, path) = match &setting.words[2..] {
            [] => (None, None),
            [path] => (None, Some(path.clone())),
            [method, path, ..] => (Some(method.clone()), Some(path.clone())),
        };
        *self = Self { line, method, path, status: self.status.take() };
    }

    /// Takes in an `http-check` line.
    pub fn apply(&mut self, setting: &Setting, notes: &mut Vec<Note>) {
        let words: Vec<&str> = setting.words[1..].iter().map(String::as_str).collect();
        match words[..] {
            ["expect", "status", status] if status.parse::<u16>().is_ok() => {
                self.status = Some(status.to_owned());
            }
            ["expect", ..] => {
                notes.push(setting.note("not carried: xlb looks for one number, which is status = 200"));
            }
            ["send", ref words @ ..] => self.send(words, setting, notes),
            _ => notes.push(setting.note("not carried: xlb's check asks for one page and reads its status")),
        }
    }

    fn send(&mut self, words: &[&str], setting: &Setting, notes: &mut Vec<Note>) {
        let mut words = words.iter();
        let mut unknown: Vec<&str> = Vec::new();
        while let Some(word) = words.next() {
            match *word {
                "meth" => self.method = words.next().map(|method| (*method).to_owned()),
                "uri" => self.path = words.next().map(|path| (*path).to_owned()),
                "ver" => _ = words.next(),
                other => unknown.push(other),
            }
        }
        if !unknown.is_empty() {
            let text =
                format!("`{}` is not carried: xlb's check sends no more than it must", unknown.join(" "));
            notes.push(setting.note(&text));
        }
    }
}
