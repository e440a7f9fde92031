//! Wrong configurations, each with its whole message.

use xlb::config::Loaded;

use crate::GOOD;

/// One change to the good file, and what is said of the result.
struct Wrong {
    /// A text that the good file contains once.
    replace: &'static str,
    /// What stands there instead.
    with: &'static str,
    /// One line for each problem.
    message: &'static str,
}

const INTERFACE: &str = r#"interface = "eth0""#;
const MODE: &str = r#"mode = "auto""#;
const NAT_PORTS: &str = r#"nat_ports = "10240-32767""#;
const BIND: &str = r#"bind = "10.4.0.10:6443""#;
const BACKEND: &str = "[[backend]]";
const CONNECT: &str = r#"connect = "10s""#;
const WEIGHT: &str = "weight = 1";
const ADDRESS: &str = r#"address = "10.4.0.15:6443""#;

#[test]
fn each_is_told_what_is_wrong_with_it() {
    for Wrong { replace, with, message } in WRONG {
        assert_eq!(GOOD.matches(replace).count(), 1, "{replace}");
        let text = GOOD.replace(replace, with);
        match Loaded::parse("xlb.toml", &text) {
            Ok(_) => panic!("accepted:\n{text}"),
            Err(problems) => assert_eq!(problems.to_string(), *message, "{text}"),
        }
    }
}

#[test]
fn a_list_has_its_limit() {
    let allow = |count: u32| {
        let prefixes: Vec<String> = (0..count).map(|n| format!("\"10.0.{}.{}\"", n / 256, n % 256)).collect();
        GOOD.replace(BIND, &format!("{BIND}\nallow = [{}]", prefixes.join(",")))
    };
    assert!(Loaded::parse("xlb.toml", &allow(256)).is_ok());
    let problems = Loaded::parse("xlb.toml", &allow(257)).expect_err("one too many").to_string();
    assert!(
        problems.ends_with("…: expected a list of 1 to 256 values; these are 257: remove some"),
        "{problems}"
    );
}

#[test]
fn all_problems_are_found_at_once_and_in_order() {
    let text = GOOD.replace(WEIGHT, "weight = 300").replace(MODE, "mod = 3").replace(BIND, "bind = 6443");
    let problems = Loaded::parse("xlb.toml", &text).expect_err("three problems");
    let lines: Vec<usize> = problems.iter().map(|problem| problem.line).collect();
    assert_eq!(lines, [2, 7, 25]);
}

const WRONG: &[Wrong] = &[
    // The text is not TOML.
    Wrong {
        replace: INTERFACE,
        with: r#"interface = "eth0"#,
        message: r#"xlb.toml:1: interface: invalid basic string, expected `"`; correct the line (https://toml.io shows the notation)"#,
    },
    Wrong {
        replace: INTERFACE,
        with: "interface = eth0",
        message: "xlb.toml:1: interface: string values must be quoted, expected literal string; correct the line (https://toml.io shows the notation)",
    },
    Wrong {
        replace: MODE,
        with: r#"mode "auto""#,
        message: r#"xlb.toml:2: mode "auto": key with no value, expected `=`; correct the line (https://toml.io shows the notation)"#,
    },
    Wrong {
        replace: "[[frontend]]",
        with: "[[frontend]",
        message: "xlb.toml:5: [[frontend]: unclosed array table, expected `]`; correct the line (https://toml.io shows the notation)",
    },
    Wrong {
        replace: WEIGHT,
        with: "weight = 1
weight = 2",
        message: "xlb.toml:26: weight: duplicate key; remove or rename one of the two",
    },
    // Keys.
    Wrong {
        replace: INTERFACE,
        with: "",
        message: r#"xlb.toml:1: interface: missing; add interface = "eth0""#,
    },
    Wrong {
        replace: INTERFACE,
        with: r#"interfaces = "eth0""#,
        message: r#"xlb.toml:1: interface: missing; add interface = "eth0"
xlb.toml:1: interfaces = "eth0": unknown key; did you mean "interface"?"#,
    },
    Wrong {
        replace: "fall = 3",
        with: "falls = 3",
        message: r#"xlb.toml:19: backend.k8s-api-server.check.falls = 3: unknown key; did you mean "fall"?"#,
    },
    Wrong {
        replace: "fall = 3",
        with: r#"on_failure = "reset""#,
        message: r#"xlb.toml:19: backend.k8s-api-server.check.on_failure = "reset": unknown key; known here are type, interval, timeout, fall, rise, path, status, ca_file, verify, server_name, observe, error_limit"#,
    },
    Wrong {
        replace: BIND,
        with: "",
        message: r#"xlb.toml:5: frontend.k8s-api-server.bind: missing; add bind = "10.4.0.10:6443""#,
    },
    Wrong {
        replace: r#"[[backend.server]]
name = "fenn""#,
        with: r#"[[backend.servers]]
name = "fenn""#,
        message: r#"xlb.toml:27: backend.k8s-api-server.servers: unknown key; did you mean "server"?"#,
    },
    Wrong {
        replace: r#"name = "bettley"
"#,
        with: "",
        message: r#"xlb.toml:22: backend.k8s-api-server.server[0].name: missing; add name = "bettley""#,
    },
    Wrong {
        replace: "[[frontend]]",
        with: "[frontend]",
        message: "xlb.toml:5: frontend: expected a list of tables; write [[frontend]] in double brackets, once for each",
    },
    Wrong {
        replace: r#"[backend.check]
interval = "2s"
fall = 3
rise = 2
"#,
        with: r#"check = "tcp"
"#,
        message: r#"xlb.toml:17: backend.k8s-api-server.timeouts.check = "tcp": unknown key; known here are connect, idle"#,
    },
    Wrong {
        replace: MODE,
        with: r#"stats.password = "secret""#,
        message: r#"xlb.toml:2: stats.bind: missing; add bind = "0.0.0.0:8404"
xlb.toml:2: stats.password: unknown key; known here are bind, uri, refresh, realm, auth, hide_version, admin, tls_certificate, tls_key"#,
    },
    // Words and names.
    Wrong {
        replace: INTERFACE,
        with: r#"interface = """#,
        message: r#"xlb.toml:1: interface = "": expected the name of a network interface, 1 to 15 bytes without "/", ":" or spaces; `ip link` lists the interfaces"#,
    },
    Wrong {
        replace: INTERFACE,
        with: r#"interface = "a-very-long-name""#,
        message: r#"xlb.toml:1: interface = "a-very-long-name": expected the name of a network interface, 1 to 15 bytes without "/", ":" or spaces; `ip link` lists the interfaces"#,
    },
    Wrong {
        replace: INTERFACE,
        with: "interface = 0",
        message: "xlb.toml:1: interface = 0: expected the name of a network interface; write it in double quotes",
    },
    Wrong {
        replace: MODE,
        with: r#"mode = "natve""#,
        message: r#"xlb.toml:2: mode = "natve": not a word that is known here; did you mean "native"?"#,
    },
    Wrong {
        replace: MODE,
        with: r#"mode = "fast""#,
        message: r#"xlb.toml:2: mode = "fast": not a word that is known here; use "auto", "native", "generic" or "tc""#,
    },
    Wrong {
        replace: r#"interval = "2s""#,
        with: r#"type = "http"
interval = "2s""#,
        message: r#"xlb.toml:18: backend.k8s-api-server.check.type = "http": not a word that is known here; did you mean "https"?"#,
    },
    Wrong {
        replace: MODE,
        with: r#"on_stop = "stay""#,
        message: r#"xlb.toml:2: on_stop = "stay": not a word that is known here; use "remove" or "keep""#,
    },
    Wrong {
        replace: "[backend.timeouts]",
        with: r#"on_marked_down = "shutdown-sessions"
[backend.timeouts]"#,
        message: r#"xlb.toml:13: backend.k8s-api-server.on_marked_down = "shutdown-sessions": not a word that is known here; use "reset" or "keep""#,
    },
    Wrong {
        replace: "fall = 3",
        with: r#"observe = "layer4""#,
        message: r#"xlb.toml:19: backend.k8s-api-server.check.observe = "layer4": not a word that is known here; use "off" or "connect""#,
    },
    Wrong {
        replace: "[backend.timeouts]",
        with: r#"panic = "yes"
[backend.timeouts]"#,
        message: r#"xlb.toml:13: backend.k8s-api-server.panic = "yes": expected true or false; write one of the two, without quotes"#,
    },
    Wrong {
        replace: MODE,
        with: "host_clients = 1",
        message: "xlb.toml:2: host_clients = 1: expected true or false; write one of the two, without quotes",
    },
    Wrong {
        replace: MODE,
        with: r#"cgroup = "system.slice""#,
        message: r#"xlb.toml:2: cgroup = "system.slice": expected an absolute path; begin it with "/""#,
    },
    // Checks over HTTPS.
    Wrong {
        replace: "fall = 3",
        with: r#"type = "tcp"
path = "/readyz"
status = 200
ca_file = "/etc/ca.pem"
verify = true
server_name = "k8s""#,
        message: r#"xlb.toml:20: backend.k8s-api-server.check.path = "/readyz": means nothing in a check of type "tcp"; set type = "https", or remove the line
xlb.toml:21: backend.k8s-api-server.check.status = 200: means nothing in a check of type "tcp"; set type = "https", or remove the line
xlb.toml:22: backend.k8s-api-server.check.ca_file = "/etc/ca.pem": means nothing in a check of type "tcp"; set type = "https", or remove the line
xlb.toml:23: backend.k8s-api-server.check.verify = true: means nothing in a check of type "tcp"; set type = "https", or remove the line
xlb.toml:24: backend.k8s-api-server.check.server_name = "k8s": means nothing in a check of type "tcp"; set type = "https", or remove the line"#,
    },
    Wrong {
        replace: "fall = 3",
        with: r#"path = "/readyz""#,
        message: r#"xlb.toml:19: backend.k8s-api-server.check.path = "/readyz": means nothing in a check of type "tcp"; set type = "https", or remove the line"#,
    },
    Wrong {
        replace: "fall = 3",
        with: r#"type = "https"
ca_file = "/etc/ca.pem"
verify = false"#,
        message: r#"xlb.toml:20: backend.k8s-api-server.check.ca_file = "/etc/ca.pem": not used, because verify = false in line 21 trusts anybody; remove one of the two lines"#,
    },
    Wrong {
        replace: "fall = 3",
        with: r#"type = "https"
ca_file = "ca.pem""#,
        message: r#"xlb.toml:20: backend.k8s-api-server.check.ca_file = "ca.pem": expected an absolute path; begin it with "/""#,
    },
    Wrong {
        replace: "fall = 3",
        with: r#"type = "https"
path = "readyz""#,
        message: r#"xlb.toml:20: backend.k8s-api-server.check.path = "readyz": expected a path such as "/readyz"; begin it with "/""#,
    },
    Wrong {
        replace: "fall = 3",
        with: r#"type = "https"
path = "/ready z""#,
        message: r##"xlb.toml:20: backend.k8s-api-server.check.path = "/ready z": has a character that no request can carry; write spaces, "#" and others as % and two digits"##,
    },
    Wrong {
        replace: "fall = 3",
        with: r#"type = "https"
status = 99"#,
        message: "xlb.toml:20: backend.k8s-api-server.check.status = 99: expected a whole number from 100 to 599; use a larger number",
    },
    Wrong {
        replace: "fall = 3",
        with: r#"type = "https"
status = 600"#,
        message: "xlb.toml:20: backend.k8s-api-server.check.status = 600: expected a whole number from 100 to 599; use a smaller number",
    },
    Wrong {
        replace: "fall = 3",
        with: r#"type = "https"
server_name = "k8s.example.org:6443""#,
        message: r#"xlb.toml:20: backend.k8s-api-server.check.server_name = "k8s.example.org:6443": expected a host's name or IPv4 address such as "k8s.example.org"; write it as the certificate has it, without port"#,
    },
    Wrong {
        replace: "fall = 3",
        with: r#"observe = "connect"
error_limit = 0"#,
        message: "xlb.toml:20: backend.k8s-api-server.check.error_limit = 0: expected a whole number from 1 to 1000000; use a larger number",
    },
    // Who may connect.
    Wrong {
        replace: BIND,
        with: r#"bind = "10.4.0.10:6443"
allow = "10.4.0.0/20""#,
        message: r#"xlb.toml:8: frontend.k8s-api-server.allow = "10.4.0.0/20": expected a list of 1 to 256 values; write ["10.4.0.0/20"], with commas between several"#,
    },
    Wrong {
        replace: BIND,
        with: r#"bind = "10.4.0.10:6443"
allow = []"#,
        message: "xlb.toml:8: frontend.k8s-api-server.allow = []: expected a list of 1 to 256 values; name one, or remove the line",
    },
    Wrong {
        replace: BIND,
        with: r#"bind = "10.4.0.10:6443"
allow = [
    "10.4.0.0/20",
    "10.4.0.11/20",
    "10.4.0.0/33",
    "10.4.0.0/",
    "fenn",
    "fd00::/8",
    10,
]"#,
        message: r#"xlb.toml:10: frontend.k8s-api-server.allow[1] = "10.4.0.11/20": has bits beyond its first 20; write "10.4.0.0/20" for the network, or "10.4.0.11" for this one address
xlb.toml:11: frontend.k8s-api-server.allow[2] = "10.4.0.0/33": expected an IPv4 prefix such as "10.4.0.0/20"; write a number of bits from 0 to 32 after the "/"
xlb.toml:12: frontend.k8s-api-server.allow[3] = "10.4.0.0/": expected an IPv4 prefix such as "10.4.0.0/20"; write a number of bits from 0 to 32 after the "/"
xlb.toml:13: frontend.k8s-api-server.allow[4] = "fenn": expected an IPv4 prefix such as "10.4.0.0/20"; write four numbers from 0 to 255, "/" and the number of bits
xlb.toml:14: frontend.k8s-api-server.allow[5] = "fd00::/8": IPv6 is not supported yet; use an IPv4 prefix
xlb.toml:15: frontend.k8s-api-server.allow[6] = 10: expected an IPv4 prefix such as "10.4.0.0/20"; write it in double quotes"#,
    },
    Wrong {
        replace: BIND,
        with: r#"bind = "10.4.0.10:6443"
source_rate = 100"#,
        message: r#"xlb.toml:8: frontend.k8s-api-server.source_rate = 100: expected a rate such as "100/s" or "600/m"; write it in double quotes"#,
    },
    Wrong {
        replace: BIND,
        with: r#"bind = "10.4.0.10:6443"
source_rate = "100""#,
        message: r#"xlb.toml:8: frontend.k8s-api-server.source_rate = "100": expected a rate such as "100/s" or "600/m"; write a number, "/", and s for a second or m for a minute"#,
    },
    Wrong {
        replace: BIND,
        with: r#"bind = "10.4.0.10:6443"
source_rate = "0/s""#,
        message: r#"xlb.toml:8: frontend.k8s-api-server.source_rate = "0/s": expected a rate such as "100/s" or "600/m"; use a whole number from 1 to 1000000"#,
    },
    Wrong {
        replace: WEIGHT,
        with: "slow_start = 30",
        message: r#"xlb.toml:25: backend.k8s-api-server.server.bettley.slow_start = 30: expected a duration from 1ms to 1year such as "10s"; write a number and its unit in double quotes"#,
    },
    Wrong {
        replace: "[backend.timeouts]",
        with: r#"balance = "leastconn"
[backend.timeouts]"#,
        message: r#"xlb.toml:13: backend.k8s-api-server.balance = "leastconn": not a word that is known here; use "roundrobin""#,
    },
    Wrong {
        replace: r#"name = "fenn""#,
        with: r#"name = "fenn 1""#,
        message: r#"xlb.toml:28: backend.k8s-api-server.server[1].name = "fenn 1": expected a name of letters, digits, "-", "_", "." and ":"; replace the other characters"#,
    },
    Wrong {
        replace: r#"name = "fenn""#,
        with: r#"name = """#,
        message: r#"xlb.toml:28: backend.k8s-api-server.server[1].name = "": expected a name of 1 to 63 bytes; choose another name"#,
    },
    Wrong {
        replace: r#"name = "fenn""#,
        with: r#"name = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx""#,
        message: r#"xlb.toml:28: backend.k8s-api-server.server[1].name = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx": expected a name of 1 to 63 bytes; choose another name"#,
    },
    // Numbers.
    Wrong {
        replace: WEIGHT,
        with: "weight = 300",
        message: "xlb.toml:25: backend.k8s-api-server.server.bettley.weight = 300: expected a whole number from 0 to 256; use a smaller number",
    },
    Wrong {
        replace: WEIGHT,
        with: "weight = -1",
        message: "xlb.toml:25: backend.k8s-api-server.server.bettley.weight = -1: expected a whole number from 0 to 256; use a larger number",
    },
    Wrong {
        replace: WEIGHT,
        with: r#"weight = "1""#,
        message: r#"xlb.toml:25: backend.k8s-api-server.server.bettley.weight = "1": expected a whole number from 0 to 256; write digits only, without quotes"#,
    },
    Wrong {
        replace: WEIGHT,
        with: "weight = 1.5",
        message: "xlb.toml:25: backend.k8s-api-server.server.bettley.weight = 1.5: expected a whole number from 0 to 256; write digits only, without quotes",
    },
    Wrong {
        replace: "fall = 3",
        with: "fall = 0",
        message: "xlb.toml:19: backend.k8s-api-server.check.fall = 0: expected a whole number from 1 to 255; use a larger number",
    },
    Wrong {
        replace: "rise = 2",
        with: "rise = 256",
        message: "xlb.toml:20: backend.k8s-api-server.check.rise = 256: expected a whole number from 1 to 255; use a smaller number",
    },
    Wrong {
        replace: WEIGHT,
        with: r#"backup = "yes""#,
        message: r#"xlb.toml:25: backend.k8s-api-server.server.bettley.backup = "yes": expected true or false; write one of the two, without quotes"#,
    },
    Wrong {
        replace: MODE,
        with: "max_servers = 65",
        message: "xlb.toml:2: max_servers = 65: expected a whole number from 1 to 64; use a smaller number",
    },
    Wrong {
        replace: MODE,
        with: "max_connections = 0",
        message: "xlb.toml:2: max_connections = 0: expected a whole number from 1 to 4294967295; use a larger number",
    },
    // Durations.
    Wrong {
        replace: CONNECT,
        with: "connect = 10",
        message: r#"xlb.toml:14: backend.k8s-api-server.timeouts.connect = 10: expected a duration from 1ms to 1year such as "10s"; write a number and its unit in double quotes"#,
    },
    Wrong {
        replace: CONNECT,
        with: r#"connect = "0s""#,
        message: r#"xlb.toml:14: backend.k8s-api-server.timeouts.connect = "0s": expected a duration from 1ms to 1year such as "10s"; use a longer one"#,
    },
    Wrong {
        replace: CONNECT,
        with: r#"connect = "10""#,
        message: r#"xlb.toml:14: backend.k8s-api-server.timeouts.connect = "10": expected a duration from 1ms to 1year such as "10s"; write a number and its unit (ms, s, m, h or d)"#,
    },
    Wrong {
        replace: CONNECT,
        with: r#"connect = "soon""#,
        message: r#"xlb.toml:14: backend.k8s-api-server.timeouts.connect = "soon": expected a duration from 1ms to 1year such as "10s"; write a number and its unit (ms, s, m, h or d)"#,
    },
    Wrong {
        replace: r#"idle = "86400s""#,
        with: r#"idle = "2years""#,
        message: r#"xlb.toml:15: backend.k8s-api-server.timeouts.idle = "2years": expected a duration from 1ms to 1year such as "10s"; use a shorter one"#,
    },
    Wrong {
        replace: r#"interval = "2s""#,
        with: r#"interval = "2s"
timeout = "3s""#,
        message: r#"xlb.toml:19: backend.k8s-api-server.check.timeout = "3s": longer than the interval of 2s; shorten it, or lengthen the interval"#,
    },
    // Addresses.
    Wrong {
        replace: BIND,
        with: r#"bind = "10.4.0.10""#,
        message: r#"xlb.toml:7: frontend.k8s-api-server.bind = "10.4.0.10": expected an IPv4 address and a port such as "10.4.0.10:6443"; add ":" and the port"#,
    },
    Wrong {
        replace: BIND,
        with: r#"bind = "10.4.0.10:0""#,
        message: r#"xlb.toml:7: frontend.k8s-api-server.bind = "10.4.0.10:0": port 0 stands for no port; use a port from 1 to 65535"#,
    },
    Wrong {
        replace: BIND,
        with: r#"bind = "10.4.0.10:65536""#,
        message: r#"xlb.toml:7: frontend.k8s-api-server.bind = "10.4.0.10:65536": expected a port after the last ":"; use a port from 1 to 65535"#,
    },
    Wrong {
        replace: BIND,
        with: r#"bind = "*:6443""#,
        message: r#"xlb.toml:7: frontend.k8s-api-server.bind = "*:6443": stands for any address, which is not supported yet; name one address"#,
    },
    Wrong {
        replace: BIND,
        with: r#"bind = "0.0.0.0:6443""#,
        message: r#"xlb.toml:7: frontend.k8s-api-server.bind = "0.0.0.0:6443": stands for any address, which is not supported yet; name one address"#,
    },
    Wrong {
        replace: BIND,
        with: r#"bind = "[::1]:6443""#,
        message: r#"xlb.toml:7: frontend.k8s-api-server.bind = "[::1]:6443": IPv6 is not supported yet; use an IPv4 address"#,
    },
    Wrong {
        replace: BIND,
        with: r#"bind = "127.0.0.1:6443""#,
        message: r#"xlb.toml:7: frontend.k8s-api-server.bind = "127.0.0.1:6443": a loopback address, whose packets never cross a network; use the address of one host"#,
    },
    Wrong {
        replace: ADDRESS,
        with: r#"address = "224.0.0.1:6443""#,
        message: r#"xlb.toml:29: backend.k8s-api-server.server.fenn.address = "224.0.0.1:6443": a multicast address, which stands for many hosts; use the address of one host"#,
    },
    Wrong {
        replace: ADDRESS,
        with: r#"address = "255.255.255.255:6443""#,
        message: r#"xlb.toml:29: backend.k8s-api-server.server.fenn.address = "255.255.255.255:6443": the broadcast address, which stands for all hosts; use the address of one host"#,
    },
    Wrong {
        replace: ADDRESS,
        with: r#"address = "fenn.local:6443""#,
        message: r#"xlb.toml:29: backend.k8s-api-server.server.fenn.address = "fenn.local:6443": expected an IPv4 address and a port such as "10.4.0.10:6443"; names are not looked up: write the address in digits"#,
    },
    Wrong {
        replace: ADDRESS,
        with: r#"address = "fd00::1""#,
        message: r#"xlb.toml:29: backend.k8s-api-server.server.fenn.address = "fd00::1": IPv6 is not supported yet; use an IPv4 address"#,
    },
    // NAT addresses.
    Wrong {
        replace: MODE,
        with: r#"nat_addresses = ["10.4.0.10", "10.4.0.300"]"#,
        message: r#"xlb.toml:2: nat_addresses[1] = "10.4.0.300": expected an IPv4 address such as "10.4.0.10"; write four numbers from 0 to 255, with dots between them"#,
    },
    Wrong {
        replace: MODE,
        with: r#"nat_address = "10.4.0.8""#,
        message: r#"xlb.toml:2: nat_address = "10.4.0.8": unknown key; did you mean "nat_addresses"?"#,
    },
    Wrong {
        replace: MODE,
        with: r#"nat_addresses = "10.4.0.8""#,
        message: r#"xlb.toml:2: nat_addresses = "10.4.0.8": expected a list of 1 to 16 values; write ["10.4.0.10"], with commas between several"#,
    },
    Wrong {
        replace: MODE,
        with: "nat_addresses = []",
        message: "xlb.toml:2: nat_addresses = []: expected a list of 1 to 16 values; name one, or remove the line",
    },
    Wrong {
        replace: MODE,
        with: r#"nat_addresses = [ "10.4.0.1", "10.4.0.2", "10.4.0.3", "10.4.0.4", "10.4.0.5", "10.4.0.6", "10.4.0.7",
    "10.4.0.8", "10.4.0.9", "10.4.0.10", "10.4.0.12", "10.4.0.13", "10.4.0.14", "10.4.0.16", "10.4.0.17",
    "10.4.0.18", "10.4.0.19"]"#,
        message: r#"xlb.toml:2: nat_addresses = [ "10.4.0.1", "10.4.0.2", "10.4.0.3", "10.4.0.4", "10.4.0.5", "10.4.0.6", "10.4.…: expected a list of 1 to 16 values; these are 17: remove some"#,
    },
    Wrong {
        replace: MODE,
        with: r#"nat_addresses = ["10.4.0.10", "10.4.0.8",
    "10.4.0.10"]"#,
        message: r#"xlb.toml:3: nat_addresses[2] = "10.4.0.10": named already, as nat_addresses[0]; name each address once"#,
    },
    Wrong {
        replace: MODE,
        with: r#"nat_addresses = ["10.4.0.10", "0.0.0.0"]"#,
        message: r#"xlb.toml:2: nat_addresses[1] = "0.0.0.0": stands for any address, which is not supported yet; name one address"#,
    },
    Wrong {
        replace: MODE,
        with: r#"nat_addresses = ["10.4.0.10", "10.4.0.15"]"#,
        message: r#"xlb.toml:29: backend.k8s-api-server.server.fenn.address = "10.4.0.15:6443": is on the balancer's own host, and packets that never leave it cannot be forwarded; use a server on another host"#,
    },
    // NAT ports.
    Wrong {
        replace: NAT_PORTS,
        with: r#"nat_ports = "10240:32767""#,
        message: r#"xlb.toml:3: nat_ports = "10240:32767": expected a range of ports such as "10240-32767"; write the lowest port, "-" and the highest, up to 65535"#,
    },
    Wrong {
        replace: NAT_PORTS,
        with: r#"nat_ports = "32767-10240""#,
        message: r#"xlb.toml:3: nat_ports = "32767-10240": expected a range of ports such as "10240-32767"; write the lowest port, "-" and the highest, up to 65535"#,
    },
    Wrong {
        replace: NAT_PORTS,
        with: r#"nat_ports = "1000-32767""#,
        message: r#"xlb.toml:3: nat_ports = "1000-32767": reaches below port 1024, where the host's own services are; begin at 1024 or above"#,
    },
    Wrong {
        replace: NAT_PORTS,
        with: "nat_ports = 10240",
        message: "xlb.toml:3: nat_ports = 10240: expected a range of ports; write it in double quotes",
    },
    Wrong {
        replace: NAT_PORTS,
        with: r#"nat_ports = "6000-7000""#,
        message: r#"xlb.toml:7: frontend.k8s-api-server.bind = "10.4.0.10:6443": its port is one of the NAT ports 6000-7000; use a port outside, or set nat_ports to another range"#,
    },
    // Settings that do not fit each other.
    Wrong {
        replace: r#"backend = "k8s-api-server""#,
        with: r#"backend = "k8s-api""#,
        message: r#"xlb.toml:8: frontend.k8s-api-server.backend = "k8s-api": there is no such backend; add one, or use one of these: k8s-api-server"#,
    },
    Wrong {
        replace: r#"backend = "k8s-api-server""#,
        with: r#"backend = "k8s-api-servers""#,
        message: r#"xlb.toml:8: frontend.k8s-api-server.backend = "k8s-api-servers": there is no such backend; did you mean "k8s-api-server"?"#,
    },
    Wrong {
        replace: r#"name = "fenn""#,
        with: r#"name = "bettley""#,
        message: r#"xlb.toml:28: backend.k8s-api-server.server[1].name = "bettley": already used in line 23; choose a name of its own"#,
    },
    Wrong {
        replace: ADDRESS,
        with: r#"address = "10.4.0.11:6443""#,
        message: r#"xlb.toml:29: backend.k8s-api-server.server.fenn.address = "10.4.0.11:6443": backend.k8s-api-server.server.bettley.address in line 24 is the same, and a server's NAT ports belong to its address; remove one of the two (several frontends can use one backend)"#,
    },
    Wrong {
        replace: ADDRESS,
        with: r#"address = "10.4.0.10:6443""#,
        message: r#"xlb.toml:29: backend.k8s-api-server.server.fenn.address = "10.4.0.10:6443": is the frontend's own address of line 7; use the address that the server itself listens on"#,
    },
    Wrong {
        replace: ADDRESS,
        with: r#"address = "10.4.0.10:6444""#,
        message: r#"xlb.toml:29: backend.k8s-api-server.server.fenn.address = "10.4.0.10:6444": is on the balancer's own host, and packets that never leave it cannot be forwarded; use a server on another host"#,
    },
    Wrong {
        replace: BACKEND,
        with: r#"[[frontend]]
name = "k8s-api-server"
bind = "10.4.0.10:6444"
backend = "k8s-api-server"

[[backend]]"#,
        message: r#"xlb.toml:11: frontend[1].name = "k8s-api-server": already used in line 6; choose a name of its own"#,
    },
    Wrong {
        replace: BACKEND,
        with: r#"[[frontend]]
name = "again"
bind = "10.4.0.10:6443"
backend = "k8s-api-server"

[[backend]]"#,
        message: r#"xlb.toml:12: frontend.again.bind = "10.4.0.10:6443": frontend.k8s-api-server.bind in line 7 listens there already; choose another address or port"#,
    },
    Wrong {
        replace: BACKEND,
        with: r#"[[backend]]
name = "empty"

[[backend]]"#,
        message: "xlb.toml:10: backend.empty.server: missing; add [[backend.server]] with name and address",
    },
    Wrong {
        replace: MODE,
        with: "max_servers = 1",
        message: "xlb.toml:2: max_servers = 1: too few for the 2 servers of this file; set max_servers = 2",
    },
    Wrong {
        replace: r#"[[frontend]]
name = "k8s-api-server"
bind = "10.4.0.10:6443"
backend = "k8s-api-server"
"#,
        with: "",
        message: "xlb.toml:1: frontend: missing; add [[frontend]] with name, bind and backend",
    },
    // The control socket.
    Wrong {
        replace: BACKEND,
        with: r#"[socket]
path = "admin.sock"
mode = 660
group = ""

[[backend]]"#,
        message: r#"xlb.toml:11: socket.path = "admin.sock": expected an absolute path; begin it with "/"
xlb.toml:12: socket.mode = 660: expected the mode of a file such as "660"; write it in double quotes
xlb.toml:13: socket.group = "": expected a text that is not empty; write a text, or remove the line"#,
    },
    Wrong {
        replace: BACKEND,
        with: r#"[socket]
mode = "rw-"

[[backend]]"#,
        message: r#"xlb.toml:11: socket.mode = "rw-": expected the mode of a file such as "660"; write three octal digits: for the owner, the group and all others"#,
    },
    Wrong {
        replace: BACKEND,
        with: r#"[socket]
mode = "1777"

[[backend]]"#,
        message: r#"xlb.toml:11: socket.mode = "1777": expected the mode of a file such as "660"; write three octal digits: for the owner, the group and all others"#,
    },
    // The statistics page and the log.
    Wrong {
        replace: BACKEND,
        with: r#"[stats]
bind = "*:8404"

[[backend]]"#,
        message: r#"xlb.toml:11: stats.bind = "*:8404": expected an address and a port; for all addresses write "0.0.0.0:port""#,
    },
    Wrong {
        replace: BACKEND,
        with: r#"[stats]
bind = "0.0.0.0:6443"

[metrics]
bind = "0.0.0.0:6443"

[[backend]]"#,
        message: r#"xlb.toml:11: stats.bind = "0.0.0.0:6443": frontend.k8s-api-server.bind in line 7 takes these connections; choose another port
xlb.toml:14: metrics.bind = "0.0.0.0:6443": frontend.k8s-api-server.bind in line 7 takes these connections; choose another port
xlb.toml:14: metrics.bind = "0.0.0.0:6443": stats.bind in line 11 listens there already; choose another port, or use /metrics of [stats]"#,
    },
    Wrong {
        replace: BACKEND,
        with: r#"[metrics]
bind = "0.0.0.0:10240"

[[backend]]"#,
        message: r#"xlb.toml:11: metrics.bind = "0.0.0.0:10240": its port is one of the NAT ports 10240-32767; use a port outside, or set nat_ports to another range"#,
    },
    Wrong {
        replace: BACKEND,
        with: r#"[stats]
bind = "0.0.0.0:8404"
auth = "secret"

[[backend]]"#,
        message: r#"xlb.toml:12: stats.auth: expected "user:password"; write the user's name, ":" and the password, or what `xlb hash-password` prints for it"#,
    },
    Wrong {
        replace: BACKEND,
        with: r#"[stats]
bind = "0.0.0.0:8404"
uri = "stats"

[[backend]]"#,
        message: r#"xlb.toml:12: stats.uri = "stats": expected a path such as "/stats"; begin it with "/""#,
    },
    Wrong {
        replace: BACKEND,
        with: r#"[stats]
bind = "0.0.0.0:8404"
admin = true

[[backend]]"#,
        message: "xlb.toml:12: stats.admin = true: without auth, everybody who reaches 0.0.0.0:8404 could change servers; set auth (`xlb hash-password --user NAME` prints one), or bind to 127.0.0.1",
    },
    Wrong {
        replace: BACKEND,
        with: r#"[stats]
bind = "0.0.0.0:8404"
tls_key = "/etc/xlb/page.key"

[[backend]]"#,
        message: r#"xlb.toml:12: stats.tls_key = "/etc/xlb/page.key": there is no certificate for it; set tls_certificate, or remove the line"#,
    },
    Wrong {
        replace: BACKEND,
        with: r#"[stats]
bind = "0.0.0.0:8404"
tls_certificate = "page.pem"

[[backend]]"#,
        message: r#"xlb.toml:12: stats.tls_certificate = "page.pem": expected an absolute path; begin it with "/""#,
    },
    Wrong {
        replace: BACKEND,
        with: r#"[[log.target]]
address = "/dev/log"
facility = "local8"

[[backend]]"#,
        message: r#"xlb.toml:12: log.target[0].facility = "local8": not a word that is known here; did you mean "local0"?"#,
    },
    Wrong {
        replace: BACKEND,
        with: r#"[log]
format = "httplog"
tag = "my proxy"

[[log.target]]
address = "loghost"

[[backend]]"#,
        message: r#"xlb.toml:11: log.format = "httplog": not a word that is known here; did you mean "tcplog"?
xlb.toml:12: log.tag = "my proxy": expected at most 32 letters, digits, "-", "_" and "."; use a name such as "haproxy"
xlb.toml:15: log.target[0].address = "loghost": expected a socket's path, an IP address with or without a port, "journald", "stdout" or "stderr"; write "/dev/log" for this host's syslog daemon"#,
    },
    Wrong {
        replace: BACKEND,
        with: r#"[[log.target]]
facility = "local0"
level = "all"

[[backend]]"#,
        message: r#"xlb.toml:10: log.target[0].address: missing; add address = "/dev/log"
xlb.toml:12: log.target[0].level = "all": not a word that is known here; use "emerg", "alert", "crit", "err", "warning", "notice", "info" or "debug""#,
    },
];
