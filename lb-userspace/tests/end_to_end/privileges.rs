//! The agent is root's and keeps of root's rights only those that it needs.

use std::fs;

use lb_lab::{Balancer, Result, Topology, curl, talk, wait};

use crate::stage::{Stage, config, lab};

/// `CAP_DAC_READ_SEARCH`, `CAP_NET_BIND_SERVICE`, `CAP_NET_ADMIN`, `CAP_PERFMON`, `CAP_BPF` (linux/capability.h).
const KEPT: u64 = 1 << 2 | 1 << 10 | 1 << 12 | 1 << 38 | 1 << 39;

/// How the names of an agent's threads begin: the main one's, that of a look at the data plane, and the log's.
const THREADS: [&str; 3] = ["xlb", "tokio", "log"];

/// A thread of its own writes it.
const LOG_TO_STDOUT: &str = "[log]\nformat = \"json\"\n[[log.target]]\naddress = \"stdout\"\n";

#[test]
fn a_running_agent_has_the_rights_that_it_needs_and_no_others() -> Result<()> {
    let lab = lab(Topology::default());
    let config = format!("{}\n{LOG_TO_STDOUT}", config(&lab, "tc").to_toml());
    let stage = Stage::set_in_with(lab, &config)?;
    stage.await_checks()?;
    let Balancer { xlb, .. } = stage.balancer();
    // A look at the data plane is a thread's that waits for more to do, and so is a line of the log.
    talk::ask(xlb.host(), &xlb.socket(), "show stat")?;
    curl::fetch(&stage.lab.lan_clients[0], stage.web(), 1)?;
    let agent = stage.balancer().id();
    let threads = wait::until("the agent's threads", || {
        let threads = threads(agent);
        let is_there = |name: &str| threads.iter().any(|(thread, _)| thread.starts_with(name));
        THREADS.into_iter().all(is_there).then_some(threads)
    })?;
    for (name, status) in threads {
        for set in ["CapPrm", "CapEff", "CapBnd"] {
            assert_eq!(number(&status, set, 16), KEPT, "{set} of the thread {name}");
        }
        for set in ["CapInh", "CapAmb"] {
            assert_eq!(number(&status, set, 16), 0, "{set} of the thread {name}");
        }
        assert_eq!(number(&status, "NoNewPrivs", 10), 1, "of the thread {name}");
    }
    // They are enough to find the program on the interface again.
    xlb.output(["reload"]).map(drop)
}

/// The names of a process's threads, and what the kernel tells of them.
fn threads(process: u32) -> Vec<(String, String)> {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).expect("the agent runs");
    let status = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("status")).ok());
    let name = |status: &String| {
        status.lines().next().and_then(|line| line.split_whitespace().nth(1)).map(String::from)
    };
    status.map(|status| (name(&status).unwrap_or_default(), status)).collect()
}

/// The number behind a keyword of `/proc/PID/status`.
fn number(status: &str, keyword: &str, radix: u32) -> u64 {
    let value = status.lines().find_map(|line| line.strip_prefix(keyword)?.strip_prefix(':')).map(str::trim);
    value
        .and_then(|value| u64::from_str_radix(value, radix).ok())
        .unwrap_or_else(|| panic!("no {keyword} in {status}"))
}
