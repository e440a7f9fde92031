//! Translations of `haproxy.cfg`.

use std::net::Ipv4Addr;

use xlb::config::Loaded;
use xlb::config::haproxy::{Import, import};

/// A user's file, unchanged.
const SEED: &str = include_str!("../data/haproxy.cfg");

fn translate(text: &str) -> Import {
    import("haproxy.cfg", text, |_| Some("eth0".to_owned())).unwrap_or_else(|problems| panic!("{problems}"))
}

#[test]
fn the_users_file_becomes_this_one() {
    let Import { toml, notes } = import("haproxy.cfg", SEED, |_| None).expect("the file is sound");
    assert_eq!(toml, include_str!("../data/haproxy.toml"));
    assert_eq!(notes.to_string(), include_str!("../data/haproxy.notes"));
}

#[test]
fn the_users_file_becomes_a_valid_one() {
    let loaded = Loaded::parse("xlb.toml", &translate(SEED).toml).unwrap_or_else(|wrong| panic!("{wrong}"));
    let servers: Vec<String> =
        loaded.config.servers().map(|(_, server)| format!("{} {}", server.name, server.address)).collect();
    assert_eq!(servers, ["bettley 10.4.0.11:6443", "fenn 10.4.0.15:6443", "gardener 10.4.0.16:6443"]);
    assert_eq!(loaded.config.stats.and_then(|stats| stats.realm).as_deref(), Some("HAProxy Statistics"));
}

#[test]
fn the_interface_is_that_of_the_first_frontend() {
    let interface = |address: Option<Ipv4Addr>| address.map(|address| format!("if-{address}"));
    let text = "listen a\n bind 10.0.0.1:1\n server s 10.0.0.2:1\nlisten b\n bind 10.0.0.3:1\n";
    let import = import("haproxy.cfg", text, interface).expect("a sound file");
    assert!(import.toml.contains("interface = \"if-10.0.0.1\""), "{}", import.toml);
    assert!(!import.notes.to_string().contains("--interface"), "{}", import.notes);
}

/// A sound file, to whose sections lines are added.
const SOUND: &str = "\
global
defaults
 timeout connect 5000
frontend f
 bind 10.0.0.1:80
 default_backend b
backend b
 timeout server 60000
 server s 10.0.0.2:80 check inter 3s fall 2
";

/// What one more line at the end of a section leads to.
struct Line {
    /// The section's keyword.
    section: &'static str,
    text: &'static str,
    /// What the result contains.
    toml: &'static str,
    /// What is said of the line, if anything.
    note: &'static str,
}

#[test]
fn each_line_is_carried_or_explained() {
    for Line { section, text, toml, note } in LINES {
        let mut lines: Vec<&str> = SOUND.lines().collect();
        let head = lines.iter().position(|there| there.starts_with(section)).expect("a section of the file");
        let end = lines[head + 1..].iter().position(|there| !there.starts_with(' '));
        let at = end.map_or(lines.len(), |end| head + 1 + end);
        lines.insert(at, text);
        let import = translate(&lines.join("\n"));
        assert!(import.toml.contains(toml), "{text}:\n{}", import.toml);
        let prefix = format!("haproxy.cfg:{}: ", at + 1);
        let notes = import.notes.to_string();
        let said: Vec<&str> = notes.lines().filter_map(|note| note.strip_prefix(&prefix)).collect();
        assert_eq!(said.join("\n"), *note, "{text}");
    }
}

#[test]
fn a_sound_file_needs_no_note_on_a_line() {
    let notes = translate(SOUND).notes.to_string();
    assert!(notes.lines().all(|note| note.starts_with("haproxy.cfg: ")), "{notes}");
}

#[test]
fn what_is_no_tcp_stays_behind() {
    let text = "frontend web\n bind *:80\n mode http\n default_backend app\n\
                backend app\n mode http\n server a 10.0.0.2:80\nuserlist people\n user a password b\n";
    let import = translate(text);
    assert!(!import.toml.contains("web") && !import.toml.contains("app"), "{}", import.toml);
    assert_eq!(
        import.notes.to_string(),
        "\
haproxy.cfg:1: frontend web: not carried: it is in mode http, and xlb forwards TCP only
haproxy.cfg:5: backend app: not carried: it is in mode http, and xlb forwards TCP only
haproxy.cfg:8: userlist people: the section is not carried: xlb has no counterpart
"
    );
}

#[test]
fn defaults_hold_until_the_next_ones() {
    let text = "defaults first\n timeout server 1h\ndefaults\n timeout server 2h\n\
                backend a\n server s 10.0.0.2:1\nbackend b from first\n server s 10.0.0.2:2\n\
                listen c\n bind 10.0.0.1:3\n timeout server 3h\n default-server check rise 7\n server s 10.0.0.2:3\n";
    let loaded = Loaded::parse("xlb.toml", &format!("{}\n", translate(text).toml)).expect("a valid result");
    let hours = loaded.config.backends.iter().map(|backend| backend.timeouts.idle.as_secs() / 3600);
    assert_eq!(hours.collect::<Vec<_>>(), [2, 1, 3]);
    let rises = loaded.config.backends.iter().map(|backend| backend.check.map(|check| check.rise));
    assert_eq!(rises.collect::<Vec<_>>(), [None, None, Some(7)]);
}

#[test]
fn lines_that_cannot_be_read_are_problems() {
    let text = "maxconn 4\nglobal\n log \"/dev/log\n.if defined(A)\nfrontend f\n bind \"$IP:80\"\n";
    let problems = import("haproxy.cfg", text, |_| None).expect_err("four problems");
    assert_eq!(
        problems.to_string(),
        "\
haproxy.cfg:1: maxconn 4: stands before the first section; move it into a section
haproxy.cfg:3: log: a quotation mark has no partner; close the quotation
haproxy.cfg:4: .if defined(A): HAProxy decides this condition when it starts; keep the lines that apply, and remove the condition
haproxy.cfg:6: bind: contains an environment variable, which only HAProxy knows; write its value"
    );
}

const LINES: &[Line] = &[
    Line {
        section: "global",
        text: "maxconn 50",
        toml: "max_connections = 50",
        note: "maxconn 50: carried, but this version does not limit connections yet",
    },
    Line {
        section: "global",
        text: "daemon",
        toml: "",
        note: "daemon: not carried: the kernel does the work of HAProxy's processes, and the agent is one service",
    },
    Line {
        section: "global",
        text: "stats socket /run/haproxy.sock",
        toml: "",
        note: "stats socket /run/haproxy.sock: not carried: this version has no control socket; `xlb stats` and `xlb connections` need none",
    },
    Line {
        section: "global",
        text: "log 10.0.0.5:514 len 2048 local2 info",
        toml: r#"address = "10.0.0.5:514"
facility = "local2"
level = "info""#,
        note: "log 10.0.0.5:514 len 2048 local2 info: `len` is not carried: xlb has no counterpart\n\
               log: carried as [log], but this version does not write to syslog yet",
    },
    Line {
        section: "frontend",
        text: "bind 10.0.0.1:81",
        toml: r#"name = "f-2"
bind = "10.0.0.1:81"
backend = "b""#,
        note: "bind 10.0.0.1:81: carried as a frontend of its own, f-2",
    },
    Line {
        section: "frontend",
        text: "bind 10.0.0.1:443 ssl crt /etc/a.pem",
        toml: "",
        note: "bind 10.0.0.1:443 ssl crt /etc/a.pem: not carried: xlb cannot do `ssl`, it leaves the bytes as they are",
    },
    Line {
        section: "frontend",
        text: "bind *:82",
        toml: r#"bind = "*:82""#,
        note: "bind *:82: carried as a frontend of its own, f-2\n\
               bind *:82: xlb needs one address here; write it into the result",
    },
    Line {
        section: "frontend",
        text: "timeout client 5s",
        toml: r#"idle = "60000ms""#,
        note: "the timeouts of client and server differ, 5s here and 60000ms in line 9; xlb has one for both: idle = \"60000ms\"",
    },
    Line {
        section: "frontend",
        text: "timeout server 5s",
        toml: r#"idle = "60000ms""#,
        note: "timeout server 5s: HAProxy ignores this in a frontend, which has no servers",
    },
    Line {
        section: "frontend",
        text: "maxconn 7",
        toml: "max_connections = 7",
        note: "maxconn 7: carried, but this version does not limit connections yet",
    },
    Line {
        section: "frontend",
        text: "acl a src 10.0.0.0/8",
        toml: "",
        note: "acl a src 10.0.0.0/8: not carried: xlb does not look into connections",
    },
    Line {
        section: "frontend",
        text: "option tcplog",
        toml: r#"[log]
format = "tcplog""#,
        note: "option tcplog: carried as [log], but this version does not write to syslog yet",
    },
    Line {
        section: "backend",
        text: "timeout client 5s",
        toml: r#"idle = "60000ms""#,
        note: "timeout client 5s: HAProxy ignores this in a backend; xlb's idle timeout holds for both sides",
    },
    Line { section: "backend", text: "timeout tunnel 2d", toml: r#"idle = "2d""#, note: "" },
    Line {
        section: "backend",
        text: "timeout connect soon",
        toml: "",
        note: "timeout connect soon: `soon` is not carried: it is not a time",
    },
    Line {
        section: "backend",
        text: "balance leastconn",
        toml: r#"balance = "roundrobin""#,
        note: "balance leastconn: carried as roundrobin, the only way so far",
    },
    Line {
        section: "backend",
        text: "option httpchk GET /",
        toml: r#"type = "tcp""#,
        note: "option httpchk GET /: carried as a TCP check, which opens a connection and closes it",
    },
    Line {
        section: "backend",
        text: "server t 10.0.0.3:80 weight 5 backup",
        toml: "weight = 5
backup = true",
        note: "server t: has no check in HAProxy, and is checked like s\n\
               server t: backup is carried, but this version does not hold servers back yet: the server gets connections like the others",
    },
    Line {
        section: "backend",
        text: "server t 10.0.0.3:80",
        toml: r#"name = "t""#,
        note: "server t: has no check in HAProxy, and is checked like s",
    },
    Line {
        section: "backend",
        text: "server t 10.0.0.3:80 check inter 500",
        toml: r#"interval = "3s""#,
        note: "server t: its check differs from that of s in line 9, which is carried for the whole backend",
    },
    Line {
        section: "backend",
        text: "server t 10.0.0.3:80 disabled check inter 3s fall 2",
        toml: "weight = 0",
        note: "server t: disabled is carried as weight = 0",
    },
    Line {
        section: "backend",
        text: "server t 10.0.0.3:80 check send-proxy",
        toml: "",
        note: "server t: not carried: xlb cannot do `send-proxy`, it leaves the bytes as they are",
    },
    Line {
        section: "backend",
        text: "server t 10.0.0.3:80 check inter 3s fall 2 slowstart 10s",
        toml: r#"name = "t""#,
        note: "server t: `slowstart 10s` is not carried: xlb has no counterpart",
    },
    Line {
        section: "backend",
        text: "server t 10.0.0.3:80 check inter 3s fall 2 weight heavy",
        toml: "weight = \"heavy\"",
        note: "",
    },
];
