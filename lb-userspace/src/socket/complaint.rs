//! What the agent answers when it does not do what it is asked.

use std::fmt;

use crate::kind::Kind;

/// Why the agent has not done something.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Complaint {
    /// What kind of failure it is.
    pub kind: Kind,
    /// What is wrong and what to do.
    pub text: String,
}

impl Complaint {
    /// What was asked for is wrong.
    pub fn wrong(text: impl fmt::Display) -> Self {
        Self { kind: Kind::Wrong, text: text.to_string() }
    }

    /// As it is answered: `[wrong] …`.
    pub(super) fn to_line(&self) -> String {
        format!("[{}] {}", self.kind, self.text)
    }

    /// Reads an answer, also that of an agent of another version.
    pub(super) fn of(answer: &str) -> Self {
        let parts = answer.strip_prefix('[').and_then(|rest| rest.split_once("] "));
        let parts = parts.and_then(|(kind, text)| Some((kind.parse().ok()?, text)));
        let (kind, text) = parts.unwrap_or((Kind::Failed, answer));
        Self { kind, text: text.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_answered_is_read() {
        for kind in [Kind::Failed, Kind::Wrong, Kind::Environment] {
            let complaint = Complaint { kind, text: "[no] such\nserver".to_owned() };
            assert_eq!(Complaint::of(&complaint.to_line()), complaint);
        }
        for unknown in ["there is none", "[odd] there is none", "[wrong"] {
            assert_eq!(Complaint::of(unknown), Complaint { kind: Kind::Failed, text: unknown.to_owned() });
        }
    }
}
