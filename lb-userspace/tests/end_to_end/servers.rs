//! Which servers get new connections when something becomes of them: backups, all of them in panic,
//! none at all, and those that are back.

use std::collections::BTreeSet;
use std::io;
use std::net::TcpStream;

use lb_lab::config::{Check, Config};
use lb_lab::failure::Silence;
use lb_lab::load::{Load, Plan, Tally};
use lb_lab::{Lab, Nginx, Result, Topology, curl, talk, wait};
use toml::Value;

use crate::stage::{EQUAL, Stage, WEB, WEB_PORT, assert_shares, lab};

/// New connections after an event.
const CONNECTIONS: usize = 60;
/// Where the metrics are.
const METRICS_PORT: u16 = 8405;
/// Whether a server's next hop answers.
const ANSWERS: &str = "xlb_server_next_hop_answers";
/// The portion of its share that a server gets, in percent; no number where that is all of it.
const THROTTLE: &str = "haproxy_server_current_throttle";
/// Connections a second, of a load.
const RATE: u32 = 60;

/// Sets the stage with a change in its configuration, and waits until all servers have been checked.
fn set(change: impl FnOnce(&mut Config)) -> Result<(Stage, Config)> {
    let lab = lab(Topology::default());
    let config = config(&lab).with(change);
    let stage = Stage::set_in(lab, &config)?;
    stage.await_checks()?;
    Ok((stage, config))
}

fn config(lab: &Lab) -> Config {
    Config::new("native").serve(WEB, WEB_PORT, lab)
}

/// Has the servers fail their checks, and serve all the same: these ask for TLS.
fn fail_all(config: &mut Config) {
    let check = &mut config.backend[0].check;
    "https".clone_into(&mut check.kind);
    check.more.insert("verify".to_owned(), Value::from(false));
}

/// Has clients' connects decide, and not the turns of the checks.
fn observe(config: &mut Config, interval: &str) {
    let check = &config.backend[0].check;
    config.backend[0].check = Check {
        interval: interval.to_owned(),
        fall: u8::MAX,
        observe: Some("connect".to_owned()),
        error_limit: Some(5),
        ..check.clone()
    };
}

impl Stage {
    /// Waits until HAProxy's table says that one server has a sixteenth of its share.
    fn await_throttle(&self) -> Result<()> {
        let socket = self.balancer().xlb.socket();
        wait::until("a throttle of 6 percent", || {
            let table = talk::ask(&self.lab.balancer, &socket, "show stat typed").ok()?;
            let throttles = table.lines().filter(|line| line.contains(".throttle."));
            throttles.eq(["S.3.1.29.throttle.1:MaP:u32:6"]).then_some(())
        })
    }

    /// Waits until these metrics of one server have these values.
    fn await_metrics(&self, expected: &[(&str, &str)]) -> Result<()> {
        let url = format!("http://{}:{METRICS_PORT}/metrics", self.lab.balancer.address());
        let mut text = String::new();
        let awaited = wait::until(&format!("{expected:?}"), || {
            text = self.lab.lan_clients[1].run("curl", &["--silent", "--fail", &url]).ok()?;
            let value = |name| {
                let sample = format!("{name}{{proxy=\"{WEB}\",server=\"gardener\"}} ");
                text.lines().find_map(|line| line.strip_prefix(&sample))
            };
            expected.iter().all(|(name, expected)| value(name) == Some(expected)).then_some(())
        });
        awaited.inspect_err(|_| println!("{text}"))
    }

    fn change(&self, server: &str, change: &str) -> Result<()> {
        self.balancer().xlb.output(["server", &format!("{WEB}/{server}"), change]).map(drop)
    }

    fn answers(&self) -> Result<curl::Answers> {
        Ok(curl::tally(curl::fetch(&self.lab.lan_clients[0], self.web(), CONNECTIONS)?))
    }

    /// Waits until these servers are in this state.
    fn await_state(&self, servers: &[&str], state: &str) -> Result<()> {
        wait::until(&format!("{servers:?} to be {state}"), || {
            let all = servers.iter().map(|server| Ok(self.server(server)?.state == state));
            let all = all.collect::<Result<BTreeSet<bool>>>();
            all.map(|all| (!all.contains(&false)).then_some(())).transpose()
        })?
    }
}

fn served_by(answers: &curl::Answers) -> Vec<&str> {
    answers.keys().map(String::as_str).collect()
}

#[test]
fn in_panic_all_servers_are_used() -> Result<()> {
    let (stage, _) = set(|config| {
        fail_all(config);
        config.backend[0].panic = true;
    })?;
    stage.await_state(&["bettley", "fenn", "gardener"], "DOWN")?;
    assert_shares(&stage.answers()?, &EQUAL);
    Ok(())
}

#[test]
fn without_a_usable_server_new_connections_are_refused_at_once() -> Result<()> {
    let (stage, _) = set(fail_all)?;
    stage.await_state(&["bettley", "fenn", "gardener"], "DOWN")?;
    let plan = Plan::new(stage.web(), RATE).connections(RATE);
    let tally = Load::run(&stage.lab.lan_clients, plan)?;
    assert_eq!(tally.not_connected, [(io::ErrorKind::ConnectionRefused, RATE.into())].into(), "{tally}");
    assert_eq!(tally.retransmitted(1), 0, "{tally}");
    Ok(())
}

#[test]
fn the_loss_of_the_last_server_is_said_once() -> Result<()> {
    const LINE: &str = "backend k8s-api-server has no server available!";
    let (stage, _) = set(|_| ())?;
    let log = stage.balancer().log();
    stage.change("bettley", "drain")?;
    stage.change("fenn", "maint")?;
    stage.change("gardener", "drain")?;
    log.wait_for(LINE)?;
    // None of these makes a difference to new connections.
    stage.change("fenn", "drain")?;
    stage.change("bettley", "maint")?;
    stage.change("bettley", "drain")?;
    stage.change("gardener", "ready")?;
    assert_eq!(log.text().matches(LINE).count(), 1, "{}", log.text());
    stage.change("gardener", "maint")?;
    log.wait_for(LINE)?;
    Ok(())
}

#[test]
fn a_backup_takes_over_and_gives_back() -> Result<()> {
    let (mut stage, _) = set(|config| config.backend[0].server[2].backup = true)?;
    let others = &EQUAL[..2];
    assert_shares(&stage.answers()?, others);
    for web in &mut stage.web[..2] {
        web.take().expect("it was started").stop()?;
    }
    stage.await_state(&["bettley", "fenn"], "DOWN")?;
    assert_eq!(served_by(&stage.answers()?), ["gardener"]);
    for (host, web) in stage.lab.servers.iter().zip(&mut stage.web[..2]) {
        *web = Some(Nginx::start(host, WEB_PORT)?);
    }
    stage.await_state(&["bettley", "fenn"], "UP")?;
    let answers = stage.answers()?;
    assert_eq!(served_by(&answers), ["bettley", "fenn"]);
    assert_shares(&answers, others);
    Ok(())
}

#[test]
fn refusals_take_a_server_down_before_its_next_check() -> Result<()> {
    let (mut stage, _) = set(|config| observe(config, "1h"))?;
    stage.web[0].take().expect("it was started").kill()?;
    assert_goes_down_by_connects(&stage)
}

#[test]
fn silence_takes_a_server_down_before_its_next_checks() -> Result<()> {
    let (stage, _) = set(|config| observe(config, "4s"))?;
    let _silence = Silence::begin(&stage.lab, &stage.lab.servers[0])?;
    assert_goes_down_by_connects(&stage)
}

/// Asserts that clients' connects take the first server down, and that none of them fails.
fn assert_goes_down_by_connects(stage: &Stage) -> Result<()> {
    let load = Load::start(stage.lab.clients(), Plan::new(stage.web(), RATE))?;
    stage.balancer().log().wait_for_line(&["k8s-api-server/bettley is DOWN", "Health analyze"])?;
    let tally = Tally::of(&load.stop());
    assert_eq!(tally.failed(), 0, "{tally}");
    assert_shares(&stage.answers()?, &EQUAL[1..]);
    Ok(())
}

#[test]
fn nothing_from_before_a_maintenance_counts_after_it() -> Result<()> {
    let (mut stage, _) = set(|config| "1h".clone_into(&mut config.backend[0].check.interval))?;
    // UP before, and now one failure is enough.
    stage.change("bettley", "maint")?;
    stage.web[0].take().expect("it was started").stop()?;
    stage.change("bettley", "ready")?;
    stage.balancer().log().wait_for("k8s-api-server/bettley is DOWN")?;
    // DOWN before, and now UP at once.
    stage.change("bettley", "maint")?;
    stage.web[0] = Some(Nginx::start(&stage.lab.servers[0], WEB_PORT)?);
    stage.change("bettley", "ready")?;
    assert_shares(&stage.answers()?, &EQUAL);
    Ok(())
}

#[test]
fn a_slow_start_goes_on_over_a_restart() -> Result<()> {
    let (mut stage, config) = set(|config| config.backend[0].server[0].slow_start = Some("1h".to_owned()))?;
    assert_shares(&stage.answers()?, &EQUAL);
    stage.change("bettley", "maint")?;
    stage.change("bettley", "ready")?;
    // A sixteenth of its share, for seven minutes.
    let slow = [("bettley", 1), ("fenn", 16), ("gardener", 16)];
    assert_shares(&stage.answers()?, &slow);
    stage.await_throttle()?;
    stage.restart(&config.to_toml())?;
    assert_shares(&stage.answers()?, &slow);
    stage.await_throttle()?;
    stage.balancer().xlb.output(["reload"])?;
    assert_shares(&stage.answers()?, &slow);
    Ok(())
}

#[test]
fn a_server_that_a_reload_moves_begins_anew() -> Result<()> {
    let lab = lab(Topology::default());
    let metrics = format!("[metrics]\nbind = \"{}:{METRICS_PORT}\"\n", lab.balancer.address());
    let config = config(&lab).with(|config| config.backend[0].server[2].slow_start = Some("1h".to_owned()));
    let stage = Stage::set_in_with(lab, &format!("{}\n{metrics}", config.to_toml()))?;
    let reload = |config: &Config| {
        stage.balancer().xlb.configure(&format!("{}\n{metrics}", config.to_toml()))?;
        stage.balancer().xlb.output(["reload"])
    };
    stage.await_checks()?;
    stage.change("gardener", "maint")?;
    stage.change("gardener", "ready")?;
    stage.await_metrics(&[(ANSWERS, "1"), (THROTTLE, "6")])?;

    let bettley = config.backend[0].server[0].address.clone();
    let alone = config.with(|config| drop(config.backend[0].server.drain(..2)));
    reload(&alone)?;
    let client = &stage.lab.lan_clients[0];
    let _connection = client.inside(|| TcpStream::connect(stage.web())).expect("it is answered");
    let at = |address: &str| {
        alone.clone().with(|config| address.clone_into(&mut config.backend[0].server[0].address))
    };
    // A host whose checks pass: nothing but the reload ends the slow start.
    reload(&at(&bettley))?;
    stage.await_metrics(&[(ANSWERS, "1"), (THROTTLE, "NaN")])?;
    // The free number that it gets is below its first, which the connection keeps: what is known of that is told
    // last.
    let [a, b, c, _] = stage.lab.balancer.address().octets();
    reload(&at(&format!("{a}.{b}.{c}.98:{WEB_PORT}")))?;
    stage.await_metrics(&[(ANSWERS, "0")])
}
