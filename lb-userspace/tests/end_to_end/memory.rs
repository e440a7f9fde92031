//! How much memory the agent has.

use std::fs;

use lb_lab::config::Config;
use lb_lab::{Result, Topology};

use crate::stage::{Stage, WEB, WEB_PORT, lab};

/// The most that it may ever have, in KiB.
const MOST: u64 = 64 << 10;

/// With room for as many servers as there can be, the maps have 1.4 million slots: 92 MB, and their details
/// half of that. The agent looks through all of them, but does not keep them.
#[test]
fn many_slots_do_not_count_as_the_agents() -> Result<()> {
    let lab = lab(Topology::default());
    let config =
        Config::new("native").serve(WEB, WEB_PORT, &lab).with(|config| config.max_servers = Some(64));
    let stage = Stage::set_in(lab, &config)?;
    let agent = stage.balancer();
    agent.xlb.output(["reload"])?;
    // The server's connections are counted, and reset.
    agent.xlb.output(["server", &format!("{WEB}/bettley"), "maint"])?;
    let status = fs::read_to_string(format!("/proc/{}/status", agent.id())).expect("the agent runs");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next());
    let peak: u64 = peak.expect("the kernel tells it").parse().expect("a number");
    assert!(peak < MOST, "{peak} KiB");
    Ok(())
}
