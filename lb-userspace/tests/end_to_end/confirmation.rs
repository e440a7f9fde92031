//! `xlb run --confirm`: what nobody confirms leaves the interface, whatever ends the agent.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::process::Stdio;

use aya::Ebpf;
use lb_lab::echo::Client;
use lb_lab::http::Session;
use lb_lab::{Balancer, Lab, Result, Topology, Xlb};
use serde_json::Value;
use xlb::config::Config;
use xlb::dataplane::attach::{self, Mode, Stay, Trial, WantedMode};
use xlb::dataplane::object::XLB;
use xlb::dataplane::pins::{Found, Pins};
use xlb::dataplane::status::Status;
use xlb::preflight;

use crate::agent::has_traces;
use crate::filter::{program_in, shown};
use crate::in_process::{interface, load, parse, runtime};
use crate::local_clients::Theatre;
use crate::stage::{Stage, config, lab, web, xlb};

/// Longer than any test takes.
const LONG: [&str; 2] = ["--confirm", "1h"];
const WRONG: i32 = 2;
const WRONG_ENVIRONMENT: i32 = 3;
const UNCONFIRMED: i32 = 4;

/// Servers, and an agent on trial.
fn on_trial(lab: &Lab, mode: &str, arguments: &[&str]) -> Result<Balancer> {
    let agent = xlb(lab).start_with(&config(lab, mode).to_toml(), arguments)?;
    agent.log().wait_for("on trial: `xlb confirm` has to come within")?;
    Ok(agent)
}

/// Whether a client on the LAN gets an answer.
fn answers(lab: &Lab) -> bool {
    lab.lan_clients[0].inside(|| Session::open(web(lab))).is_ok_and(|mut session| session.ask().is_ok())
}

fn summary(xlb: &Xlb) -> Result<(Value, String)> {
    let document = serde_json::from_str(&xlb.output(["stats", "--json"])?).expect("JSON");
    Ok((document, xlb.output(["stats"])?))
}

#[test]
fn what_nobody_confirms_is_taken_down_in_time() -> Result<()> {
    let lab = lab(Topology::default());
    let _servers = Stage::servers(&lab)?;
    for mode in ["native", "tc"] {
        let agent = on_trial(&lab, mode, &["--on-stop", "keep", "--confirm", "1s"])?;
        let log = agent.log().clone();
        assert_eq!(agent.ended()?.code(), Some(UNCONFIRMED), "{mode}");
        log.wait_for("no `xlb confirm` came within 1s: the data plane was taken down again")?;
        assert!(!has_traces(&lab)?, "{mode}");
        assert!(!answers(&lab), "{mode}");
    }
    Ok(())
}

#[test]
fn what_is_confirmed_stays_without_the_agent() -> Result<()> {
    let lab = lab(Topology::default());
    let _servers = Stage::servers(&lab)?;
    let xlb = xlb(&lab);
    for mode in ["native", "tc"] {
        let agent = on_trial(&lab, mode, &LONG)?;
        let (document, text) = summary(&xlb)?;
        assert!(document["confirm_within_ms"].as_u64().is_some_and(|left| left > 0), "{document}");
        assert!(text.contains("\non trial: taken down again in"), "{text}");
        // No reload is a confirmation.
        xlb.output(["reload"])?;
        assert!(xlb.output(["stats"])?.contains("\non trial: "), "{mode}");

        xlb.output(["confirm"])?;
        agent.log().wait_for("confirmed: what was attached stays")?;
        let (document, text) = summary(&xlb)?;
        assert!(document["confirm_within_ms"].is_null() && !text.contains("on trial"), "{text}");
        let twice = xlb.command(["confirm"]).output().expect("xlb can be started");
        assert_eq!(twice.status.code(), Some(WRONG), "{mode}");
        let complaint = String::from_utf8_lossy(&twice.stderr).into_owned();
        assert!(complaint.contains("nothing waits to be confirmed"), "{complaint}");

        agent.kill()?;
        assert!(answers(&lab), "{mode}: forwarding goes on without an agent");
        let adopter = xlb.start(&config(&lab, mode).to_toml())?;
        adopter.log().wait_for("adopted the data plane")?;
        assert!(adopter.stop()?.success());
        assert!(!has_traces(&lab)?, "{mode}");
    }
    Ok(())
}

#[test]
fn a_confirmation_that_fails_leaves_the_trial_as_it_was_or_ends_it() -> Result<()> {
    let lab = lab(Topology::default());
    let _servers = Stage::servers(&lab)?;
    let xlb = xlb(&lab);
    let refused = || xlb.command(["confirm"]).output().expect("xlb can be started");
    for mode in ["native", "tc"] {
        // Nothing has been touched where the interface is not found.
        let agent = on_trial(&lab, mode, &LONG)?;
        rename(&lab, "eth0", "away")?;
        assert_eq!(refused().status.code(), Some(WRONG_ENVIRONMENT), "{mode}");
        rename(&lab, "away", "eth0")?;
        assert!(xlb.output(["stats"])?.contains("\non trial: "), "{mode}: it still is");
        lb_lab::wait::until("forwarding to go on", || answers(&lab).then_some(()))?;
        xlb.output(["confirm"])?;
        agent.kill()?;
        assert!(answers(&lab), "{mode}");
        xlb.output(["detach", "--now"])?;

        // Without a place for its pins it cannot stay.
        let agent = on_trial(&lab, mode, &LONG)?;
        let log = agent.log().clone();
        // It answers once it has opened all that it needs.
        xlb.output(["reload"])?;
        lab.balancer.inside(|| fs::remove_dir_all(xlb.pins())).expect("can be removed");
        assert!(!refused().status.success(), "{mode}");
        assert_eq!(agent.ended()?.code(), Some(UNCONFIRMED), "{mode}");
        log.wait_for("what was on trial could not be kept: the data plane was taken down again")?;
        assert!(!has_traces(&lab)?, "{mode}");
    }
    Ok(())
}

/// Gives an interface of the balancer another name.
fn rename(lab: &Lab, from: &str, to: &str) -> Result<()> {
    lab.balancer.run("ip", &["link", "set", from, "down"])?;
    lab.balancer.run("ip", &["link", "set", from, "name", to])?;
    lab.balancer.run("ip", &["link", "set", to, "up"]).map(drop)
}

#[test]
fn an_agent_outlives_whoever_reads_its_log() -> Result<()> {
    let lab = lab(Topology::default());
    let _servers = Stage::servers(&lab)?;
    let xlb = xlb(&lab);
    let mut command = xlb.agent(&config(&lab, "native").to_toml())?;
    let mut agent = command.args(LONG).stderr(Stdio::piped()).spawn().expect("xlb can be started");
    let log = BufReader::new(agent.stderr.take().expect("it is a pipe"));
    let begun = log.lines().map_while(io::Result::ok).any(|line| line.contains("on trial: "));
    assert!(begun, "the pipe is closed from here on");
    let confirmed = lb_lab::wait::until("the control socket", || xlb.output(["confirm"]).ok());
    let reloaded = xlb.output(["reload"]);
    let still_runs = agent.try_wait().expect("it can be asked").is_none();
    agent.kill().and_then(|()| agent.wait()).expect("it can be killed");
    assert!(confirmed.and(reloaded).is_ok() && still_runs);

    // An agent may be killed between the pins and the word that it is confirmed.
    lab.balancer.inside(|| {
        let mut board = Pins::new(xlb.pins()).open_board().expect("it is pinned");
        let status = board.read().expect("it can be read");
        board.write(&Status { confirm_by: Some(1), ..status }).expect("it can be written");
    });
    let (document, text) = summary(&xlb)?;
    assert!(document["mode"] == "native" && !text.contains("not attached"), "{text}");
    let adopter = xlb.start(&config(&lab, "native").to_toml())?;
    let (document, text) = summary(&xlb)?;
    assert!(document["confirm_within_ms"].is_null() && !text.contains("on trial"), "{text}");
    assert!(adopter.stop()?.success());
    Ok(())
}

#[test]
fn nothing_forwards_when_the_agent_is_killed_unconfirmed() -> Result<()> {
    let lab = lab(Topology::default());
    let _servers = Stage::servers(&lab)?;
    let xlb = xlb(&lab);
    for mode in ["native", "tc"] {
        let agent = on_trial(&lab, mode, &LONG)?;
        assert!(answers(&lab), "{mode}: it forwards meanwhile");
        agent.kill()?;
        // The kernel lets go of what nobody holds some time later.
        lb_lab::wait::until("frames to pass", || (!answers(&lab)).then_some(()))?;
        let (document, text) = summary(&xlb)?;
        assert!(text.contains("the start was not confirmed, and its agent is gone"), "{text}");
        assert_eq!(document["mode"], "", "{document}");
        let looked = xlb.command(["selftest"]).output().expect("xlb can be started");
        let looked = String::from_utf8_lossy(&looked.stdout).into_owned();
        assert!(looked.contains("its agent is gone; start `xlb run` again"), "{looked}");
        assert!(!looked.contains("connections are forwarded"), "{looked}");

        let next = xlb.start(&config(&lab, mode).to_toml())?;
        let said = next.log().text();
        assert!(said.contains("clearing away what a start has left"), "{said}");
        assert!(answers(&lab), "{mode}");
        assert!(next.stop()?.success());
    }
    Ok(())
}

#[test]
fn a_signal_takes_down_what_is_not_confirmed_even_if_it_is_to_be_kept() -> Result<()> {
    let lab = lab(Topology::default());
    let _servers = Stage::servers(&lab)?;
    let agent = on_trial(&lab, "native", &["--on-stop", "keep", LONG[0], LONG[1]])?;
    assert!(agent.stop()?.success());
    assert!(!has_traces(&lab)?);

    let agent = on_trial(&lab, "native", &LONG)?;
    let said = xlb(&lab).output(["detach"])?;
    assert!(said.starts_with("detached"), "{said}");
    assert!(agent.ended()?.success());
    assert!(!has_traces(&lab)?);
    Ok(())
}

#[test]
fn a_data_plane_that_was_there_before_is_not_put_on_trial() -> Result<()> {
    let lab = lab(Topology::default());
    let config = config(&lab, "native");
    let mut stage = Stage::set_in(lab, &config)?;
    let client = stage.lab.lan_clients[0].clone();
    let mut held = client.inside(|| Client::open(stage.echo(), 1)).expect("a connection is made");
    stage.take_balancer().kill()?;
    let refused = xlb(&stage.lab).agent(&config.to_toml())?.args(LONG).output().expect("xlb can be started");
    assert_eq!(refused.status.code(), Some(WRONG_ENVIRONMENT));
    let complaint = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(complaint.contains("--confirm takes back what a start has attached"), "{complaint}");
    held.exchange(1000).expect("it goes on");
    Ok(())
}

#[test]
fn clients_on_this_host_are_on_trial_too() -> Result<()> {
    let mut theatre = Theatre::open(Topology::default(), "native")?;
    theatre.stage.take_balancer().stop()?;
    let config = theatre.config("native");
    let xlb = xlb(theatre.lab());
    let is_served = || theatre.fetch(theatre.stage.web(), 1).is_ok();
    let agent = xlb.start_with(&config, &LONG)?;
    assert!(is_served());
    let looked = theatre.adopt(&mut xlb.command(["selftest"])).output().expect("xlb can be started");
    let text = String::from_utf8_lossy(&looked.stdout).into_owned();
    assert!(looked.status.success() && text.contains(", on trial until `xlb confirm` comes"), "{text}");
    assert!(text.contains("getpeername tells the frontend") && !text.contains("not balanced"), "{text}");
    agent.kill()?;
    lb_lab::wait::until("the host's clients to be left alone", || (!is_served()).then_some(()))?;

    // A start that is kept in part is none.
    let agent = xlb.start_with(&config, &LONG)?;
    let in_the_way = xlb.pins().join("link_release_next");
    theatre.lab().balancer.inside(|| fs::create_dir(&in_the_way)).expect("a directory can be made there");
    assert!(!xlb.command(["confirm"]).status().expect("xlb can be started").success());
    assert!(!agent.ended()?.success());
    assert!(!is_served() && !answers(theatre.lab()));
    theatre.lab().balancer.inside(|| fs::remove_dir(&in_the_way)).expect("it is empty");

    let agent = xlb.start_with(&config, &LONG)?;
    xlb.output(["confirm"])?;
    agent.kill()?;
    assert!(is_served());
    Ok(())
}

/// The kernel lets go of a killed agent's link when it has the time; until then this process has one.
#[test]
fn a_start_right_after_a_killed_trial_waits_for_its_own_program_to_leave() -> Result<()> {
    let lab = lab(Topology::default());
    let _servers = Stage::servers(&lab)?;
    let (xlb, text) = (xlb(&lab), config(&lab, "native").to_toml());
    let (config, pins) = (parse(&text), Pins::new(xlb.pins()));
    on_trial(&lab, "native", &LONG)?.kill()?;
    lb_lab::wait::until("the interface to be free", || has_no_program(&lab).then_some(()))?;
    let held = lab.balancer.inside(|| {
        let mut ebpf = load_and_pin(&pins, &config, Mode::Native);
        let wanted = WantedMode::Only(Mode::Native);
        let attached = attach::attach(&mut ebpf, &interface("eth0"), wanted, &pins, Stay::OnTrial);
        attached.expect("the interface is free").1
    });
    lab.balancer.inside(|| {
        assert_eq!(pins.find().expect("there are pins"), Found::Ruins);
        let fit = runtime().block_on(preflight::check(&config, &pins, XLB));
        assert!(fit.is_ok(), "{fit:?}");
    });
    let agent = xlb.launch(&text, &[])?;
    agent.log().wait_for("waiting until the kernel has let go of the program on eth0")?;
    drop(held);
    agent.log().wait_for("forwarding ")?;
    assert!(agent.stop()?.success());
    Ok(())
}

/// Whether the balancer's interface has no program in XDP.
fn has_no_program(lab: &Lab) -> bool {
    lab.balancer.inside(|| interface("eth0").xdp.is_none())
}

/// What becomes of a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Dropped,
    /// It was to be kept, and the program that is to take its place was not there.
    NotKept,
    Kept,
}

/// Before Linux 6.6 a filter holds the program, which leaves with nobody. The kernel that runs the tests
/// has links, so this process is the agent.
#[test]
fn a_filter_on_trial_does_nothing_without_its_agent() -> Result<()> {
    let mut stage = Stage::set(Topology::default(), "tc")?;
    stage.take_balancer().kill()?;
    let (lab, xlb) = (&stage.lab, xlb(&stage.lab));
    let pins = Pins::new(xlb.pins());
    let found = || lab.balancer.inside(|| pins.find()).expect("there are pins");
    for fate in [Fate::Dropped, Fate::NotKept, Fate::Kept] {
        let trial = lab.balancer.inside(|| filter_on_trial(&pins, &config(lab, "tc").to_toml()));
        assert!(shown(&lab.balancer, "ingress")?.0.contains("xlb_tc_trial"), "{fate:?}");
        assert!(answers(lab), "{fate:?}");
        assert_eq!(found(), Found::Ruins);
        lab.balancer.inside(|| meet(fate, trial, &pins));
        if fate == Fate::Kept {
            assert!(program_in(&lab.balancer)?.is_some(), "the real program is in the filter");
            assert_eq!(found(), Found::DataPlane);
            assert!(answers(lab));
        } else {
            // Some time later the kernel empties the table.
            lb_lab::wait::until("frames to pass", || (!answers(lab)).then_some(()))?;
            assert!(shown(&lab.balancer, "ingress")?.0.contains("xlb_tc_trial"), "the filter itself stays");
            assert_eq!(found(), Found::Ruins, "{fate:?}");
        }
    }
    xlb.output(["detach", "--now"])?;
    let (filters, disciplines) = shown(&lab.balancer, "ingress")?;
    assert!(filters.is_empty() && !disciplines.contains("clsact"), "{filters}{disciplines}");
    Ok(())
}

/// Puts a filter on trial in place of what is attached.
fn filter_on_trial(pins: &Pins, config: &str) -> Trial {
    let mut ebpf = load_and_pin(pins, &parse(config), Mode::Tc);
    let trial = Trial::in_filter(&mut ebpf, &interface("eth0"), pins).expect("the kernel takes a filter");
    pins.remove_link("link").expect("can be removed");
    trial
}

fn meet(fate: Fate, trial: Trial, pins: &Pins) {
    let interface = interface("eth0");
    match fate {
        Fate::Dropped => drop(trial),
        Fate::NotKept => {
            fs::remove_file(pins.directory().join(Mode::Tc.program())).expect("can be removed");
            trial.keep(&interface, pins).expect_err("there is nothing to keep");
        }
        Fate::Kept => {
            trial.keep(&interface, pins).expect("the kernel replaces the program");
            assert_eq!(attach::find(pins, &interface).expect("can be looked for"), Some(Mode::Tc));
        }
    }
}

/// Loads a mode's program, and pins it as an agent does.
fn load_and_pin(pins: &Pins, config: &Config, mode: Mode) -> Ebpf {
    let mut ebpf = load(pins, config, mode);
    pins.pin_program(&mut ebpf, mode.program()).expect("can be pinned");
    ebpf
}
