//! The agent may die without harm, and when it ends in order it leaves nothing behind.

use std::io;
use std::sync::Barrier;
use std::thread;

use lb_common::LAYOUT_VERSION;
use lb_lab::echo::Client;
use lb_lab::http::Session;
use lb_lab::{Host, Lab, Nginx, Result, Topology, Xlb, curl};
use xlb::dataplane::object::{self, Sizes, XLB};

use crate::stage::{EQUAL, Stage, WEB_PORT, assert_shares, config, in_maps, lab, programs};

/// Connections that transfer when the agent is killed.
const TRANSFERS: usize = 200;
/// How much each has sent before the kill at least, and how much it sends from then on.
const BEFORE: usize = 100_000;
const AFTER: usize = 500_000;
/// New connections after an event.
const CONNECTIONS: usize = 60;
/// Exit code for an environment that the agent cannot work in.
const WRONG_ENVIRONMENT: i32 = 3;

#[test]
fn connections_go_on_when_the_agent_is_killed() -> Result<()> {
    let mut stage = Stage::set(Topology::default(), "native")?;
    let agent = stage.take_balancer();
    let xlb = agent.xlb.clone();
    let halfway = Barrier::new(TRANSFERS + 1);
    let failures: Vec<_> = thread::scope(|scope| {
        let start = |(seed, client)| {
            let (stage, halfway) = (&stage, &halfway);
            scope.spawn(move || transfer(stage, client, seed, halfway))
        };
        let transfers: Vec<_> = (0..).zip(stage.lab.clients().cycle()).take(TRANSFERS).map(start).collect();
        halfway.wait();
        agent.kill()?;
        let ends = transfers.into_iter().map(|transfer| transfer.join().expect("a client does not panic"));
        Ok(ends.filter_map(io::Result::err).collect())
    })?;
    assert!(failures.is_empty(), "{} of {TRANSFERS} failed: {:?}", failures.len(), failures[0]);

    let answers = curl::tally(curl::fetch(&stage.lab.lan_clients[0], stage.web(), CONNECTIONS)?);
    assert_shares(&answers, &EQUAL);
    let counted: u64 = xlb.stats()?.frontends.iter().map(|frontend| frontend.connections).sum();
    assert_eq!(counted, (TRANSFERS + CONNECTIONS) as u64);
    Ok(())
}

/// Transfers in two parts, with all others at the halfway mark in between.
fn transfer(stage: &Stage, client: &Host, seed: u64, halfway: &Barrier) -> io::Result<()> {
    let first_part = begin(stage, client, seed);
    // The others wait for this one, whatever became of it.
    halfway.wait();
    let mut connection = first_part?;
    connection.exchange(AFTER)?;
    connection.finish()
}

fn begin(stage: &Stage, client: &Host, seed: u64) -> io::Result<Client> {
    let mut connection = client.inside(|| Client::open(stage.echo(), seed))?;
    connection.exchange(BEFORE)?;
    Ok(connection)
}

#[test]
fn what_a_killed_agent_has_left_is_adopted_in_native_mode() -> Result<()> {
    what_a_killed_agent_has_left_is_adopted("native")
}

#[test]
fn what_a_killed_agent_has_left_is_adopted_in_generic_mode() -> Result<()> {
    what_a_killed_agent_has_left_is_adopted("generic")
}

#[test]
fn what_a_killed_agent_has_left_is_adopted_in_tc() -> Result<()> {
    what_a_killed_agent_has_left_is_adopted("tc")
}

fn what_a_killed_agent_has_left_is_adopted(mode: &str) -> Result<()> {
    let lab = lab(Topology::default());
    let config = config(&lab, mode);
    let mut stage = Stage::set_in(lab, &config)?;
    let client = stage.lab.lan_clients[0].clone();
    let mut held = client.inside(|| Session::open(stage.web())).expect("a connection is made");
    let name = held.ask().expect("a server answers");
    let agent = stage.take_balancer();
    let xlb = agent.xlb.clone();
    agent.kill()?;

    let adopter = xlb.start(&config.to_toml())?;
    adopter.log().wait_for("adopted the data plane")?;
    assert_eq!(held.ask().expect("the connection goes on"), name);
    let answers = curl::tally(curl::fetch(&client, stage.web(), CONNECTIONS)?);
    assert_shares(&answers, &EQUAL);
    let counted: u64 = xlb.stats()?.frontends.iter().map(|frontend| frontend.connections).sum();
    assert_eq!(counted, CONNECTIONS as u64 + 1);

    let refused = xlb.agent(&config.to_toml())?.output().expect("xlb can be started");
    assert_eq!(refused.status.code(), Some(WRONG_ENVIRONMENT));
    let message = String::from_utf8_lossy(&refused.stderr);
    assert!(message.contains(&format!("has an agent already (process {})", adopter.id())), "{message}");
    assert_eq!(held.ask().expect("a refused agent changes nothing"), name);

    assert!(adopter.stop()?.success());
    assert!(!has_traces(&stage.lab)?);
    Ok(())
}

#[test]
fn what_a_killed_agent_has_left_can_be_detached_and_replaced() -> Result<()> {
    let lab = lab(Topology::default());
    let config = config(&lab, "native");
    let mut stage = Stage::set_in(lab, &config)?;
    let agent = stage.take_balancer();
    let xlb = agent.xlb.clone();
    agent.kill()?;
    xlb.output(["detach"])?;
    assert!(!has_traces(&stage.lab)?);

    xlb.start(&config.to_toml())?.kill()?;
    // With another size the maps cannot be taken over.
    let larger = format!("max_servers = 32\n{}", config.to_toml());
    let refused = xlb.agent(&larger)?.output().expect("xlb can be started");
    assert_eq!(refused.status.code(), Some(WRONG_ENVIRONMENT));
    let message = String::from_utf8_lossy(&refused.stderr);
    assert!(message.contains("`max_servers` is 16 there and 32 in the configuration"), "{message}");
    assert!(message.contains("--fresh"), "{message}");

    let _balancer = xlb.start_with(&larger, &["--fresh"])?;
    let answers = curl::tally(curl::fetch(&stage.lab.lan_clients[0], stage.web(), CONNECTIONS)?);
    assert_shares(&answers, &EQUAL);
    let counted: u64 = xlb.stats()?.frontends.iter().map(|frontend| frontend.connections).sum();
    assert_eq!(counted, CONNECTIONS as u64, "a fresh data plane has counted nothing before");
    Ok(())
}

#[test]
fn a_data_plane_of_another_layout_is_refused_and_goes_on_until_a_fresh_start() -> Result<()> {
    let layout = |xlb: &Xlb| {
        in_maps(xlb, |maps| {
            let mut setup = Box::new(*maps.setup.get());
            setup.settings.layout_version += 1;
            maps.setup.write(&setup);
        });
    };
    let says = format!("has layout {}, this xlb knows layout {LAYOUT_VERSION}", LAYOUT_VERSION + 1);
    let (_stage, xlb) = is_refused_and_goes_on_until_a_fresh_start(layout, &says)?;
    // What it does not know cannot be shown, but taken down.
    layout(&xlb);
    let shown = xlb.command(["stats"]).output().expect("xlb can be started");
    assert_eq!(shown.status.code(), Some(WRONG_ENVIRONMENT));
    let said = xlb.output(["detach"])?;
    assert!(said.contains("of another version"), "{said}");
    Ok(())
}

#[test]
fn a_data_plane_with_another_map_is_refused_and_goes_on_until_a_fresh_start() -> Result<()> {
    let other_map = |xlb: &Xlb| {
        let index = xlb.pins().join("INDEX");
        xlb.host().inside(|| {
            let ebpf = object::load(XLB, Sizes::SMALLEST).expect("the kernel takes it");
            std::fs::remove_file(&index).expect("it is pinned");
            ebpf.map("INDEX").expect("every data plane has one").pin(&index).expect("it can be pinned");
        });
    };
    is_refused_and_goes_on_until_a_fresh_start(other_map, "has another map INDEX").map(drop)
}

/// Changes a data plane without an agent to one that a new agent must not take over.
fn is_refused_and_goes_on_until_a_fresh_start(change: impl Fn(&Xlb), says: &str) -> Result<(Stage, Xlb)> {
    let lab = lab(Topology::default());
    let config = config(&lab, "native");
    let mut stage = Stage::set_in(lab, &config)?;
    let client = stage.lab.lan_clients[0].clone();
    let mut held = client.inside(|| Session::open(stage.web())).expect("a connection is made");
    let name = held.ask().expect("a server answers");
    let agent = stage.take_balancer();
    let xlb = agent.xlb.clone();
    agent.kill()?;
    change(&xlb);

    let refused = xlb.agent(&config.to_toml())?.output().expect("xlb can be started");
    assert_eq!(refused.status.code(), Some(WRONG_ENVIRONMENT));
    let message = String::from_utf8_lossy(&refused.stderr);
    assert!(message.contains(says) && message.contains("`xlb run --fresh` starts anew"), "{message}");
    assert_eq!(held.ask().expect("the connection goes on"), name);
    let fetch = || Ok::<_, lb_lab::Error>(curl::tally(curl::fetch(&client, stage.web(), CONNECTIONS)?));
    assert_shares(&fetch()?, &EQUAL);

    xlb.start_with(&config.to_toml(), &["--fresh"])?.kill()?;
    // What begins anew does not know which ports a server still remembers: where it begins among those by chance, some
    // connections go on to the others.
    let answers = fetch()?;
    assert_eq!((answers.len(), answers.values().sum::<usize>()), (EQUAL.len(), CONNECTIONS), "{answers:?}");
    Ok((stage, xlb))
}

#[test]
fn a_server_that_was_down_stays_down_until_its_checks_pass() -> Result<()> {
    let lab = lab(Topology::default());
    let config = config(&lab, "native");
    let mut stage = Stage::set_in(lab, &config)?;
    stage.web[0].take().expect("it was started").stop()?;
    let agent = stage.take_balancer();
    let xlb = agent.xlb.clone();
    agent.log().wait_for("k8s-api-server/bettley is DOWN")?;
    agent.kill()?;

    let mut config = config;
    for backend in &mut config.backend {
        // The first checks pass, and are not to be the ones that decide.
        backend.check.rise = 200;
    }
    stage.web[0] = Some(Nginx::start(&stage.lab.servers[0], WEB_PORT)?);
    let adopter = xlb.start(&config.to_toml())?;
    let answers = curl::tally(curl::fetch(&stage.lab.lan_clients[0], stage.web(), CONNECTIONS)?);
    assert_shares(&answers, &EQUAL[1..]);
    assert_eq!(stage.server("bettley")?.state, "DOWN");
    assert!(!adopter.log().text().contains("bettley is UP"));
    Ok(())
}

#[test]
fn an_agent_that_is_told_to_keep_leaves_all_and_detach_ends_a_living_one() -> Result<()> {
    let lab = lab(Topology::default());
    let config = config(&lab, "native");
    let mut stage = Stage::set_in(lab, &config)?;
    let agent = stage.take_balancer();
    let xlb = agent.xlb.clone();
    agent.stop()?;

    let agent = xlb.start(&format!("on_stop = \"keep\"\n{}", config.to_toml()))?;
    assert!(agent.stop()?.success());
    assert!(has_traces(&stage.lab)?);
    let answers = curl::tally(curl::fetch(&stage.lab.lan_clients[0], stage.web(), CONNECTIONS)?);
    assert_shares(&answers, &EQUAL);

    let mut agent = xlb.start_with(&config.to_toml(), &["--on-stop", "keep"])?;
    let said = xlb.output(["detach"])?;
    assert!(said.starts_with("detached"), "{said}");
    assert!(!agent.is_running());
    assert!(!has_traces(&stage.lab)?);
    Ok(())
}

#[test]
fn an_agent_that_is_asked_to_end_leaves_nothing_in_native_mode() -> Result<()> {
    an_agent_that_is_asked_to_end_leaves_nothing("native")
}

#[test]
fn an_agent_that_is_asked_to_end_leaves_nothing_in_generic_mode() -> Result<()> {
    an_agent_that_is_asked_to_end_leaves_nothing("generic")
}

#[test]
fn an_agent_that_is_asked_to_end_leaves_nothing_in_tc() -> Result<()> {
    an_agent_that_is_asked_to_end_leaves_nothing("tc")
}

fn an_agent_that_is_asked_to_end_leaves_nothing(mode: &str) -> Result<()> {
    let mut stage = Stage::set(Topology::default(), mode)?;
    assert!(has_traces(&stage.lab)?);
    let status = stage.take_balancer().stop()?;
    assert!(status.success(), "{status}");
    assert!(!has_traces(&stage.lab)?);
    Ok(())
}

#[test]
fn an_interface_that_is_made_anew_is_attached_again_in_native_mode() -> Result<()> {
    an_interface_that_is_made_anew_is_attached_again("native")
}

#[test]
fn an_interface_that_is_made_anew_is_attached_again_in_generic_mode() -> Result<()> {
    an_interface_that_is_made_anew_is_attached_again("generic")
}

#[test]
fn an_interface_that_is_made_anew_is_attached_again_in_tc() -> Result<()> {
    an_interface_that_is_made_anew_is_attached_again("tc")
}

fn an_interface_that_is_made_anew_is_attached_again(mode: &str) -> Result<()> {
    let mut stage = Stage::set(Topology::default(), mode)?;
    let client = stage.lab.lan_clients[0].clone();
    let mut held = client.inside(|| Session::open(stage.web())).expect("a connection is made");
    let name = held.ask().expect("a server answers");

    stage.lab.take_card_out()?;
    stage.balancer().log().wait_for("eth0 is gone: nothing is forwarded")?;
    let xlb = stage.balancer().xlb.clone();
    assert_eq!(xlb.stats()?.mode, "");
    stage.lab.put_card_in()?;
    stage.balancer().log().wait_for("eth0 has lost its program")?;
    stage.balancer().log().wait_for("forwarding")?;
    assert_eq!(xlb.stats()?.mode, mode);

    assert_eq!(held.ask().expect("the connection goes on"), name);
    let answers = curl::tally(curl::fetch(&client, stage.web(), CONNECTIONS)?);
    assert_shares(&answers, &EQUAL);
    // Checks go on, too.
    stage.web[0].take().expect("it was started").stop()?;
    stage.balancer().log().wait_for("k8s-api-server/bettley is DOWN")?;
    assert!(stage.take_balancer().stop()?.success());
    assert!(!has_traces(&stage.lab)?);
    Ok(())
}

#[test]
fn a_fresh_start_leaves_no_neighbour_entry_of_the_former_one() -> Result<()> {
    let lab = lab(Topology::default());
    let config = config(&lab, "native");
    let mut stage = Stage::set_in(lab, &config)?;
    let agent = stage.take_balancer();
    let xlb = agent.xlb.clone();
    let balancer = &stage.lab.balancer;
    let servers = stage.lab.servers.each_ref().map(|host| host.address().to_string());
    assert_eq!(managed(balancer, "eth0")?, servers);
    agent.kill()?;

    let smaller = config.clone().with(|config| {
        for backend in &mut config.backend {
            backend.server.remove(0);
        }
    });
    let agent = xlb.start_with(&smaller.to_toml(), &["--fresh"])?;
    assert_eq!(managed(balancer, "eth0")?, servers[1..]);
    agent.kill()?;

    // Another interface, where nobody is.
    for command in [
        "link add eth1 type veth peer name far1",
        "address add 198.18.64.10/24 dev eth1",
        "link set far1 up",
        "link set eth1 up",
    ] {
        balancer.run("ip", &command.split(' ').collect::<Vec<_>>())?;
    }
    let elsewhere = smaller.to_toml().replace("198.18.0.", "198.18.64.").replace("eth0", "eth1");
    let _agent = xlb.start_with(&elsewhere, &["--fresh"])?;
    assert_eq!(managed(balancer, "eth0")?, [""; 0]);
    assert_eq!(managed(balancer, "eth1")?.len(), 2);
    Ok(())
}

/// The neighbours that the kernel keeps for the product on an interface, in the order of their addresses.
fn managed(host: &Host, interface: &str) -> Result<Vec<String>> {
    let neighbours = host.run("ip", &["neighbour", "show", "dev", interface])?;
    let managed = neighbours.lines().filter(|line| line.contains("managed"));
    let mut addresses: Vec<_> =
        managed.filter_map(|line| line.split(' ').next()).map(str::to_owned).collect();
    addresses.sort();
    Ok(addresses)
}

/// Whether there is anything of the product on the balancer: a program, a pin, a neighbour.
pub fn has_traces(lab: &Lab) -> Result<bool> {
    let programs = programs(&lab.balancer);
    let neighbours = lab.balancer.run("ip", &["neighbour", "show"])?;
    let pins = crate::stage::xlb(lab).pins();
    let has_pins = lab.balancer.sandbox().inside(|| pins.exists());
    Ok(!programs.is_empty() || neighbours.contains("managed") || has_pins)
}
