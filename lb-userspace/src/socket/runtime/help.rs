//! The commands that there are, as HAProxy lists them.

/// A command and what it does. Like the layout, the words are HAProxy's.
const COMMANDS: &[(&str, &str)] = &[
    ("clear counters [all]", "clear max statistics counters"),
    ("disable agent <bk>/<srv>", "disable agent checks (there are none)"),
    ("disable health <bk>/<srv>", "disable health checks"),
    ("disable server <bk>/<srv>", "disable a server for maintenance (use 'set server' instead)"),
    ("enable agent <bk>/<srv>", "enable agent checks (there are none)"),
    ("enable health <bk>/<srv>", "enable health checks"),
    ("enable server <bk>/<srv>", "enable a disabled server (use 'set server' instead)"),
    ("get weight <bk>/<srv>", "report a server's current weight"),
    ("set server <bk>/<srv> [opts]", "change a server's state, weight or health"),
    ("set timeout [cli] <delay>", "change a timeout setting"),
    ("set weight <bk>/<srv>  (DEPRECATED)", "change a server's weight (use 'set server' instead)"),
    ("show backend", "list backends in the current running config"),
    ("show errors", "report last request and/or response errors (there are none)"),
    ("show info [desc|json|typed]*", "report information about the running process"),
    ("show servers conn [<backend>]", "dump server connections status (all or for a single backend)"),
    ("show servers state [<backend>]", "dump volatile server information (all or for a single backend)"),
    ("show stat [json|no-maint|typed|up]*", "report counters for each proxy and server"),
    ("show version", "show version of the current process"),
    ("shutdown sessions server <bk>/<srv>", "kill sessions on a server"),
    ("help [<command>]", "list matching or all commands"),
    ("prompt", "toggle interactive mode with prompt"),
    ("quit", "disconnect"),
];

/// What HAProxy has besides: who asks for it has made no mistake.
const ONLY_HAPROXYS: &[&str] = &[
    "abort ssl",
    "add acl",
    "add map",
    "add server",
    "add ssl",
    "clear acl",
    "clear map",
    "clear table",
    "commit acl",
    "commit map",
    "commit ssl",
    "del acl",
    "del map",
    "del server",
    "del ssl",
    "disable dynamic-cookie",
    "disable frontend",
    "enable dynamic-cookie",
    "enable frontend",
    "get acl",
    "get map",
    "get var",
    "new ssl",
    "operator",
    "prepare acl",
    "prepare map",
    "set dynamic-cookie-key",
    "set map",
    "set maxconn",
    "set profiling",
    "set rate-limit",
    "set severity-output",
    "set ssl",
    "set table",
    "show acl",
    "show activity",
    "show cache",
    "show cli",
    "show env",
    "show events",
    "show fd",
    "show libs",
    "show map",
    "show peers",
    "show pools",
    "show profiling",
    "show resolvers",
    "show schema",
    "show sess",
    "show ssl",
    "show startup-logs",
    "show table",
    "show tasks",
    "show threads",
    "show tls-keys",
    "show trace",
    "shutdown frontend",
    "shutdown session",
    "trace",
    "user",
];

/// What is answered to `help`: the commands that begin with these words, or all.
pub fn help(words: &[&str]) -> String {
    let matching: Vec<_> = COMMANDS.iter().filter(|(usage, _)| begins_with(usage, words)).collect();
    if matching.is_empty() {
        return unknown(words);
    }
    list("The following commands are valid at this level:", matching)
}

/// What is answered to what is no command.
pub fn unknown(words: &[&str]) -> String {
    match ONLY_HAPROXYS.iter().find(|command| begins_with(&words.join(" "), &split(command))) {
        Some(command) => format!("'{command}' is not supported: xlb has no counterpart.\n"),
        None => list("Unknown command. Please enter one of the following commands only:", COMMANDS),
    }
}

fn list<'c>(head: &str, commands: impl IntoIterator<Item = &'c (&'c str, &'c str)>) -> String {
    let lines = commands.into_iter().map(|(usage, what)| format!("  {usage:<40}: {what}\n"));
    format!("{head}\n{}", lines.collect::<String>())
}

fn begins_with(text: &str, words: &[&str]) -> bool {
    split(text).starts_with(words)
}

fn split(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_listed_in_haproxys_layout() {
        let all = help(&[]);
        assert!(
            all.starts_with("The following commands are valid at this level:\n  clear counters"),
            "{all}"
        );
        assert!(all.contains("\n  show version                            : show version of the"), "{all}");
        assert!(all.ends_with("\n  quit                                    : disconnect\n"), "{all}");
        let some = help(&["show", "servers"]);
        assert_eq!(some.lines().count(), 3, "{some}");
    }

    #[test]
    fn a_mistake_is_told_from_what_only_haproxy_has() {
        let mistaken = unknown(&["shwo", "info"]);
        let head = "Unknown command. Please enter one of the following commands only:\n";
        assert!(mistaken.starts_with(head), "{mistaken}");
        assert_eq!(unknown(&[]), mistaken);
        assert_eq!(help(&["shwo"]), mistaken);
        for line in [["show", "sess"], ["set", "maxconn"], ["user", "x"]] {
            assert_eq!(unknown(&line).lines().count(), 1, "{line:?}");
        }
        assert_eq!(unknown(&["show", "sessions"]), mistaken);
    }

    #[test]
    fn nothing_is_both_ours_and_only_haproxys() {
        for (usage, _) in COMMANDS {
            assert!(!ONLY_HAPROXYS.iter().any(|other| begins_with(usage, &split(other))), "{usage}");
        }
    }
}
