//! What the operator asks a running agent for: servers in and out of use, other weights, another
//! configuration. What is wrong is refused and changes nothing.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Output;

use lb_common::admission::{ALLOW_ENTRIES, AllowList};
use lb_lab::http::Session;
use lb_lab::{Result, Topology, Xlb, curl, wait};
use xlb::dataplane::pins::Pins;
use zerocopy::IntoBytes;

use crate::stage::{ECHO, EQUAL, Stage, WEB, assert_shares, config, in_maps, lab};

/// New connections after a change: whole turns of all weights here. One size for CI and in full, as more would
/// show nothing else.
const CONNECTIONS: usize = 60;
const FAILED: i32 = 1;
const WRONG: i32 = 2;
const WRONG_ENVIRONMENT: i32 = 3;

fn run(xlb: &Xlb, arguments: &[&str]) -> Output {
    xlb.command(arguments).output().expect("xlb can be started")
}

/// Asserts that a command fails with this code and says this.
fn refused(xlb: &Xlb, arguments: &[&str], code: i32, says: &str) {
    let output = run(xlb, arguments);
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {message}");
    assert!(message.contains(says), "{arguments:?}: {message}");
}

/// What there is to see of the configuration that is in force.
#[derive(PartialEq, Eq)]
struct Seen {
    /// Names, weights and states, by `xlb stats`.
    shown: Vec<(String, u32, String)>,
    /// Everything else, by packets: addresses, timeouts, limits, and which rings and lists are in force.
    setup: Vec<u8>,
}

fn seen(xlb: &Xlb) -> Result<Seen> {
    let setup = in_maps(xlb, |maps| maps.setup.get().as_bytes().to_vec());
    Ok(Seen { shown: shown(xlb)?, setup })
}

fn shown(xlb: &Xlb) -> Result<Vec<(String, u32, String)>> {
    let stats = xlb.stats()?;
    let row = |server: &lb_lab::stats::Server| (server.name.clone(), server.weight, server.state.clone());
    let frontends = stats.frontends.iter().map(|frontend| (frontend.name.clone(), 0, String::new()));
    Ok(stats.servers.iter().map(row).chain(frontends).collect())
}

#[test]
fn wrong_commands_are_refused_and_change_nothing() -> Result<()> {
    let mut stage = Stage::set(Topology::default(), "native")?;
    let agent = stage.take_balancer();
    let xlb = &agent.xlb;
    let before = seen(xlb)?;

    let bettley = "k8s-api-server/bettley";
    refused(
        xlb,
        &["server", "k8s-api-server/nobody", "drain"],
        WRONG,
        "there is no server k8s-api-server/nobody; there are: k8s-api-server/bettley, ",
    );
    refused(xlb, &["server", "nothing/bettley", "maint"], WRONG, "there is no server nothing/bettley");
    refused(xlb, &["server", "bettley", "drain"], WRONG, "expected <backend>/<name>");
    refused(xlb, &["server", bettley, "weight", "257"], WRONG, "expected a whole number from 0 to 256");
    refused(xlb, &["server", bettley, "weight", "-1"], WRONG, "expected a whole number from 0 to 256");
    refused(xlb, &["server", bettley, "weight", "much"], WRONG, "\"much\" is no weight");
    refused(xlb, &["server", bettley, "up"], WRONG, "[possible values: drain, ready, maint, weight]");
    refused(xlb, &["server", bettley, "weight"], WRONG, "required");
    refused(xlb, &["server", bettley, "drain", "5"], WRONG, "unexpected \"5\"");
    assert!(seen(xlb)? == before);
    let answers = curl::tally(curl::fetch(&stage.lab.lan_clients[0], stage.web(), CONNECTIONS)?);
    assert_shares(&answers, &EQUAL);

    let xlb = xlb.clone();
    agent.stop()?;
    refused(&xlb, &["server", bettley, "drain"], WRONG_ENVIRONMENT, "no agent at");
    refused(&xlb, &["reload"], WRONG_ENVIRONMENT, "no agent at");
    Ok(())
}

#[test]
fn wrong_files_are_refused_and_change_nothing() -> Result<()> {
    let lab = lab(Topology::default());
    let config = config(&lab, "native");
    let mut stage = Stage::set_in(lab, &config)?;
    let agent = stage.take_balancer();
    let xlb = &agent.xlb;
    let before = seen(xlb)?;
    // Whatever is wrong with a file, there is something to apply in it, too.
    let config = config.weights(&[3, 2, 1]).with(|config| {
        config.frontend[0].max_connections = Some(1000);
        config.frontend[1].allow = vec!["198.18.0.0/16".into()];
        config.backend[0].check.rise = 7;
    });
    let good = config.to_toml();
    let mut elsewhere = config.clone();
    elsewhere.backend[0].server[0].address = "198.18.99.1:6443".into();
    let wrong = [
        ("not TOML".to_owned(), "xlb.toml:1"),
        (good.replace("interval", "intreval"), "did you mean"),
        (good.replace("eth0", "eth9"), "`interface` is eth0 there and eth9 in the configuration"),
        (format!("max_servers = 32\n{good}"), "`max_servers` is 16 there and 32 in the configuration"),
        (format!("nat_ports = \"20000-29999\"\n{good}"), "`nat_ports` is 10240-32767 there"),
        (
            format!("nat_addresses = [\"198.18.0.10\", \"198.18.0.20\"]\n{good}"),
            "`nat_addresses` is 198.18.0.10 there and 198.18.0.10, 198.18.0.20 in the configuration; set this \
             back, or start a new data plane, which ends the connections of the running one: stop the agent \
             and give `xlb run --fresh`",
        ),
        (
            good.replace("\"native\"", "\"generic\""),
            "`mode` is native there and generic in the configuration",
        ),
        (elsewhere.to_toml(), "198.18.99.1"),
        (good.replace("198.18.0.10:7000", "198.18.0.99:7000"), "198.18.0.99"),
    ];
    for (text, says) in wrong {
        xlb.configure(&text)?;
        refused(xlb, &["reload"], WRONG, says);
        assert!(seen(xlb)? == before, "after {says}");
    }
    // The same by signal, which has no answer but the log.
    xlb.configure(&good.replace("198.18.0.10:7000", "198.18.0.98:7000"))?;
    agent.hang_up()?;
    agent.log().wait_for("198.18.0.98")?;
    assert!(seen(xlb)? == before);

    xlb.configure(&good)?;
    agent.hang_up()?;
    agent.log().wait_for("configuration reloaded")?;
    let now = seen(xlb)?;
    assert!(now.shown != before.shown && now.setup != before.setup);
    let answers = curl::tally(curl::fetch(&stage.lab.lan_clients[0], stage.web(), CONNECTIONS)?);
    assert_shares(&answers, &[("bettley", 3), ("fenn", 2), ("gardener", 1)]);
    Ok(())
}

#[test]
fn a_reload_that_the_kernel_refuses_changes_nothing() -> Result<()> {
    let lab = lab(Topology::default());
    let config = config(&lab, "native");
    let mut stage = Stage::set_in(lab, &config)?;
    let agent = stage.take_balancer();
    let xlb = &agent.xlb;
    // No room is left for an allow list. (Nobody's is number 0, which counts as in force.)
    in_maps(xlb, |maps| {
        for host in 0..ALLOW_ENTRIES {
            maps.allow.insert(AllowList(0), Ipv4Addr::from_bits(host).into(), 32).expect("there is room");
        }
    });
    let before = seen(xlb)?;
    let other = config.with(|config| {
        config.backend[0].server[0].name = "renamed".into();
        config.backend[0].server[1].weight = 5;
        config.frontend[0].allow = vec!["198.18.0.0/16".into()];
    });
    xlb.configure(&other.to_toml())?;
    refused(xlb, &["reload"], FAILED, "cannot access the map ALLOW");
    assert!(seen(xlb)? == before);
    // Neither does the agent know the new names.
    refused(xlb, &["server", "k8s-api-server/renamed", "drain"], WRONG, "there is no server");
    xlb.output(["server", "k8s-api-server/bettley", "weight", "1"])?;
    assert!(seen(xlb)? == before);

    xlb.configure(&other.with(|config| config.frontend[0].allow.clear()).to_toml())?;
    xlb.output(["reload"])?;
    assert_eq!(stage.server("renamed")?.weight, 1, "it is the same server");
    assert_eq!(stage.server("fenn")?.weight, 5);
    Ok(())
}

#[test]
fn servers_are_taken_out_of_use_and_back_and_a_restart_keeps_it() -> Result<()> {
    let lab = lab(Topology::default());
    let config = config(&lab, "native");
    let mut stage = Stage::set_in(lab, &config)?;
    let client = stage.lab.lan_clients[0].clone();
    let mut held: Vec<_> =
        (0..6).map(|_| client.inside(|| Session::open(stage.web())).expect("a connection is made")).collect();
    let names: Vec<_> = held.iter_mut().map(|session| session.ask().expect("a server answers")).collect();
    let mut agent = stage.take_balancer();
    let xlb = agent.xlb.clone();
    let fetch = || Ok::<_, lb_lab::Error>(curl::tally(curl::fetch(&client, stage.web(), CONNECTIONS)?));

    xlb.output(["server", "k8s-api-server/bettley", "drain"])?;
    xlb.output(["server", "k8s-api-server/fenn", "weight", "3"])?;
    for restarted in [false, true] {
        if restarted {
            agent.kill()?;
            agent = xlb.start(&config.to_toml())?;
        }
        assert_shares(&fetch()?, &[("fenn", 3), ("gardener", 1)]);
        assert_eq!(stage.server("bettley")?.state, "DRAIN", "restarted: {restarted}");
        assert_eq!(stage.server("fenn")?.weight, 3);
        for (session, name) in held.iter_mut().zip(&names) {
            assert_eq!(session.ask().expect("what is open goes on"), *name);
        }
    }

    // A reload with the same weight keeps the operator's; one with another replaces it.
    xlb.output(["reload"])?;
    assert_eq!(stage.server("fenn")?.weight, 3);
    xlb.configure(&config.clone().weights(&[1, 2, 1]).to_toml())?;
    xlb.output(["reload"])?;
    assert_shares(&fetch()?, &[("fenn", 2), ("gardener", 1)]);
    xlb.configure(&config.to_toml())?;
    xlb.output(["reload"])?;
    xlb.output(["server", "k8s-api-server/bettley", "ready"])?;
    assert_shares(&fetch()?, &EQUAL);
    drop(agent);
    Ok(())
}

#[test]
fn a_server_in_maintenance_is_not_checked() -> Result<()> {
    let mut stage = Stage::set(Topology::default(), "native")?;
    let agent = stage.take_balancer();
    let xlb = &agent.xlb;
    xlb.output(["server", "k8s-api-server/bettley", "maint"])?;
    assert_eq!(stage.server("bettley")?.state, "MAINT");
    stage.web[0].take().expect("it was started").stop()?;
    stage.web[1].take().expect("it was started").stop()?;
    agent.log().wait_for("k8s-api-server/fenn is DOWN")?;
    assert!(!agent.log().text().contains("bettley is DOWN"));
    let answers = curl::tally(curl::fetch(&stage.lab.lan_clients[0], stage.web(), CONNECTIONS)?);
    assert_shares(&answers, &EQUAL[2..]);

    xlb.output(["server", "k8s-api-server/bettley", "ready"])?;
    agent.log().wait_for("k8s-api-server/bettley is DOWN")?;
    Ok(())
}

#[test]
fn servers_and_frontends_come_and_go() -> Result<()> {
    let lab = lab(Topology::default());
    let config = config(&lab, "native");
    let mut stage = Stage::set_in(lab, &config)?;
    let agent = stage.take_balancer();
    let xlb = &agent.xlb;
    let client = stage.lab.lan_clients[0].clone();
    let open = |address| client.inside(|| Session::open(address)).expect("a connection is made");
    let mut held: Vec<_> = (0..6).map(|_| open(stage.web())).collect();
    let names: Vec<_> = held.iter_mut().map(|session| session.ask().expect("a server answers")).collect();
    let mut echo =
        client.inside(|| lb_lab::echo::Client::open(stage.echo(), 7)).expect("a connection is made");
    echo.exchange(1000).expect("bytes come back");

    // Without its first server, and without the second frontend.
    let mut smaller = config.clone();
    smaller.backend[0].server.remove(0);
    smaller.frontend.remove(1);
    smaller.backend.remove(1);
    xlb.configure(&smaller.to_toml())?;
    xlb.output(["reload"])?;
    let answers = curl::tally(curl::fetch(&client, stage.web(), CONNECTIONS)?);
    assert_shares(&answers, &EQUAL[1..]);
    for (session, name) in held.iter_mut().zip(&names) {
        assert_eq!(session.ask().expect("what is open goes on"), *name);
    }
    echo.exchange(1000).expect("bytes of a removed frontend come back");
    let refused = client.inside(|| lb_lab::echo::Client::open(stage.echo(), 8));
    assert_eq!(refused.expect_err("nobody listens").kind(), std::io::ErrorKind::ConnectionRefused);
    assert_eq!(stage.server("bettley")?.state, "removed");

    // All of it back: the same server has the same number, and its counters go on.
    let before = stage.server("bettley")?.connections;
    xlb.configure(&config.to_toml())?;
    xlb.output(["reload"])?;
    let answers = curl::tally(curl::fetch(&client, stage.web(), CONNECTIONS)?);
    assert_shares(&answers, &EQUAL);
    assert_eq!(stage.server("bettley")?.connections, before + answers["bettley"] as u64);
    echo.exchange(1000).expect("bytes come back");
    echo.finish().expect("it ends in order");
    let stats = xlb.stats()?;
    let names: Vec<_> = stats.frontends.iter().map(|frontend| frontend.name.as_str()).collect();
    assert_eq!(names, [WEB, ECHO]);
    Ok(())
}

#[test]
fn what_was_never_there_comes_with_a_reload_and_takes_the_numbers_of_what_has_gone() -> Result<()> {
    let lab = lab(Topology::default());
    let all = config(&lab, "native");
    // The second server gets no connections, nor does the second frontend, so their numbers are free at once.
    let smaller = all.clone().with(|config| {
        config.backend[0].server.pop();
        config.backend[0].server[1].weight = 0;
        config.frontend[1].bind = "198.18.0.10:7001".into();
        config.backend[1].server.truncate(1);
    });
    let mut stage = Stage::set_in(lab, &smaller)?;
    let agent = stage.take_balancer();
    let xlb = &agent.xlb;
    let client = stage.lab.lan_clients[0].clone();
    let fetch = || Ok::<_, lb_lab::Error>(curl::tally(curl::fetch(&client, stage.web(), CONNECTIONS)?));
    assert_shares(&fetch()?, &EQUAL[..1]);
    let before = numbers(xlb);

    let without = smaller.clone().with(|config| {
        config.backend[0].server.pop();
        config.frontend.pop();
        config.backend.pop();
    });
    xlb.configure(&without.to_toml())?;
    xlb.output(["reload"])?;
    let with_others = all.clone().with(|config| {
        config.backend[0].server.remove(1);
        config.backend[1].server.truncate(1);
    });
    xlb.configure(&with_others.to_toml())?;
    xlb.output(["reload"])?;
    let now = numbers(xlb);
    assert_eq!(now["gardener"], before["fenn"], "{before:?} {now:?}");
    assert_eq!(now["198.18.0.10:7000"], before["198.18.0.10:7001"], "{before:?} {now:?}");
    assert_eq!(stage.server("gardener")?.connections, 0, "it begins with nothing");
    assert_shares(&fetch()?, &[("bettley", 1), ("gardener", 1)]);
    assert_eq!(stage.server("gardener")?.connections, CONNECTIONS as u64 / 2);
    let echo = |address| client.inside(|| lb_lab::echo::Client::open(address, 7));
    let mut new = echo(stage.echo()).expect("the new frontend is there");
    new.exchange(1000).expect("bytes come back");
    new.finish().expect("it ends in order");
    let former = echo(SocketAddr::new(stage.echo().ip(), 7001)).expect_err("the former one is not");
    assert_eq!(former.kind(), std::io::ErrorKind::ConnectionRefused);

    // And one more, beside all that there are.
    xlb.configure(&all.to_toml())?;
    xlb.output(["reload"])?;
    assert_shares(&fetch()?, &EQUAL);
    Ok(())
}

/// The numbers of the HTTP servers by name, and of the frontends by address.
fn numbers(xlb: &Xlb) -> BTreeMap<String, u16> {
    let pins = Pins::new(xlb.pins());
    let status = xlb.host().inside(|| pins.open_board().and_then(|board| board.read()).expect("a status"));
    let servers = status.servers.iter().filter(|server| server.backend == WEB);
    let servers = servers.map(|server| (server.name.clone(), server.number));
    let frontends = status.frontends.iter().map(|frontend| (frontend.bind.to_string(), frontend.number));
    servers.chain(frontends).collect()
}

#[test]
fn a_removed_server_is_gone_when_its_last_connection_is() -> Result<()> {
    let lab = lab(Topology::default());
    let mut config = config(&lab, "native");
    let mut stage = Stage::set_in(lab, &config)?;
    let agent = stage.take_balancer();
    let xlb = &agent.xlb;
    let before = curl::tally(curl::fetch(&stage.lab.lan_clients[0], stage.web(), 3)?);
    assert_eq!(before.values().sum::<usize>(), 3);

    config.backend[1].server.remove(0);
    xlb.configure(&config.to_toml())?;
    xlb.output(["reload"])?;
    // It has had no connection by this frontend, so its number is given back by the next sweep.
    wait::until("the removed server to be gone", || {
        xlb.stats()
            .map(|stats| stats.servers_of(ECHO).all(|server| server.state != "removed").then_some(()))
            .transpose()
    })??;
    Ok(())
}

#[test]
fn allow_lists_follow_the_configuration() -> Result<()> {
    let mut stage = Stage::set(Topology::default(), "native")?;
    let agent = stage.take_balancer();
    let xlb = &agent.xlb;
    let everybody = config(&stage.lab, "native").to_toml();
    let [one, other] = &stage.lab.lan_clients[..] else { panic!("there are two clients on the LAN") };
    let allow = format!("[[frontend]]\nallow = [\"198.18.16.0/24\", \"{}\"]\n", other.address());
    xlb.configure(&everybody.replacen("[[frontend]]\n", &allow, 1))?;
    xlb.output(["reload"])?;

    assert_eq!(curl::fetch(other, stage.web(), CONNECTIONS)?.len(), CONNECTIONS);
    let routed = &stage.lab.routed_clients[0];
    assert_eq!(curl::fetch(routed, stage.web(), CONNECTIONS)?.len(), CONNECTIONS);
    let kept_out = one.inside(|| Session::open(stage.web())).expect_err("it is not in the list");
    assert_eq!(kept_out.kind(), std::io::ErrorKind::ConnectionRefused);
    assert_eq!(xlb.stats()?.reasons["not_allowed"], 1);

    xlb.configure(&everybody)?;
    xlb.output(["reload"])?;
    assert_eq!(curl::fetch(one, stage.web(), CONNECTIONS)?.len(), CONNECTIONS);
    Ok(())
}
