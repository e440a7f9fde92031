//! What kind of failure something is: for scripts, as an exit code.

use std::fmt;
use std::str::FromStr;

/// What kind of failure something is; the README says what each is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Anything else.
    Failed = 1,
    /// What was asked for is wrong: the configuration, or the command line.
    Wrong = 2,
    /// The environment is not one to work in; nothing was changed.
    Environment = 3,
    /// A start was not confirmed in time, or could not be kept, and has taken back what it had done.
    Unconfirmed = 4,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Failed, Self::Wrong, Self::Environment, Self::Unconfirmed];

    /// The code that a command ends with.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        self as u8
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Failed => "failed",
            Self::Wrong => "wrong",
            Self::Environment => "environment",
            Self::Unconfirmed => "unconfirmed",
        })
    }
}

impl FromStr for Kind {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|kind| kind.to_string() == word).ok_or(())
    }
}
