//! TC as on kernels without links for it (before 6.6): a filter holds the program.
//!
//! The kernel that runs the tests has links, and the agent takes them; so the tests put a filter in a
//! link's place. What the agent finds is what it would find there.

use aya::programs::SchedClassifier;
use lb_lab::http::Session;
use lb_lab::{Host, Lab, Result, Topology, Xlb, curl, wait};
use xlb::config::Config;
use xlb::dataplane::attach::Mode;
use xlb::dataplane::attach::filter::Filter;
use xlb::dataplane::object;
use xlb::dataplane::pins::Pins;

use crate::in_process::{interface, load, parse};
use crate::stage::{EQUAL, Stage, assert_shares, config, lab, links};

/// Connections after an event.
const CONNECTIONS: usize = 60;

/// An agent has begun in TC and was killed; a filter holds its program.
fn with_filter(lab: Lab, prepare: impl FnOnce(&Host) -> Result<()>) -> Result<(Stage, Xlb, String)> {
    let config = config(&lab, "tc");
    let mut stage = Stage::set_in(lab, &config)?;
    let agent = stage.take_balancer();
    let xlb = agent.xlb.clone();
    agent.kill()?;
    prepare(&stage.lab.balancer)?;
    let text = config.to_toml();
    stage.lab.balancer.inside(|| put_filter(&Pins::new(xlb.pins()), &parse(&text)));
    // The kernel lets go of a link a moment after its last holder has.
    wait::until("the link to be gone", || links(&stage.lab.balancer).is_empty().then_some(()))?;
    Ok((stage, xlb, text))
}

/// Puts a filter in the place of the link that is pinned.
fn put_filter(pins: &Pins, config: &Config) {
    let mut ebpf = load(pins, config, Mode::Tc);
    let program = object::program(&mut ebpf, Mode::Tc.program()).expect("is in the object");
    let program: &mut SchedClassifier = program.try_into().expect("is for TC");
    Filter::attach(program, &interface(&config.interface), pins).expect("the kernel takes a filter");
    assert!(pins.remove_link("link").expect("can be removed"));
}

/// The filters on one side of the balancer's interface, and its queueing disciplines.
pub fn shown(host: &Host, side: &str) -> Result<(String, String)> {
    let filters = host.run("tc", &["filter", "show", "dev", "eth0", side])?;
    Ok((filters, host.run("tc", &["qdisc", "show", "dev", "eth0"])?))
}

/// The id of the program in our filter.
pub fn program_in(host: &Host) -> Result<Option<String>> {
    let (filters, _) = shown(host, "ingress")?;
    assert!(filters.matches("handle").count() <= 1, "{filters}");
    let is_ours = filters.contains("pref 1 bpf") && filters.contains("handle 0x786c62 xlb_tc direct-action");
    let mut words = filters.split_whitespace().skip_while(|word| *word != "id");
    Ok(words.nth(1).filter(|_| is_ours).map(ToOwned::to_owned))
}

#[test]
fn a_filter_forwards_is_adopted_and_leaves_with_the_agent() -> Result<()> {
    let (stage, xlb, config) = with_filter(lab(Topology::default()), |_| Ok(()))?;
    let balancer = &stage.lab.balancer;
    let client = &stage.lab.lan_clients[0];
    let first = program_in(balancer)?.expect("a filter holds our program");
    let mut held = client.inside(|| Session::open(stage.web())).expect("without any agent");
    let name = held.ask().expect("a server answers");

    let agent = xlb.start(&config)?;
    agent.log().wait_for("adopted the data plane")?;
    let second = program_in(balancer)?.expect("the same filter holds the program");
    assert_ne!(first, second, "it is the new agent's");
    assert_eq!(held.ask().expect("the connection goes on"), name);
    let answers = curl::tally(curl::fetch(client, stage.web(), CONNECTIONS)?);
    assert_shares(&answers, &EQUAL);
    assert!(links(balancer).is_empty(), "no link beside it");

    assert!(agent.stop()?.success());
    let (filters, disciplines) = shown(balancer, "ingress")?;
    assert!(filters.is_empty() && !disciplines.contains("clsact"), "{filters}{disciplines}");
    Ok(())
}

#[test]
fn a_filter_is_found_and_removed_by_detach() -> Result<()> {
    let (stage, xlb, _) = with_filter(lab(Topology::default()), |_| Ok(()))?;
    xlb.output(["detach", "--now"])?;
    let (filters, disciplines) = shown(&stage.lab.balancer, "ingress")?;
    assert!(filters.is_empty() && !disciplines.contains("clsact"), "{filters}{disciplines}");
    Ok(())
}

#[test]
fn others_filters_and_their_queueing_discipline_stay() -> Result<()> {
    // Returns 0, as `tc-bpf(8)` has it.
    const NO_MATCH: &str = "1,6 0 0 0";
    // Their discipline was there before, or their filter came to ours; on either side.
    let discipline: &[&str] = &["qdisc", "add", "dev", "eth0", "clsact"];
    let filter = |side| ["filter", "add", "dev", "eth0", side, "pref", "7", "bpf", "bytecode", NO_MATCH];
    let (ingress, egress) = (filter("ingress"), filter("egress"));
    for (before, after, side) in [
        (Some(discipline), None, "ingress"),
        (None, Some(ingress), "ingress"),
        (None, Some(egress), "egress"),
    ] {
        let prepare = |balancer: &Host| match before {
            Some(before) => balancer.run("tc", before).map(drop),
            None => Ok(()),
        };
        let (stage, xlb, _) = with_filter(lab(Topology::default()), prepare)?;
        let balancer = &stage.lab.balancer;
        if let Some(after) = after {
            balancer.run("tc", &after)?;
        }
        xlb.output(["detach", "--now"])?;
        let (filters, disciplines) = shown(balancer, side)?;
        assert!(!filters.contains("xlb_tc"), "{filters}");
        assert!(disciplines.contains("clsact"), "{disciplines}");
        assert_eq!(filters.contains("pref 7"), after.is_some(), "{filters}");
    }
    Ok(())
}
