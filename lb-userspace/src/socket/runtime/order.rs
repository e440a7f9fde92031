//! What a line asks for.

use std::time::Duration;

use lb_common::ring::MAX_WEIGHT;

use super::help;
use super::show::{Info, Show};
use super::table::Table;
use crate::dataplane::status::Admin;
use crate::socket::{Command, ServerChange, ServerName, Weight};

/// The most percent of a weight that mean anything: of 1 they are the highest weight.
const MAX_PERCENT: u32 = MAX_WEIGHT * 100;

/// The unit of `set timeout cli` where none is named.
const TIMEOUT_UNIT: &str = "s";

/// The longest time that a client may take.
const MAX_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);

/// What a line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The server that it names.
    pub server: Option<ServerName>,
    /// What is to be done.
    pub order: Order,
}

/// Something to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// To show something.
    Show(Show),
    /// To say this, which may be what is wrong.
    Say(String),
    /// Something for the agent.
    Change(Command),
    /// To let the highest values begin anew.
    ForgetHighest,
    /// To begin or end the interactive mode.
    Prompt,
    /// To give the client so much time.
    Timeout(Duration),
    /// To end the conversation.
    Quit,
    /// Nothing: what is wanted is so already.
    Nothing,
}

impl Asked {
    fn order(order: Order) -> Self {
        Self { server: None, order }
    }

    fn complaint(text: &str) -> Self {
        Self::order(Order::complaint(text))
    }
}

impl Order {
    fn complaint(text: &str) -> Self {
        Self::Say(format!("{text}\n"))
    }
}

/// Reads a line. Like HAProxy it overlooks words that nobody asks for.
pub fn asked(line: &str) -> Asked {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words[..] {
        ["quit", ..] => Asked::order(Order::Quit),
        ["prompt", ..] => Asked::order(Order::Prompt),
        ["help", ref of @ ..] => Asked::order(Order::Say(help::help(of))),
        ["clear", "counters", ..] => Asked::order(Order::ForgetHighest),
        ["set", "timeout", ref what @ ..] => timeout(what),
        ["set", "server", server, ref what @ ..] => of_server(server, |server| set_server(server, what)),
        ["set", "weight", server, ref weight @ ..] => of_server(server, |server| {
            Ok(Order::Change(server.change(set_weight(weight.first().copied().unwrap_or_default())?)))
        }),
        ["get", "weight", server, ..] => {
            of_server(server, |server| Ok(Order::Show(Show::Weight(server.clone()))))
        }
        [verb @ ("enable" | "disable"), what @ ("server" | "health" | "agent"), server, ..] => {
            of_server(server, |server| switch(server, what, verb == "enable"))
        }
        ["shutdown", "sessions", "server", server, ..] => {
            of_server(server, |server| Ok(Order::Change(server.change(ServerChange::EndSessions))))
        }
        ["show", what, ref more @ ..] => show(what, more).unwrap_or_else(|| unknown(&words)),
        _ => unknown(&words),
    }
}

fn unknown(words: &[&str]) -> Asked {
    Asked::order(Order::Say(help::unknown(words)))
}

fn show(what: &str, more: &[&str]) -> Option<Asked> {
    let backend = |more: &[&str]| more.first().map(|name| (*name).to_owned());
    let show = match (what, more) {
        ("info", more) => Show::Info(Info::of(more)),
        ("stat", more) => Show::Table(Table::of(more)),
        ("servers", ["state", more @ ..]) => Show::States(backend(more)),
        ("servers", ["conn", more @ ..]) => Show::Connections(backend(more)),
        ("backend", _) => Show::Backends,
        ("errors", _) => Show::Errors,
        ("version", _) => Show::Version,
        _ => return None,
    };
    Some(Asked::order(Order::Show(show)))
}

fn of_server(server: &str, order: impl FnOnce(&ServerName) -> Result<Order, String>) -> Asked {
    let Ok(server) = server.parse::<ServerName>() else {
        return Asked::complaint("Require 'backend/server'.");
    };
    let order = order(&server).unwrap_or_else(|complaint| Order::complaint(&complaint));
    Asked { server: Some(server), order }
}

fn set_server(server: &ServerName, what: &[&str]) -> Result<Order, String> {
    let value = what.get(1).copied().unwrap_or_default();
    let change = match what.first().copied().unwrap_or_default() {
        "state" => ServerChange::State(state(value)?),
        "weight" => set_weight(value)?,
        "health" => health(value)?,
        _ => return Err("usage: set server <backend>/<server> health | state | weight".to_owned()),
    };
    Ok(Order::Change(server.change(change)))
}

fn state(word: &str) -> Result<Admin, String> {
    Admin::named(word)
        .ok_or_else(|| "'set server <srv> state' expects 'ready', 'drain' and 'maint'.".to_owned())
}

fn health(word: &str) -> Result<ServerChange, String> {
    match word {
        "up" => Ok(ServerChange::Health { up: true }),
        "down" => Ok(ServerChange::Health { up: false }),
        // HAProxy's state NOLB: no new connections but those that must come here, of which xlb has none.
        "stopping" => {
            Err("health 'stopping' is not supported: use 'set server <srv> state drain'.".to_owned())
        }
        _ => Err("'set server <srv> health' expects 'up', 'stopping', or 'down'.".to_owned()),
    }
}

fn set_weight(text: &str) -> Result<ServerChange, String> {
    if text.is_empty() {
        return Err("Require <weight> or <weight%>.".to_owned());
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let end = digits.find(|character: char| !character.is_ascii_digit()).unwrap_or(digits.len());
    let (number, rest) = digits.split_at(end);
    let is_negative = text.starts_with('-');
    let weight = match (number.parse::<u32>(), rest) {
        _ if number.is_empty() => {
            return Err("Empty weight string empty or preceded by garbage".to_owned());
        }
        (Ok(1..) | Err(_), "%") if is_negative => {
            return Err("Relative weight must be positive.".to_owned());
        }
        (percent, "%") => Weight::Percent(percent.map_or(MAX_PERCENT, |percent| percent.min(MAX_PERCENT))),
        (Ok(weight @ 0..=MAX_WEIGHT), "") if weight == 0 || !is_negative => Weight::Absolute(weight),
        (Ok(0..=MAX_WEIGHT), _) if !is_negative => {
            return Err("Trailing garbage in weight string".to_owned());
        }
        _ => {
            return Err(format!("Absolute weight can only be between 0 and {MAX_WEIGHT} inclusive."));
        }
    };
    Ok(ServerChange::Weight(weight))
}

fn switch(server: &ServerName, what: &str, on: bool) -> Result<Order, String> {
    let change = match what {
        "server" => ServerChange::State(if on { Admin::Ready } else { Admin::Maint }),
        "health" => ServerChange::Checks { on },
        // As with a HAProxy whose servers have no `agent-check`.
        _ if on => return Err("Agent was not configured on this server, cannot enable.".to_owned()),
        _ => return Ok(Order::Nothing),
    };
    Ok(Order::Change(server.change(change)))
}

fn timeout(what: &[&str]) -> Asked {
    let delay = match what {
        ["cli", delay, ..] => delay,
        ["cli"] => return Asked::complaint("Expects an integer value."),
        _ => return Asked::complaint("'set timeout' only supports 'cli'."),
    };
    let has_unit = delay.ends_with(|character: char| !character.is_ascii_digit());
    let text = if has_unit { (*delay).to_owned() } else { format!("{delay}{TIMEOUT_UNIT}") };
    match humantime::parse_duration(&text) {
        Ok(delay) if !delay.is_zero() => Asked::order(Order::Timeout(delay.min(MAX_TIMEOUT))),
        _ => Asked::complaint("Invalid timeout value."),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn said(line: &str) -> String {
        match asked(line).order {
            Order::Say(text) => text,
            other => panic!("{line}: {other:?}"),
        }
    }

    fn changes(line: &str) -> String {
        match asked(line).order {
            Order::Change(command) => command.to_string(),
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn changes_have_several_words() {
        for (line, change) in [
            ("set server a/b state ready", "state ready"),
            ("enable server a/b", "state ready"),
            ("set server a/b state drain", "state drain"),
            ("set server a/b state maint", "state maint"),
            ("disable server a/b", "state maint"),
            ("set server a/b weight 7", "weight 7"),
            ("set weight a/b 256", "weight 256"),
            ("set weight a/b 0%", "weight 0%"),
            ("set weight a/b 99999999999%", "weight 25600%"),
            ("set weight a/b -0", "weight 0"),
            ("set server a/b health up", "health up"),
            ("set server a/b health down", "health down"),
            ("enable health a/b", "health checks on"),
            ("disable health a/b", "health checks off"),
            ("shutdown sessions server a/b", "sessions ended"),
            ("  set  weight a/b 7 and more\r", "weight 7"),
        ] {
            assert_eq!(changes(line), format!("set server a/b {change}"), "{line}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_in_haproxys_words() {
        const ABSOLUTE: &str = "Absolute weight can only be between 0 and 256 inclusive.\n";
        for (line, complaint) in [
            ("set weight a/b", "Require <weight> or <weight%>.\n"),
            ("set weight a/b ten", "Empty weight string empty or preceded by garbage\n"),
            ("set weight a/b -", "Empty weight string empty or preceded by garbage\n"),
            ("set weight a/b 10x", "Trailing garbage in weight string\n"),
            ("set weight a/b 257", ABSOLUTE),
            ("set weight a/b -1", ABSOLUTE),
            ("set weight a/b 99999999999", ABSOLUTE),
            ("set weight a/b -1%", "Relative weight must be positive.\n"),
            ("set weight a 1", "Require 'backend/server'.\n"),
            ("set weight a/ 1", "Require 'backend/server'.\n"),
            ("set server a/b state up", "'set server <srv> state' expects 'ready', 'drain' and 'maint'.\n"),
            ("set server a/b health", "'set server <srv> health' expects 'up', 'stopping', or 'down'.\n"),
            ("enable agent a/b", "Agent was not configured on this server, cannot enable.\n"),
            ("set timeout cli x", "Invalid timeout value.\n"),
            ("set timeout cli 0", "Invalid timeout value.\n"),
            ("set timeout cli", "Expects an integer value.\n"),
            ("set timeout", "'set timeout' only supports 'cli'.\n"),
        ] {
            assert_eq!(said(line), complaint, "{line}");
        }
        assert!(said("set server a/b addr 198.18.0.1").starts_with("usage: set server <backend>/<server> "));
        assert!(said("set server a/b").starts_with("usage: "));
        assert_eq!(said("set server a/b health stopping").lines().count(), 1);
        assert!(said("").starts_with("Unknown command."));
    }

    #[test]
    fn a_client_sets_its_own_time() {
        let timeout = |text: &str| asked(&format!("set timeout cli {text}")).order;
        assert_eq!(timeout("10"), Order::Timeout(Duration::from_secs(10)));
        assert_eq!(timeout("250ms"), Order::Timeout(Duration::from_millis(250)));
        assert_eq!(timeout("999d"), Order::Timeout(MAX_TIMEOUT));
    }

    #[test]
    fn whoever_names_a_server_is_known_to() {
        let named = |line: &str| asked(line).server.is_some();
        assert!(named("get weight a/b") && named("disable agent a/b") && named("set weight a/b 999"));
        assert!(!named("get weight a") && !named("show stat") && !named("set timeout cli a/b"));
    }

    const WORD: &str = "(show|set|get|enable|disable|shutdown|sessions|clear|counters|server|servers|health|agent|\
                        weight|state|conn|stat|info|timeout|cli|help|a/b|/|-?[0-9]{1,20}%?|\\\\|;|\\PC{0,4})";

    proptest! {
        #[test]
        fn no_line_does_harm(line: String) {
            let _ = asked(&line);
        }

        #[test]
        fn no_sequence_of_its_words_does_harm(words in proptest::collection::vec(WORD, 0..8)) {
            let line = words.join(" ");
            if let Order::Say(text) = asked(&line).order {
                prop_assert!(text.ends_with('\n') && !text.starts_with('\n'), "{}: {}", line, text);
            }
        }
    }
}
