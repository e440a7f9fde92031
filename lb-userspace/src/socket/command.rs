//! What the agent can be asked to do, and how the command line writes it.

use std::fmt;
use std::str::FromStr;

use lb_common::ring::MAX_WEIGHT;

use super::ServerName;
use crate::dataplane::status::Admin;

/// Something that the agent is asked to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Something with a server.
    Server {
        /// The backend's name.
        backend: String,
        /// The server's name.
        name: String,
        /// What is to become of it.
        change: ServerChange,
    },
    /// `confirm`: to keep what was started on trial.
    Confirm,
    /// `reload`: to read the configuration again.
    Reload,
}

/// What is to become of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerChange {
    /// `state ready`, `state drain` or `state maint`
    State(Admin),
    /// `weight <n>` or `weight <n>%`
    Weight(Weight),
    /// `health up` or `health down`: it is taken for UP or DOWN, until its checks say otherwise.
    Health {
        /// Which of them.
        up: bool,
    },
    /// `health checks on` or `health checks off`
    Checks {
        /// Which of them.
        on: bool,
    },
    /// `sessions ended`: all its connections are reset.
    EndSessions,
}

/// A weight that the operator gives a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// This one, up to [`MAX_WEIGHT`].
    Absolute(u32),
    /// So many percent of the one that the configuration gives it.
    Percent(u32),
}

impl Weight {
    /// The weight of a server that has this one by the configuration.
    #[must_use]
    pub fn of(self, configured: u32) -> u32 {
        match self {
            Self::Absolute(weight) => weight,
            Self::Percent(percent) => {
                let weight = u64::from(configured) * u64::from(percent) / 100;
                weight.min(MAX_WEIGHT.into()) as u32
            }
        }
    }
}

/// A line that is no command.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotACommand {
    /// There is no such command.
    #[error(
        "unknown command {0:?}; there are `set server <backend>/<name> state ready|drain|maint`, \
         `… weight <0-{MAX_WEIGHT}>`, `… weight <percent>%`, `… health up|down`, `… health checks on|off`, \
         `… sessions ended`, `reload` and `confirm`"
    )]
    Unknown(String),
    /// Not the name of a server.
    #[error("{0:?} is no server; expected <backend>/<name>, as `xlb stats` shows them")]
    Server(String),
    /// Not a state.
    #[error("unknown state {0:?}; expected ready, drain or maint")]
    State(String),
    /// A word too many.
    #[error("unexpected {0:?}; only `weight` takes a number")]
    Surplus(String),
    /// Not a weight.
    #[error("{0:?} is no weight; expected a whole number from 0 to {MAX_WEIGHT}, or percent such as 50%")]
    Weight(String),
}

impl Command {
    /// The command that changes a server given as `<backend>/<name>`.
    pub fn server(server: &str, change: ServerChange) -> Result<Self, NotACommand> {
        Ok(server.parse::<ServerName>()?.change(change))
    }
}

impl ServerChange {
    /// A weight in digits, or so many percent.
    pub fn weight(text: &str) -> Result<Self, NotACommand> {
        let weight = match text.strip_suffix('%') {
            Some(percent) => percent.parse().ok().map(Weight::Percent),
            None => text.parse().ok().filter(|weight| *weight <= MAX_WEIGHT).map(Weight::Absolute),
        };
        weight.map(Self::Weight).ok_or_else(|| NotACommand::Weight(text.to_owned()))
    }

    /// A state by its name.
    pub fn state(text: &str) -> Result<Self, NotACommand> {
        Admin::named(text).map(Self::State).ok_or_else(|| NotACommand::State(text.to_owned()))
    }
}

impl FromStr for Command {
    type Err = NotACommand;

    fn from_str(line: &str) -> Result<Self, NotACommand> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["confirm"] => Ok(Self::Confirm),
            ["reload"] => Ok(Self::Reload),
            ["set", "server", server, ref change @ ..] => Self::server(server, change_of(line, change)?),
            _ => Err(NotACommand::Unknown(line.trim().to_owned())),
        }
    }
}

/// Reads the words of a line that say what is to become of a server.
fn change_of(line: &str, words: &[&str]) -> Result<ServerChange, NotACommand> {
    match *words {
        ["state", state] => ServerChange::state(state),
        ["weight", weight] => ServerChange::weight(weight),
        ["health", "up"] => Ok(ServerChange::Health { up: true }),
        ["health", "down"] => Ok(ServerChange::Health { up: false }),
        ["health", "checks", "on"] => Ok(ServerChange::Checks { on: true }),
        ["health", "checks", "off"] => Ok(ServerChange::Checks { on: false }),
        ["sessions", "ended"] => Ok(ServerChange::EndSessions),
        _ => Err(NotACommand::Unknown(line.trim().to_owned())),
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server { backend, name, change } => write!(f, "set server {backend}/{name} {change}"),
            Self::Confirm => f.write_str("confirm"),
            Self::Reload => f.write_str("reload"),
        }
    }
}

impl fmt::Display for ServerChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::State(state) => write!(f, "state {state}"),
            Self::Weight(Weight::Absolute(weight)) => write!(f, "weight {weight}"),
            Self::Weight(Weight::Percent(percent)) => write!(f, "weight {percent}%"),
            Self::Health { up } => write!(f, "health {}", if *up { "up" } else { "down" }),
            Self::Checks { on } => write!(f, "health checks {}", if *on { "on" } else { "off" }),
            Self::EndSessions => f.write_str("sessions ended"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_wrong_is_named() {
        let error = |line: &str| line.parse::<Command>().unwrap_err().to_string();
        assert_eq!(error("set server k8s state up"), "unknown state \"up\"; expected ready, drain or maint");
        assert_eq!(
            error("set server k8s state ready"),
            "\"k8s\" is no server; expected <backend>/<name>, as `xlb stats` shows them"
        );
        for weight in ["257", "-1", "1.5", "ten", "4294967296"] {
            let expected = format!(
                "{weight:?} is no weight; expected a whole number from 0 to 256, or percent such as 50%"
            );
            assert_eq!(error(&format!("set server k8s/bettley weight {weight}")), expected);
        }
        for line in ["", "show info", "set server k8s/bettley", "reload now", "set server a/b weight 1 2"] {
            assert!(error(line).starts_with(&format!("unknown command {line:?}; there are")), "{line}");
        }
    }

    #[test]
    fn the_words_for_the_agent_itself_are_read_as_they_are_written() {
        for command in [Command::Confirm, Command::Reload] {
            assert_eq!(command.to_string().parse(), Ok(command));
        }
    }

    #[test]
    fn percents_are_those_of_the_configuration_and_have_the_same_limit() {
        assert_eq!(Weight::Absolute(7).of(100), 7);
        assert_eq!(Weight::Percent(50).of(100), 50);
        assert_eq!(Weight::Percent(50).of(1), 0);
        assert_eq!(Weight::Percent(u32::MAX).of(256), MAX_WEIGHT);
    }

    fn change() -> impl Strategy<Value = ServerChange> {
        prop_oneof![
            prop_oneof![Just(Admin::Ready), Just(Admin::Drain), Just(Admin::Maint)]
                .prop_map(ServerChange::State),
            (0..=MAX_WEIGHT).prop_map(|weight| ServerChange::Weight(Weight::Absolute(weight))),
            any::<u32>().prop_map(|percent| ServerChange::Weight(Weight::Percent(percent))),
            any::<bool>().prop_map(|up| ServerChange::Health { up }),
            any::<bool>().prop_map(|on| ServerChange::Checks { on }),
            Just(ServerChange::EndSessions),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(backend in "[a-z0-9.-]{1,9}", name in "[a-z0-9.-]{1,9}", change in change()) {
            let command = Command::Server { backend, name, change };
            prop_assert_eq!(command.to_string().parse(), Ok(command));
        }

        #[test]
        fn no_line_does_harm(line: String) {
            let _ = line.parse::<Command>();
        }
    }
}
