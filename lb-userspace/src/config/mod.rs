//! The configuration: its file format, what makes it valid, and where it comes from.
//!
//! [`Loaded::parse`] goes through four steps: [`reader`] walks the TOML, [`draft`] holds what each
//! setting says by itself, [`validate`] compares settings with each other, and [`resolve`] fills in
//! the defaults. Every problem is found in one run. [`haproxy`] translates `HAProxy`'s file format.

pub mod account;
mod address;
mod draft;
mod duration;
mod facts;
pub mod haproxy;
mod host;
mod keyword;
pub mod logging;
pub mod model;
mod ports;
mod prefix;
mod problem;
mod rate;
mod reader;
mod resolve;
mod suggest;
mod validate;
mod value;

use std::fs;
use std::io;
use std::path::Path;

pub use self::facts::interface_with;
pub use self::host::{Claim, HostFacts, Taken};
pub use self::model::Config;
pub use self::ports::{NotARange, PortRange};
pub use self::prefix::Prefix;
pub use self::problem::{Problem, Problems};
pub use self::rate::Rate;

use self::draft::Draft;
use self::host::Claims;

/// Where the configuration is that nobody names.
pub const DEFAULT_FILE: &str = "/etc/xlb/xlb.toml";

/// A valid configuration, and what is to be said about its file.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// What works, but is probably not meant.
    pub warnings: Problems,
    file: String,
    claims: Claims,
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("{file}: cannot be read: {source}; check its name and its permissions")]
    Unreadable {
        /// Its name.
        file: String,
        /// What the system says.
        source: io::Error,
    },
    /// The file is wrong.
    #[error(transparent)]
    Wrong(#[from] Problems),
}

impl Loaded {
    /// Reads and validates a file, without a look at the system.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let file = path.display().to_string();
        let text =
            fs::read_to_string(path).map_err(|source| Error::Unreadable { file: file.clone(), source })?;
        Ok(Self::parse(&file, &text)?)
    }

    /// Validates the text of a file; its name goes into the messages.
    pub fn parse(file: &str, text: &str) -> Result<Self, Problems> {
        let mut problems = Vec::new();
        let draft = match reader::read(text, &mut problems, Draft::read) {
            Ok(draft) => draft,
            Err(syntax) => return Err(Problems::new(file, vec![syntax])),
        };
        problems.extend(validate::problems(&draft));
        match resolve::config(&draft) {
            Some(config) if problems.is_empty() => Ok(Self::new(file, draft, config)),
            _ => Err(Problems::new(file, problems)),
        }
    }

    fn new(file: &str, draft: Draft, config: Config) -> Self {
        let warnings = validate::warnings(&draft);
        let claims = Claims::new(draft, &config.interface);
        Self { config, warnings: Problems::new(file, warnings), file: file.to_owned(), claims }
    }

    /// Compares the configuration with its host.
    pub fn check_host(&self, facts: &HostFacts) -> Result<(), Problems> {
        self.outcome(self.claims.problems(facts).into_iter().map(|(_, problem)| problem).collect())
    }

    /// The same one by one, each with what the host does not agree with.
    #[must_use]
    pub fn disagreements(&self, facts: &HostFacts) -> Vec<(Claim, Problem)> {
        self.claims.problems(facts)
    }

    /// The name of its file.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Looks at the files that the configuration names: whether they are there and hold what they
    /// should.
    pub fn check_files(&self) -> Result<(), Problems> {
        self.outcome(self.claims.file_problems(facts::no_authorities, facts::no_identity))
    }

    fn outcome(&self, problems: Vec<Problem>) -> Result<(), Problems> {
        if problems.is_empty() { Ok(()) } else { Err(Problems::new(&self.file, problems)) }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::{Config, Loaded};

    const ONE_SERVER: &str = r#"
interface = "eth0"
mode = "native"
[[frontend]]
name = "k8s"
bind = "198.18.0.10:6443"
backend = "k8s"
[[backend]]
name = "k8s"
[[backend.server]]
name = "bettley"
address = "198.18.0.11:6443"
"#;

    /// A configuration of one server, 198.18.0.11:6443, with these lines before it.
    pub fn one_server(before: &str) -> Config {
        Loaded::parse("xlb.toml", &format!("{before}{ONE_SERVER}")).expect("is valid").config
    }
}
