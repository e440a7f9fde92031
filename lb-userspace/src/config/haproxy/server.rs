//! `server` and `default-server` lines.

use super::note::Note;
use super::proxy::Said;
use super::section::Setting;
use super::source;
use super::time::{Time, noted};

/// What a server's line says beside its name and address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Options {
    /// Whether it is checked.
    pub is_checked: bool,
    pub check: Check,
    pub on_marked_down: Option<String>,
    pub slowstart: Option<Time>,
    /// The address that its connections come from, if not its backend's.
    pub source: Option<Said<String>>,
    pub weight: Option<String>,
    pub backup: bool,
    pub disabled: bool,
    /// The option that makes `HAProxy` send other bytes than the client's.
    pub alters_bytes: Option<String>,
}

/// How a server is checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Check {
    pub inter: Option<Time>,
    pub fall: Option<String>,
    pub rise: Option<String>,
    /// Whether it is over TLS.
    pub ssl: bool,
    pub verify: Option<String>,
    pub ca_file: Option<String>,
    /// The name that TLS asks for, or that the certificate must have.
    pub name: Option<String>,
    /// The layer at which failures of clients count.
    pub observe: Option<String>,
    pub error_limit: Option<String>,
    pub on_error: Option<String>,
}

/// A `server` line.
#[derive(Clone, Debug)]
pub(super) struct Server {
    pub line: usize,
    pub name: String,
    pub address: String,
    pub options: Options,
}

impl Options {
    /// Takes in a `default-server` line.
    pub fn read_defaults(&mut self, setting: &Setting, notes: &mut Vec<Note>) {
        self.apply(&setting.words[1..], "default-server", setting, notes);
    }

    /// Takes in options, and notes those without a counterpart.
    fn apply(&mut self, words: &[String], whose: &str, setting: &Setting, notes: &mut Vec<Note>) {
        let mut words = words.iter();
        let mut unknown: Vec<&str> = Vec::new();
        while let Some(word) = words.next() {
            match word.as_str() {
                "check" => self.is_checked = true,
                "no-check" => self.is_checked = false,
                "backup" => self.backup = true,
                "no-backup" => self.backup = false,
                "disabled" => self.disabled = true,
                "enabled" => self.disabled = false,
                "inter" => self.check.inter = words.next().and_then(|word| noted(word, "ms", setting, notes)),
                "fall" => self.check.fall = words.next().cloned(),
                "rise" => self.check.rise = words.next().cloned(),
                "check-ssl" => self.check.ssl = true,
                "no-check-ssl" => self.check.ssl = false,
                "verify" => self.check.verify = words.next().cloned(),
                "ca-file" => self.check.ca_file = words.next().cloned(),
                "check-sni" | "verifyhost" => self.check.name = words.next().cloned(),
                "observe" => self.check.observe = words.next().cloned(),
                "error-limit" => self.check.error_limit = words.next().cloned(),
                "on-error" => self.check.on_error = words.next().cloned(),
                "on-marked-down" => self.on_marked_down = words.next().cloned(),
                "slowstart" => {
                    self.slowstart = words.next().and_then(|word| noted(word, "ms", setting, notes));
                }
                "weight" => self.weight = words.next().cloned(),
                "source" => {
                    let address = words.next();
                    self.source = address.and_then(|address| source::read(address, &[], setting, notes));
                }
                "ssl"
                | "send-proxy"
                | "send-proxy-v2"
                | "send-proxy-v2-ssl"
                | "send-proxy-v2-ssl-cn"
                | "socks4" => self.alters_bytes = Some(word.clone()),
                // An option that is not known, or the argument of one.
                other => unknown.push(other),
            }
        }
        if !unknown.is_empty() {
            let text = format!("{whose}: `{}` is not carried: xlb has no counterpart", unknown.join(" "));
            notes.push(Note::at(setting.line, text));
        }
    }
}

impl Server {
    /// Reads a `server` line; `defaults` are those of the `default-server` lines before it.
    pub fn read(setting: &Setting, defaults: &Options, notes: &mut Vec<Note>) -> Option<Self> {
        let [_, name, address, words @ ..] = setting.words.as_slice() else {
            notes.push(setting.note("not carried: it has no address"));
            return None;
        };
        let mut options = defaults.clone();
        options.apply(words, &format!("server {name}"), setting, notes);
        if let Some(option) = &options.alters_bytes {
            notes.push(Note::at(
                setting.line,
                format!(
                    "server {name}: not carried: xlb cannot do `{option}`, it leaves the bytes as they are"
                ),
            ));
            return None;
        }
        if options.disabled {
            let text = format!("server {name}: disabled is carried as weight = 0");
            notes.push(Note::at(setting.line, text));
        }
        Some(Self { line: setting.line, name: name.clone(), address: address.clone(), options })
    }
}
