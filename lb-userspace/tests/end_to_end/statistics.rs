//! Statistics and metrics over HTTP, beside those of a real HAProxy that balances the same servers.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};

use lb_lab::config::Config;
use lb_lab::{Balancer, HaProxy, Host, Lab, Nginx, Result, Topology, curl, wait};

use crate::stage::{self, Stage, WEB, WEB_PORT, lab};

/// Two clients, one of which is where HAProxy runs.
const TOPOLOGY: Topology = Topology { lan_clients: 2, routed_clients: 0, ..Topology::DEFAULT };

const STATS_PORT: u16 = 8404;
const METRICS_PORT: u16 = 8405;
const ACCOUNT: &str = "nathan:secret";

/// New connections through each of the two.
const CONNECTIONS: usize = 12;

/// Columns that HAProxy leaves empty in a row, or that xlb does, each for a reason of docs/haproxy.md.
const EMPTY_OTHERWISE: [&str; 2] = ["addr", "algo"];

/// A balancer and the other, each with its page.
struct Both {
    agent: Balancer,
    _haproxy: HaProxy,
    _web: [Option<Nginx>; 3],
    lab: Lab,
}

impl Both {
    fn balancer(&self) -> &Host {
        &self.lab.balancer
    }

    /// Where HAProxy runs.
    fn peer(&self) -> &Host {
        &self.lab.lan_clients[1]
    }

    fn client(&self) -> &Host {
        &self.lab.lan_clients[0]
    }
}

fn both() -> Result<Both> {
    let lab = lab(TOPOLOGY);
    let web = Stage::servers(&lab)?;
    let text = format!(
        "{}\n[stats]\nbind = \"0.0.0.0:{STATS_PORT}\"\nauth = \"{ACCOUNT}\"\nrefresh = \"10s\"\n\
         hide_version = true\n\n[metrics]\nbind = \"0.0.0.0:{METRICS_PORT}\"\n",
        Config::new("tc").serve(WEB, WEB_PORT, &lab).to_toml()
    );
    let balancer = stage::xlb(&lab).start(&text)?;
    let haproxy = haproxy(&lab, &lab.lan_clients[1])?;
    let both = Both { agent: balancer, _haproxy: haproxy, _web: web, lab };
    for host in [both.balancer(), both.peer()] {
        wait::until("all servers to be checked", || {
            let text = body(both.client(), host, STATS_PORT, "/stats;csv").ok()?;
            let checked = rows(&text).values().filter(|row| row["check_status"] == "L4OK").count();
            (checked == both.lab.servers.len()).then_some(())
        })?;
    }
    Ok(both)
}

/// HAProxy with the page and the metrics that its user has.
fn haproxy(lab: &Lab, host: &Host) -> Result<HaProxy> {
    let servers: Vec<_> = lab
        .servers
        .iter()
        .map(|server| format!("  server {server} {}:{WEB_PORT} check fall 3 rise 2", server.address()))
        .collect();
    let text = format!(
        "global\n  maxconn 4096\n\nfrontend stats-frontend\n  bind *:{STATS_PORT}\n  mode http\n  timeout client 10s\n  \
         stats enable\n  stats uri /stats\n  stats refresh 10s\n  stats auth {ACCOUNT}\n  stats hide-version\n\n\
         frontend metrics\n  bind *:{METRICS_PORT}\n  mode http\n  timeout client 10s\n  \
         http-request use-service prometheus-exporter if {{ path /metrics }}\n\n\
         frontend {WEB}\n  bind {address}:{WEB_PORT}\n  mode tcp\n  timeout client 10s\n  default_backend {WEB}\n\n\
         backend {WEB}\n  mode tcp\n  timeout connect 10s\n  timeout server 10s\n  balance roundrobin\n  option tcp-check\n{}",
        servers.join("\n"),
        address = host.address(),
    );
    HaProxy::start(host, &text, SocketAddr::new(host.address().into(), WEB_PORT))
}

/// What is served at a path, headers and all.
fn get(client: &Host, host: &Host, port: u16, path: &str, options: &[&str]) -> Result<String> {
    let url = format!("http://{}:{port}{path}", host.address());
    client.run("curl", &[&["--silent", "--include", "--max-time", "30", &url], options].concat())
}

/// The same, behind the headers, for who has the password.
fn body(client: &Host, host: &Host, port: u16, path: &str) -> Result<String> {
    let answer = get(client, host, port, path, &["--user", ACCOUNT])?;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{path}: {answer}");
    Ok(answer.split_once("\r\n\r\n").expect("headers end").1.to_owned())
}

type Csv = BTreeMap<(String, String), BTreeMap<String, String>>;

/// The rows of CSV by their names, of the proxies that forward.
fn rows(text: &str) -> Csv {
    let mut lines = text.lines();
    let names: Vec<_> =
        lines.next().and_then(|line| line.strip_prefix("# ")).expect("names").split(',').collect();
    let row = |line: &str| {
        let values: Vec<_> = line.split(',').map(str::to_owned).collect();
        assert_eq!(values.len(), names.len(), "{line}");
        let key = (values[0].clone(), values[1].clone());
        (key, names.iter().map(|name| (*name).to_owned()).zip(values).collect())
    };
    lines.filter(|line| line.starts_with(WEB)).map(row).collect()
}

/// Family, type and help of each family, and the labels of each sample.
fn families(text: &str, of: &str) -> (BTreeSet<String>, BTreeSet<String>) {
    // Those of the process are all there.
    let is_of_http = |line: &str| !line.contains("_process_") && line.contains("_http_");
    let is_of = |line: &&str| line.contains(of) && !is_of_http(line) && !line.contains("intercepted");
    let (comments, samples): (Vec<_>, Vec<_>) =
        text.lines().filter(is_of).partition(|line| line.starts_with('#'));
    let forwards = |line: &&&str| line.contains(&format!("proxy=\"{WEB}\"")) || !line.contains('{');
    let labels = samples.iter().filter(forwards).filter_map(|line| Some(line.rsplit_once(' ')?.0.to_owned()));
    (comments.into_iter().map(str::to_owned).collect(), labels.collect())
}

#[test]
fn numbers_have_the_shape_that_haproxy_gives_them() -> Result<()> {
    let both = both()?;
    let (client, balancer, peer) = (both.client(), both.balancer(), both.peer());
    for host in [balancer, peer] {
        curl::fetch(client, SocketAddr::new(host.address().into(), WEB_PORT), CONNECTIONS)?;
    }
    let (ours, theirs) =
        (body(client, balancer, STATS_PORT, "/stats;csv")?, body(client, peer, STATS_PORT, "/stats;csv")?);
    assert_eq!(ours.lines().next(), theirs.lines().next(), "the columns");
    let (ours, theirs) = (rows(&ours), rows(&theirs));
    assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>());
    for (name, theirs) in &theirs {
        let differs = |(column, value): &(&String, &String)| {
            value.is_empty() != ours[name][*column].is_empty() && !EMPTY_OTHERWISE.contains(&column.as_str())
        };
        let differing: Vec<_> = theirs.iter().filter(differs).collect();
        assert!(differing.is_empty(), "{name:?}: HAProxy has {differing:?}, and xlb otherwise");
        for column in ["status", "weight", "act", "bck", "type", "mode"] {
            assert_eq!(ours[name][column], theirs[column], "{name:?}: {column}");
        }
    }
    let metrics = |host| body(client, host, METRICS_PORT, "/metrics");
    let total = format!("haproxy_frontend_sessions_total{{proxy=\"{WEB}\"}} {CONNECTIONS}\n");
    // What is shown may be a moment old.
    let ours = wait::until("all connections to be counted", || {
        metrics(balancer).map(|text| text.contains(&total).then_some(text)).transpose()
    })??;
    let theirs = metrics(peer)?;
    for kind in ["haproxy_process_", "haproxy_frontend_", "haproxy_backend_", "haproxy_server_"] {
        let ((our_families, our_samples), (their_families, their_samples)) =
            (families(&ours, kind), families(&theirs, kind));
        let differing: Vec<_> = our_families.symmetric_difference(&their_families).collect();
        assert!(differing.is_empty(), "families of one alone: {differing:?}");
        let differing: Vec<_> = our_samples.symmetric_difference(&their_samples).collect();
        assert!(differing.is_empty(), "samples of one alone: {differing:?}");
    }
    let file = balancer.sandbox().write("metrics.txt", &ours)?;
    // It objects to names that are HAProxy's own, and ends with 3 then; anything else is an error.
    let check =
        format!("promtool check metrics < {} 2>&1; code=$?; test $code = 0 -o $code = 3", file.display());
    let said = balancer.run("sh", &["-c", &check])?;
    let own = said.lines().filter(|line| line.starts_with("xlb_")).collect::<Vec<_>>();
    assert!(own.is_empty(), "{own:?}");
    Ok(())
}

#[test]
fn only_who_knows_the_password_sees_the_statistics() -> Result<()> {
    let both = both()?;
    let (client, balancer, peer) = (both.client(), both.balancer(), both.peer());
    for path in ["/stats", "/stats;csv", "/metrics", "/", "/elsewhere"] {
        let answer = get(client, balancer, STATS_PORT, path, &[])?;
        assert!(answer.starts_with("HTTP/1.1 401 Unauthorized\r\n"), "{path}: {answer}");
        let wrong = get(client, balancer, STATS_PORT, path, &["--user", "nathan:Secret"])?;
        assert!(wrong.starts_with("HTTP/1.1 401 "), "{path}: {wrong}");
    }
    assert_eq!(
        without_date(&get(client, balancer, STATS_PORT, "/stats", &[])?),
        without_date(&get(client, peer, STATS_PORT, "/stats", &[])?)
    );
    assert!(get(client, balancer, STATS_PORT, "/healthz", &[])?.ends_with("\r\n\r\nok\n"));
    assert!(get(client, balancer, METRICS_PORT, "/stats;csv", &[])?.starts_with("HTTP/1.1 404 "));
    for path in ["/stats/;csv", "/stats?stats;csv", "/stats;csv;norefresh"] {
        assert!(body(client, balancer, STATS_PORT, path)?.starts_with("# pxname,svname,"), "{path}");
    }
    let json = body(client, balancer, STATS_PORT, "/stats;json")?;
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json[0][0]["value"]["value"], WEB);
    let page = get(client, balancer, STATS_PORT, "/stats", &["--user", ACCOUNT])?;
    assert!(page.contains("content-security-policy: default-src 'none';"), "{page}");
    assert!(page.contains(both.lab.servers[2].name()), "{page}");
    Ok(())
}

/// Headers in the order of their names, and the body. HAProxy says no date.
fn without_date(answer: &str) -> (Vec<String>, String) {
    let (headers, body) = answer.split_once("\r\n\r\n").expect("headers end");
    let mut headers: Vec<_> =
        headers.lines().filter(|line| !line.starts_with("date:")).map(str::to_owned).collect();
    headers.sort();
    (headers, body.to_owned())
}

/// Requests that say nothing, too much, or nothing that makes sense, each kind so many times.
const NONSENSE: usize = 250;

#[test]
fn bad_requests_harm_nothing() -> Result<()> {
    let both = both()?;
    let (client, balancer) = (both.client(), both.balancer());
    let address = SocketAddr::new(balancer.address().into(), STATS_PORT);
    let before = memory(&both.agent);
    let long = format!("GET /stats HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "x".repeat(64 * 1024));
    let bodies: [&[u8]; 4] = [
        b"",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /stats HTTP/9.9\r\n\r\n",
        long.as_bytes(),
    ];
    // Those that say nothing and stay.
    let idle = client.inside(|| {
        for _ in 0..NONSENSE {
            for body in bodies {
                let mut stream = TcpStream::connect(address)?;
                // It may have been refused by now.
                let _ = stream.write_all(body);
            }
        }
        (0..SILENT).map(|_| TcpStream::connect(address)).collect::<io::Result<Vec<_>>>()
    });
    let idle = idle.expect("the page takes connections");
    let service = SocketAddr::new(balancer.address().into(), WEB_PORT);
    assert_eq!(curl::fetch(client, service, CONNECTIONS)?.len(), CONNECTIONS);
    let page = body(client, balancer, STATS_PORT, "/stats;csv")?;
    assert!(page.starts_with("# pxname"));
    drop(idle);
    let after = memory(&both.agent);
    assert!(after < before + GROWTH, "{before} bytes became {after}");
    Ok(())
}

/// More clients than there are places for: those who come after them are served when they have been given up.
const SILENT: usize = 300;

/// More than what allocators keep for later; a thousand requests that are not forgotten would be 16 MiB and more.
const GROWTH: u64 = 8 << 20;

/// What the agent has of its own.
fn memory(agent: &Balancer) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", agent.id())).expect("the agent runs");
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("its memory");
    let kilobytes: u64 = line.split_whitespace().next().and_then(|word| word.parse().ok()).expect("a number");
    kilobytes * 1024
}
