//! Good configurations: what they mean, and what is worth a warning.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use xlb::config::model::{Balance, Check, CheckKind, LogFormat, Mode, Server, Timeouts};
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
    assert_eq!(config.nat_address, Ipv4Addr::new(10, 4, 0, 10));
    assert_eq!((config.max_connections, &config.stats, &config.log), (None, &None, &None));
    let backend = config.backend_of(&config.frontends[0]);
    assert_eq!((backend.balance, backend.check), (Balance::RoundRobin, None));
    let day = Duration::from_secs(86_400);
    assert_eq!(backend.timeouts, Timeouts { connect: Duration::from_secs(10), idle: day });
    let address = SocketAddrV4::new(Ipv4Addr::new(10, 4, 0, 11), 6443);
    let server = Server { name: "bettley".to_owned(), address, weight: 1, backup: false };
    assert_eq!(backend.servers, [server]);
}

#[test]
fn a_check_takes_its_timeout_from_its_interval() {
    let check = |settings: &str| {
        config(&GOOD.replace("interval = \"2s\"\nfall = 3\nrise = 2", settings)).backends[0].check
    };
    let (second, two) = (Duration::from_secs(1), Duration::from_secs(2));
    let default = Check { kind: CheckKind::Tcp, interval: two, timeout: two, fall: 3, rise: 2 };
    assert_eq!(check(""), Some(default));
    assert_eq!(check("interval = \"1s\""), Some(Check { interval: second, timeout: second, ..default }));
    assert_eq!(check("timeout = \"1s\""), Some(Check { timeout: second, ..default }));
    assert_eq!(check("type = \"tcp\"\nfall = 255\nrise = 1"), Some(Check { fall: 255, rise: 1, ..default }));
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
        "#
    );
    let config = config(&text);
    let stats = config.stats.expect("a [stats] table");
    assert_eq!((stats.uri.as_str(), stats.auth.as_deref()), ("/numbers", Some("nathan:a:b")));
    assert_eq!(
        (stats.refresh, stats.hide_version, stats.admin),
        (Some(Duration::from_secs(10)), false, false)
    );
    let log = config.log.expect("a [log] table");
    assert_eq!(log.format, Some(LogFormat::Tcplog));
    assert_eq!((log.targets[0].facility.as_deref(), log.targets[0].level.as_deref()), (None, Some("notice")));
}

#[test]
fn a_good_file_has_no_warnings() {
    let text = GOOD.replace("weight = 1", "weight = 1\nbackup = false");
    assert_eq!(load(&text).warnings.to_string(), "");
}

#[test]
fn what_is_not_meant_or_not_implemented_is_warned_of() {
    let text = GOOD
        .replace("mode = \"auto\"", "max_connections = 4096")
        .replace("weight = 1", "weight = 0\nbackup = true")
        .replace(
            "[[backend.server]]\nname = \"fenn\"",
            "[[backend]]\nname = \"idle\"\n[[backend.server]]\nname = \"fenn\"",
        )
        .replace("backend = \"k8s-api-server\"", "backend = \"k8s-api-server\"\nmax_connections = 10");
    let text = format!("{text}\n[stats]\nbind = \"[::]:8404\"\n\n[[log.target]]\naddress = \"/dev/log\"\n");
    assert_eq!(
        load(&text).warnings.to_string(),
        "\
xlb.toml:2: max_connections = 4096: accepted, but this version does not limit connections yet; keep it for a later one
xlb.toml:9: frontend.k8s-api-server.max_connections = 10: accepted, but this version does not limit connections yet; keep it for a later one
xlb.toml:11: backend.k8s-api-server: all its servers have weight 0, so none gets a connection; give one a weight of 1 or more
xlb.toml:27: backend.k8s-api-server.server.bettley.backup = true: accepted, but this version does not hold servers back yet: the server gets connections like the others; set weight = 0 to keep it out
xlb.toml:29: backend.idle: no frontend uses it; name it as a frontend's backend, or remove it
xlb.toml:35: stats: accepted, but this version does not serve a statistics page yet; use `xlb stats`
xlb.toml:38: log: accepted, but this version does not write to syslog yet; see the agent's own log"
    );
}
