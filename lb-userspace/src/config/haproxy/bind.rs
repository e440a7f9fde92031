//! `bind` lines with TLS, which only a statistics page can have here.

use super::note::Note;
use super::section::Setting;

/// The option that makes HAProxy speak TLS.
pub(super) const TLS: &str = "ssl";

/// An address at which HAProxy speaks TLS.
#[derive(Clone, Debug)]
pub(super) struct TlsBind {
    pub address: String,
    /// The file with certificate and key.
    pub certificate: Option<String>,
    /// What has no counterpart.
    options: Vec<String>,
    setting: Setting,
}

impl TlsBind {
    /// Reads one that has the option.
    pub fn read(address: &str, setting: &Setting) -> Self {
        let address = address.to_owned();
        let mut bind = Self { address, certificate: None, options: Vec::new(), setting: setting.clone() };
        let mut words = setting.words[2..].iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                "crt" if bind.certificate.is_none() => bind.certificate = words.next().cloned(),
                TLS => {}
                // An option, or the argument of one.
                word => bind.options.push(word.to_owned()),
            }
        }
        bind
    }

    /// Where it stands.
    pub const fn line(&self) -> usize {
        self.setting.line
    }

    /// A note on why it cannot be carried where TCP is forwarded.
    pub fn no_tcp(&self) -> Note {
        self.setting.note(&format!("not carried: xlb cannot do `{TLS}`, it leaves the bytes as they are"))
    }

    /// Notes on what of it a page does not have.
    pub fn of_page(&self) -> Vec<Note> {
        let mut notes = Vec::new();
        if !self.options.is_empty() {
            let options = self.options.join(" ");
            notes.push(self.setting.note(&format!("`{options}` is not carried: xlb has no counterpart")));
        }
        if self.certificate.is_none() {
            notes.push(self.setting.note("it names no certificate; set tls_certificate in [stats]"));
        }
        notes
    }
}
