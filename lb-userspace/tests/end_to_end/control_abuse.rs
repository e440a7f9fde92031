//! Whatever is said to the control socket, or not said, the agent goes on, and its memory does not grow.

use std::fs;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;

use lb_lab::config::Config;
use lb_lab::{Result, Topology, talk};

use crate::stage::{WEB, WEB_PORT, lab};

/// How many conversations there are; before that a tenth of them, for memory that is needed once.
const CONVERSATIONS: usize = 1000;

/// How many clients say nothing at the same time: more than are served.
const SILENT: usize = 80;

/// How much more memory may be in use at the end, in KiB: what the allocator keeps for each thread. Were as little as
/// a page kept of each conversation, it would be as much.
const GROWTH: u64 = 4 * 1024;

/// How long the agent waits for a client, so that the silent ones make room.
const TIMEOUT: &str = "100ms";

/// A conversation that goes wrong in one way or another; what comes of it is the client's own affair.
fn misbehave(mut client: UnixStream, nth: usize) {
    let long = vec![b'x'; 64 << 10];
    let many = "show stat;".repeat(500);
    let words: &[u8] = match nth % 8 {
        0 => b"",
        1 => b"show st",
        2 => b"\xff\xfe\0\0;;\\;\n\n\n",
        3 => &long,
        4 => many.as_bytes(),
        5 => b"prompt\nset server k8s-api-server/\nshow stat typed\n",
        6 => b"set timeout cli 1ms\nset weight k8s-api-server/bettley 99999999999999999999\n",
        _ => b"show stat json\nshow servers state\nhelp\nshow nothing\n",
    };
    // The agent may have ended it already.
    let _ = client.write_all(words);
    let is_answered = nth % 8 > 2;
    match nth % 3 {
        1 => drop(client.shutdown(Shutdown::Write)),
        2 if is_answered => drop(client.read(&mut [0; 100])),
        _ => {}
    }
}

#[test]
fn no_conversation_harms_the_agent() -> Result<()> {
    let lab = lab(Topology::default());
    let config = Config::new("native").serve(WEB, WEB_PORT, &lab);
    let config = format!("{}\n[socket]\ntimeout = \"{TIMEOUT}\"\n", config.to_toml());
    let xlb = crate::stage::xlb(&lab);
    let agent = xlb.start(&config)?;
    let (host, socket) = (&lab.balancer, xlb.socket());
    let talk = |count: usize| {
        (0..count).try_for_each(|nth| talk::connect(host, &socket).map(|client| misbehave(client, nth)))
    };
    // By then the allocator has what it takes.
    talk(CONVERSATIONS)?;
    let before = resident(agent.id());
    talk(CONVERSATIONS)?;
    let silent: Vec<_> = (0..SILENT).map(|_| talk::connect(host, &socket)).collect::<Result<_>>()?;
    assert_eq!(talk::ask(host, &socket, "show backend")?, format!("# name\n{WEB}\n\n"));
    drop(silent);
    let after = resident(agent.id());
    println!("{CONVERSATIONS} conversations: {before} KiB before, {after} KiB after");
    assert!(after < before + GROWTH, "{before} KiB before, {after} KiB after");
    Ok(())
}

/// What of a process is in memory, in KiB.
fn resident(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("the agent runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next());
    line.expect("the kernel tells it").parse().expect("a number")
}
