//! Good configurations: what they mean, and what is worth a warning.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::Path;
use std::time::Duration;

use xlb::config::logging::{Facility, Level, LogAddress};
use xlb::config::model::{
    Balance, Check, CheckKind, Https, Identity, LogFormat, LogTarget, Mode, Observe, OnMarkedDown, OnStop,
    Server, Socket, Timeouts, Trust,
};
use xlb::config::{Config, Loaded, PortRange};

use crate::GOOD;

fn load(text: &str) -> Loaded {
    Loaded::parse("xlb.toml", text).unwrap_or_else(|problems| panic!("{problems}\n{text}"))
}

fn config(text: &str) -> Config {
    load(text).config
}

#[test]
fn the_shortest_file_has_defaults_for_the_rest() {
    let config = config(
        r#"
        interface = "end0"
        frontend = [{ name = "api", bind = "10.4.0.10:6443", backend = "nodes" }]
        [[backend]]
        name = "nodes"
        server = [{ name = "bettley", address = "10.4.0.11:6443" }]
        "#,
    );
    assert_eq!((config.interface.as_str(), config.mode, config.max_servers), ("end0", Mode::Auto, 16));
    assert_eq!(Some(config.nat_ports), PortRange::new(10_240, 32_767));
    assert_eq!(config.nat_addresses, [Ipv4Addr::new(10, 4, 0, 10)]);
    assert_eq!((&config.stats, &config.log), (&None, &None));
    let socket = Socket {
        path: "/run/xlb/admin.sock".into(),
        mode: 0o600,
        group: None,
        timeout: Duration::from_secs(10),
    };
    assert_eq!(config.socket, socket);
    assert_eq!((config.on_stop, config.host_clients, &config.cgroup), (OnStop::Remove, true, &None));
    let frontend = &config.frontends[0];
    assert_eq!((frontend.max_connections, &frontend.allow[..], frontend.source_rate), (None, &[][..], None));
    let backend = config.backend_of(&config.frontends[0]);
    assert_eq!((backend.balance, &backend.check), (Balance::RoundRobin, &None));
    assert_eq!((backend.on_marked_down, backend.panic), (OnMarkedDown::Reset, false));
    let day = Duration::from_secs(86_400);
    assert_eq!(backend.timeouts, Timeouts { connect: Duration::from_secs(10), idle: day });
    let address = SocketAddrV4::new(Ipv4Addr::new(10, 4, 0, 11), 6443);
    let server = Server { name: "bettley".to_owned(), address, weight: 1, backup: false, slow_start: None };
    assert_eq!(backend.servers, [server]);
}

#[test]
fn connections_to_servers_come_from_one_address_or_several() {
    let addresses = |setting: &str| config(&GOOD.replace("mode = \"auto\"", setting)).nat_addresses;
    assert_eq!(addresses("mode = \"auto\""), [Ipv4Addr::new(10, 4, 0, 10)]);
    let [first, second] = [Ipv4Addr::new(10, 4, 0, 9), Ipv4Addr::new(10, 4, 0, 8)];
    assert_eq!(addresses("nat_addresses = [\"10.4.0.9\"]"), [first]);
    assert_eq!(addresses("nat_addresses = [\"10.4.0.9\", \"10.4.0.8\"]"), [first, second]);
}

#[test]
fn a_check_takes_its_timeout_from_its_interval() {
    let check = |settings: &str| with_check(settings).backends.remove(0).check.expect("a check");
    let (second, two) = (Duration::from_secs(1), Duration::from_secs(2));
    let default = || Check {
        kind: CheckKind::Tcp,
        interval: two,
        timeout: two,
        fall: 3,
        rise: 2,
        observe: Observe::Off,
    };
    assert_eq!(check(""), default());
    assert_eq!(check("interval = \"1s\""), Check { interval: second, timeout: second, ..default() });
    assert_eq!(check("timeout = \"1s\""), Check { timeout: second, ..default() });
    assert_eq!(check("type = \"tcp\"\nfall = 255\nrise = 1"), Check { fall: 255, rise: 1, ..default() });
}

/// The good file with another check.
fn with_check(settings: &str) -> Config {
    config(&GOOD.replace("interval = \"2s\"\nfall = 3\nrise = 2", settings))
}

#[test]
fn a_check_over_https_trusts_whom_it_is_told_to() {
    let https = |settings: &str| {
        let mut config = with_check(&format!("type = \"https\"\n{settings}"));
        match config.backends.remove(0).check.map(|check| check.kind) {
            Some(CheckKind::Https(https)) => https,
            other => panic!("{other:?}"),
        }
    };
    let default = Https { path: "/readyz".into(), status: 200, trust: Trust::System, server_name: None };
    assert_eq!(https(""), default);
    assert_eq!(https("verify = true").trust, Trust::System);
    assert_eq!(https("verify = false").trust, Trust::Anybody);
    let ca = "/etc/kubernetes/pki/ca.crt";
    assert_eq!(https(&format!("ca_file = \"{ca}\"")).trust, Trust::CaFile(ca.into()));
    let asked =
        https("path = \"/livez?exclude=etcd\"\nstatus = 204\nserver_name = \"kubernetes.default.svc\"");
    assert_eq!((asked.path.as_str(), asked.status), ("/livez?exclude=etcd", 204));
    assert_eq!(asked.server_name.as_deref(), Some("kubernetes.default.svc"));
    assert_eq!(https("server_name = \"10.4.0.10\"").server_name.as_deref(), Some("10.4.0.10"));
}

#[test]
fn failed_connects_are_observed_when_asked_for() {
    let observe = |settings: &str| with_check(settings).backends.remove(0).check.expect("a check").observe;
    assert_eq!(observe("observe = \"off\""), Observe::Off);
    assert_eq!(observe("observe = \"connect\""), Observe::Connect { error_limit: 10 });
    assert_eq!(observe("observe = \"connect\"\nerror_limit = 3"), Observe::Connect { error_limit: 3 });
}

#[test]
fn a_frontend_says_who_may_connect() {
    let limits = r#"backend = "k8s-api-server"
allow = ["10.4.0.0/20", "198.18.0.7"]
source_rate = "600/m""#;
    let frontend = config(&GOOD.replace("backend = \"k8s-api-server\"", limits)).frontends.remove(0);
    let allowed: Vec<String> = frontend.allow.iter().map(ToString::to_string).collect();
    assert_eq!(allowed, ["10.4.0.0/20", "198.18.0.7/32"]);
    let rate = frontend.source_rate.expect("a rate");
    assert_eq!((rate.count(), rate.period()), (600, Duration::from_secs(60)));
}

#[test]
fn a_frontend_takes_the_limit_of_the_file() {
    let limit = |top: &str, own: &str| {
        let text = GOOD
            .replace("mode = \"auto\"", top)
            .replace("backend = \"k8s-api-server\"", &format!("backend = \"k8s-api-server\"\n{own}"));
        config(&text).frontends[0].max_connections
    };
    assert_eq!(limit("", ""), None);
    assert_eq!(limit("max_connections = 4096", ""), Some(4096));
    assert_eq!(limit("max_connections = 4096", "max_connections = 5000"), Some(5000));
}

#[test]
fn what_happens_at_the_end_of_agents_and_servers_can_be_chosen() {
    let config = config(
        &GOOD
            .replace(
                "mode = \"auto\"",
                "on_stop = \"keep\"\nhost_clients = false\ncgroup = \"/sys/fs/cgroup/a\"",
            )
            .replace("[backend.timeouts]", "on_marked_down = \"keep\"\npanic = true\n[backend.timeouts]")
            .replace("weight = 1", "backup = true\nslow_start = \"30s\""),
    );
    assert_eq!((config.on_stop, config.host_clients), (OnStop::Keep, false));
    assert_eq!(config.cgroup.as_deref(), Some(Path::new("/sys/fs/cgroup/a")));
    let backend = &config.backends[0];
    assert_eq!((backend.on_marked_down, backend.panic), (OnMarkedDown::Keep, true));
    let server = &backend.servers[0];
    assert_eq!((server.backup, server.slow_start), (true, Some(Duration::from_secs(30))));
}

#[test]
fn numbers_may_stand_at_their_limits() {
    let servers = config(&GOOD.replace("weight = 1", "weight = 256")).backends.remove(0).servers;
    assert_eq!((servers[0].weight, servers[1].weight), (256, 1));
    assert_eq!(config(&GOOD.replace("weight = 1", "weight = 0")).backends[0].servers[0].weight, 0);
    let idle = config(&GOOD.replace("86400s", "1year")).backends[0].timeouts.idle;
    assert_eq!(idle, Duration::from_secs(31_557_600));
}

#[test]
fn the_control_socket_can_be_anywhere_and_anybodys() {
    let settings = "[socket]\npath = \"/run/haproxy/admin.sock\"\nmode = \"0660\"\ngroup = \"haproxy\"\n\
                    timeout = \"2m\"";
    let socket = Socket {
        path: "/run/haproxy/admin.sock".into(),
        mode: 0o660,
        group: Some("haproxy".into()),
        timeout: Duration::from_secs(120),
    };
    assert_eq!(config(&format!("{GOOD}\n{settings}")).socket, socket);
}

#[test]
fn the_log_and_the_statistics_page_are_kept() {
    let text = format!(
        r#"{GOOD}
        [stats]
        bind = "0.0.0.0:8404"
        uri = "/numbers"
        auth = "nathan:a:b"
        refresh = "10s"
        [log]
        format = "tcplog"
        [[log.target]]
        address = "/dev/log"
        level = "notice"
        [[log.target]]
        address = "198.18.0.5"
        facility = "daemon"
        "#
    );
    let config = config(&text);
    let stats = config.stats.expect("a [stats] table");
    assert_eq!(
        (stats.uri.as_str(), stats.auth.as_ref().map(xlb::config::account::Account::is_plain)),
        ("/numbers", Some(true))
    );
    assert_eq!(
        (stats.refresh, stats.hide_version, stats.admin),
        (Some(Duration::from_secs(10)), false, false)
    );
    let log = config.log.expect("a [log] table");
    assert_eq!((log.format, log.tag.as_str()), (Some(LogFormat::Tcplog), "xlb"));
    let target = |address: &str, facility, level| LogTarget {
        address: LogAddress::parse(address).expect("an address"),
        facility,
        level,
    };
    let local = target("/dev/log", Facility::LOCAL0, Level::NOTICE);
    let remote = log.targets[1].clone();
    assert_eq!(log.targets[0], local);
    assert_eq!((remote.facility.number(), remote.level), (3, Level::DEBUG));
    assert_eq!(remote.address, LogAddress::parse("198.18.0.5:514").expect("an address"));
}

#[test]
fn a_page_changes_servers_for_who_has_its_password_or_is_on_this_host() {
    for settings in [
        "bind = \"0.0.0.0:8404\"\nauth = \"nathan:secret\"",
        "bind = \"127.0.0.1:8404\"",
        "bind = \"[::1]:8404\"",
    ] {
        let stats = config(&format!("{GOOD}\n[stats]\nadmin = true\n{settings}\n")).stats;
        assert!(stats.expect("a [stats] table").admin, "{settings}");
    }
}

#[test]
fn a_certificate_without_a_key_has_it_in_the_same_file() {
    let identity = |more: &str| {
        let text = format!("{GOOD}\n[stats]\nbind = \"0.0.0.0:8404\"\n{more}\n");
        config(&text).stats.expect("a [stats] table").identity
    };
    let expected = |key: &str| Identity { certificate: "/etc/xlb/page.pem".into(), key: key.into() };
    assert_eq!(identity(""), None);
    let certificate = "tls_certificate = \"/etc/xlb/page.pem\"";
    assert_eq!(identity(certificate), Some(expected("/etc/xlb/page.pem")));
    let key = format!("{certificate}\ntls_key = \"/etc/xlb/page.key\"");
    assert_eq!(identity(&key), Some(expected("/etc/xlb/page.key")));
}

#[test]
fn a_good_file_has_no_warnings() {
    let text =
        GOOD.replace("weight = 1", "backup = true").replace("mode = \"auto\"", "max_connections = 4096");
    assert_eq!(load(&text).warnings.to_string(), "");
}

#[test]
fn what_is_not_meant_is_warned_of() {
    let text = GOOD.replace("weight = 1", "weight = 0").replace("rise = 2", "error_limit = 5").replace(
        "[[backend.server]]\nname = \"fenn\"",
        "[[backend]]\nname = \"idle\"\n[[backend.server]]\nname = \"fenn\"",
    );
    let text = format!("{text}\n[stats]\nbind = \"[::]:8404\"\n\n[[log.target]]\naddress = \"/dev/log\"\n");
    assert_eq!(
        load(&text).warnings.to_string(),
        "\
xlb.toml:10: backend.k8s-api-server: all its servers have weight 0, so none gets a connection; give one a weight of 1 or more
xlb.toml:20: backend.k8s-api-server.check.error_limit = 5: has no effect while nothing is observed; set observe = \"connect\"
xlb.toml:27: backend.idle: no frontend uses it; name it as a frontend's backend, or remove it"
    );
}
