//! Translations of `haproxy.cfg`.

use std::net::Ipv4Addr;

use xlb::config::Loaded;
use xlb::config::haproxy::{Import, import};
use xlb::config::model::OnMarkedDown;

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

/// A file whose one server is checked by asking for a page.
fn checked_by_page(check: &str, server: &str) -> Import {
    translate(&format!(
        "listen a\n bind 10.0.0.1:1\n timeout connect 5s\n timeout client 5s\n timeout server 5s\n{check} \
         server s 10.0.0.2:1 check {server}\n"
    ))
}

/// What is said of the lines of a file.
fn notes_on_lines(import: &Import) -> Vec<String> {
    let notes = import.notes.to_string();
    let said = notes.lines().filter_map(|note| {
        let (line, text) = note.strip_prefix("haproxy.cfg:")?.split_once(": ")?;
        line.parse::<usize>().ok().map(|_| text.to_owned())
    });
    said.collect()
}

#[test]
fn a_check_that_asks_over_tls_is_carried() {
    let page = " option httpchk GET /readyz\n http-check expect status 200\n";
    let import = checked_by_page(page, "check-ssl ca-file /etc/ca.pem check-sni kubernetes");
    let check = r#"[backend.check]
type = "https"
interval = "2s"
fall = 3
rise = 2
path = "/readyz"
status = 200
ca_file = "/etc/ca.pem"
server_name = "kubernetes"
"#;
    assert!(import.toml.contains(check), "{}", import.toml);
    assert_eq!(notes_on_lines(&import), [""; 0]);
    Loaded::parse("xlb.toml", &import.toml).expect("a valid result");

    let import = checked_by_page(page, "check-ssl verify none ca-file /etc/ca.pem");
    assert!(import.toml.contains("status = 200\nverify = false\n"), "{}", import.toml);
    let import = checked_by_page(page, "check-ssl verify required ca-file @system-ca");
    assert!(import.toml.contains("status = 200\n\n"), "{}", import.toml);
    let sent = " option httpchk\n http-check send meth GET uri /livez ver HTTP/1.1 hdr host k8s\n";
    let import = checked_by_page(sent, "check-ssl");
    assert!(import.toml.contains("path = \"/livez\""), "{}", import.toml);
    let notes = notes_on_lines(&import);
    assert!(notes.iter().any(|note| note.contains("`hdr host k8s` is not carried")), "{notes:?}");
}

#[test]
fn what_a_check_over_tls_does_otherwise_is_said() {
    let notes = |check, server| notes_on_lines(&checked_by_page(check, server));
    let said = |check, server, note: &str| {
        let notes = notes(check, server);
        assert!(notes.iter().any(|said| said == note), "{notes:?}");
    };
    said(" option httpchk\n", "check-ssl", "option httpchk: carried as GET, in place of OPTIONS");
    said(
        " option httpchk GET /\n",
        "check-ssl",
        "option httpchk: HAProxy is content with any status from 200 to 399, xlb with one: status = 200",
    );
    said(
        " option httpchk GET /\n http-check expect rstatus ^2\n",
        "check-ssl",
        "http-check expect rstatus ^2: not carried: xlb looks for one number, which is status = 200",
    );
    said(
        "",
        "check-ssl",
        "server s: check-ssl: carried as a TCP check; type = \"https\" would ask for a page over TLS",
    );
}

#[test]
fn failures_of_clients_are_carried() {
    let import = checked_by_page(
        "",
        "observe layer4 error-limit 5 on-error mark-down on-marked-down shutdown-sessions",
    );
    assert!(import.toml.contains("rise = 2\nobserve = \"connect\"\nerror_limit = 5\n"), "{}", import.toml);
    assert!(
        import.toml.contains("balance = \"roundrobin\"\non_marked_down = \"reset\"\n"),
        "{}",
        import.toml
    );
    let config = Loaded::parse("xlb.toml", &import.toml).expect("a valid result").config;
    assert_eq!(config.backends[0].on_marked_down, OnMarkedDown::Reset);
    assert!(!import.notes.to_string().contains("on_marked_down"), "{}", import.notes);

    let notes = notes_on_lines(&checked_by_page("", "observe layer4"));
    let note = "server s: observe: at the error limit xlb takes the server DOWN, in place of fail-check";
    assert_eq!(notes, [note]);
    let notes = notes_on_lines(&checked_by_page("", "observe layer7"));
    assert_eq!(notes, ["server s: `observe layer7` is not carried: xlb observes connects only"]);
}

#[test]
fn all_servers_get_the_sources_of_each() {
    let import = translate(
        "defaults\n source 10.0.0.8\n\
         listen a\n bind 10.0.0.1:1\n server s 10.0.0.2:1\n server t 10.0.0.3:1 source 10.0.0.9\n\
         listen b\n bind 10.0.0.1:2\n server s 10.0.0.2:2\n",
    );
    assert!(import.toml.contains(r#"nat_addresses = ["10.0.0.8", "10.0.0.9"]"#), "{}", import.toml);
    Loaded::parse("xlb.toml", &import.toml).expect("a valid result");
    let notes = notes_on_lines(&import);
    for address in ["10.0.0.8", "10.0.0.9"] {
        let note = format!("source {address}: carried in nat_addresses, which xlb uses for all servers");
        assert_eq!(notes.iter().filter(|said| **said == note).count(), 1, "{notes:?}");
    }
}

#[test]
fn one_limit_for_all_becomes_one_for_each() {
    let text = "global\n maxconn 50\nlisten a\n bind 10.0.0.1:1,10.0.0.1:2\n server s 10.0.0.2:1\n";
    let notes = notes_on_lines(&translate(text));
    let note = "maxconn 50: carried as the limit of each frontend that names none; xlb has no limit over all";
    assert_eq!(notes[0], note);
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

/// The page of a file with these lines, and what is said of them.
fn page(lines: &str) -> (String, Vec<String>) {
    let import = translate(&format!(
        "listen a\n bind 10.0.0.1:1\n timeout connect 5s\n timeout client 5s\n timeout server 5s\n server s 10.0.0.2:1\n\
         frontend page\n mode http\n stats enable\n{lines}"
    ));
    Loaded::parse("xlb.toml", &import.toml).unwrap_or_else(|wrong| panic!("{wrong}\n{}", import.toml));
    let (_, page) = import.toml.split_once("[stats]\n").expect("a page");
    (page.to_owned(), notes_on_lines(&import))
}

#[test]
fn a_page_over_tls_is_carried_with_its_certificate() {
    let (toml, notes) = page(" bind *:8404 ssl crt /etc/haproxy/page.pem\n");
    assert!(toml.contains("bind = \"0.0.0.0:8404\""), "{toml}");
    assert!(toml.ends_with("tls_certificate = \"/etc/haproxy/page.pem\"\n"), "{toml}");
    assert_eq!(notes, [""; 0]);
    let (_, notes) = page(" bind *:8404 ssl crt /etc/page.pem alpn h2,http/1.1\n");
    let line = "bind *:8404 ssl crt /etc/page.pem alpn h2,http/1.1";
    assert_eq!(notes, [format!("{line}: `alpn h2,http/1.1` is not carried: xlb has no counterpart")]);
    let (toml, notes) = page(" bind *:8404 ssl crt-list /etc/list\n");
    assert!(!toml.contains("tls_"), "{toml}");
    assert!(notes[1].ends_with("it names no certificate; set tls_certificate in [stats]"), "{notes:?}");
}

#[test]
fn of_several_addresses_the_first_without_tls_is_carried_and_the_others_are_named() {
    let several = " bind *:8443,*:8444 ssl crt /etc/page.pem\n bind *:8404\n bind 10.0.0.1:8405\n";
    let others = ["*:8443", "*:8444", "10.0.0.1:8405"];
    let expected = others.map(|other| format!("bind {other}: not carried: one address is, *:8404"));
    let (toml, notes) = page(several);
    assert!(toml.contains("0.0.0.0:8404") && !toml.contains("tls_"), "{toml}");
    assert_eq!(notes, expected);
    let (toml, notes) = page(" bind *:8443,*:8444 ssl crt /etc/page.pem\n");
    assert!(toml.contains("0.0.0.0:8443") && toml.contains("tls_certificate"), "{toml}");
    assert_eq!(notes, ["bind *:8444: not carried: one address is, *:8443"]);

    let import = translate(&format!(
        "frontend metrics\n mode http\n http-request use-service prometheus-exporter\n{several}"
    ));
    assert!(import.toml.contains("[metrics]\nbind = \"0.0.0.0:8404\""), "{}", import.toml);
    assert_eq!(notes_on_lines(&import), expected);
}

#[test]
fn a_page_that_changes_servers_is_carried_with_its_password() {
    let admin = " stats admin if TRUE\n";
    let (toml, notes) = page(&format!(" bind *:8404\n stats auth nathan:secret\n{admin}"));
    assert!(toml.contains("admin = true"), "{toml}");
    assert_eq!(notes, [""; 0]);
    let (toml, notes) = page(&format!(" bind 127.0.0.1:8404\n{admin}"));
    assert!(toml.contains("admin = true") && notes.is_empty(), "{toml}{notes:?}");
    let (toml, notes) = page(&format!(" bind *:8404\n{admin}"));
    assert!(!toml.contains("admin"), "{toml}");
    let note = "frontend page: stats admin is not carried: without stats auth, everybody could change servers; set \
                auth and admin = true in [stats]";
    assert_eq!(notes, [note]);
    let (_, notes) = page(" bind *:8404\n stats auth nathan:secret\n stats admin if LOCALHOST\n");
    assert!(
        notes[0].starts_with("stats admin if LOCALHOST: not carried: xlb.toml has no conditions"),
        "{notes:?}"
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
    let rises = loaded.config.backends.iter().map(|backend| backend.check.as_ref().map(|check| check.rise));
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
    Line { section: "global", text: "maxconn 50", toml: "max_connections = 50", note: "" },
    Line {
        section: "global",
        text: "daemon",
        toml: "",
        note: "daemon: not carried: the kernel does the work of HAProxy's processes, and the agent is one service",
    },
    Line {
        section: "global",
        text: "stats socket /run/haproxy/admin.sock mode 660 group haproxy level admin expose-fd listeners",
        toml: r#"# The control socket, for HAProxy's commands.
[socket]
path = "/run/haproxy/admin.sock"
mode = "660"
group = "haproxy""#,
        note: "stats socket /run/haproxy/admin.sock mode 660 group haproxy level admin expose-fd listeners: \
               `expose-fd` is not needed: connections outlive xlb's agent",
    },
    Line {
        section: "global",
        text: "stats socket unix@/run/haproxy.sock mode 666 level operator",
        toml: "[socket]\npath = \"/run/haproxy.sock\"\n",
        note: "stats socket unix@/run/haproxy.sock mode 666 level operator: level operator is not carried: who can \
               connect to xlb's control socket may do everything, so nobody but root may; mode and group in \
               [socket] let others in",
    },
    Line {
        section: "global",
        text: "stats socket /run/haproxy.sock mode 666 user haproxy",
        toml: "[socket]\npath = \"/run/haproxy.sock\"\n",
        note: "stats socket /run/haproxy.sock mode 666 user haproxy: `user` is not carried: xlb has no counterpart\n\
               stats socket /run/haproxy.sock mode 666 user haproxy: level operator is not carried: who can \
               connect to xlb's control socket may do everything, so nobody but root may; mode and group in \
               [socket] let others in",
    },
    Line {
        section: "global",
        text: "stats socket ipv4@127.0.0.1:9999 level admin",
        toml: "",
        note: "stats socket ipv4@127.0.0.1:9999 level admin: not carried: xlb's control socket is a file",
    },
    Line { section: "global", text: "stats timeout 30s", toml: "[socket]\ntimeout = \"30s\"\n", note: "" },
    Line {
        section: "global",
        text: "stats maxconn 10",
        toml: "",
        note: "stats maxconn 10: not carried: xlb has no counterpart",
    },
    Line {
        section: "global",
        text: "log 10.0.0.5:514 len 2048 local2 info",
        toml: r#"address = "10.0.0.5:514"
facility = "local2"
level = "info""#,
        note: "log 10.0.0.5:514 len 2048 local2 info: `len` is not carried: xlb has no counterpart",
    },
    Line {
        section: "global",
        text: "log udp@10.0.0.6 daemon",
        toml: r#"address = "10.0.0.6"
facility = "daemon""#,
        note: "",
    },
    Line {
        section: "global",
        text: "log ring@buffer local0",
        toml: "",
        note: "log ring@buffer local0: not carried: xlb has no counterpart to this kind of receiver",
    },
    Line { section: "frontend", text: "log global", toml: "", note: "" },
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
    Line { section: "frontend", text: "maxconn 7", toml: "max_connections = 7", note: "" },
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
format = "tcplog"
tag = "haproxy""#,
        note: "option tcplog: carried as [log], but no `log` says where to",
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
    Line { section: "backend", text: "source 10.0.0.8", toml: r#"nat_addresses = ["10.0.0.8"]"#, note: "" },
    Line {
        section: "defaults",
        text: "source 10.0.0.8:1024-2047 interface eth1",
        toml: r#"nat_addresses = ["10.0.0.8"]"#,
        note: "source 10.0.0.8: the ports 1024-2047 are not carried: nat_ports says which xlb takes\n\
               source 10.0.0.8: `interface eth1` is not carried: xlb has no counterpart",
    },
    Line {
        section: "backend",
        text: "source 0.0.0.0 usesrc clientip",
        toml: "interface = \"eth0\"\n\n",
        note: "source 0.0.0.0: `usesrc clientip` is not carried: xlb has no counterpart",
    },
    Line {
        section: "frontend",
        text: "source 10.0.0.8",
        toml: "interface = \"eth0\"\n\n",
        note: "source 10.0.0.8: HAProxy ignores this in a frontend, which has no servers",
    },
    Line {
        section: "backend",
        text: "server t 10.0.0.3:80 check inter 3s fall 2 source 10.0.0.9",
        toml: r#"nat_addresses = ["10.0.0.9"]"#,
        note: "source 10.0.0.9: carried in nat_addresses, which xlb uses for all servers",
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
        note: "option httpchk: carried as a TCP check, which opens a connection and closes it; xlb can ask for a page over HTTPS, but not over HTTP",
    },
    Line { section: "backend", text: "option tcp-check", toml: r#"type = "tcp""#, note: "" },
    Line {
        section: "backend",
        text: "option ssl-hello-chk",
        toml: r#"type = "tcp""#,
        note: "option ssl-hello-chk: carried as a TCP check, which opens a connection and closes it",
    },
    Line {
        section: "frontend",
        text: "http-check expect status 200",
        toml: "",
        note: "http-check expect status 200: HAProxy ignores this in a frontend, which has no servers",
    },
    Line {
        section: "backend",
        text: "option redispatch",
        toml: "",
        note: "option redispatch: not needed: xlb always moves a connection attempt that fails to another server",
    },
    Line {
        section: "backend",
        text: "option allbackups",
        toml: "",
        note: "option allbackups: not carried: xlb uses the first backup server only, until that fails",
    },
    Line {
        section: "frontend",
        text: "tcp-request connection reject if { src 10.0.0.0/8 }",
        toml: "",
        note: "tcp-request connection reject if { src 10.0.0.0/8 }: not carried: xlb does not look into connections",
    },
    Line {
        section: "backend",
        text: "server t 10.0.0.3:80 weight 5 backup",
        toml: "weight = 5
backup = true",
        note: "server t: has no check in HAProxy, and is checked like s",
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
        toml: r#"name = "t"
address = "10.0.0.3:80"
slow_start = "10s""#,
        note: "",
    },
    Line {
        section: "backend",
        text: "server t 10.0.0.3:80 check inter 3s fall 2 weight heavy",
        toml: "weight = \"heavy\"",
        note: "",
    },
];
