//! How xlb is attached.

use std::fmt;

/// A mode of attachment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    Tc,
    Native,
    Generic,
}

impl Mode {
    /// All of them, in the order of the tables.
    pub const ALL: [Self; 3] = [Self::Tc, Self::Native, Self::Generic];

    /// Its name in a configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tc => "tc",
            Self::Native => "native",
            Self::Generic => "generic",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
