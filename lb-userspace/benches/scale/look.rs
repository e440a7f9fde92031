//! What the agent and the command line cost beside so many connections.

use std::fs;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use xlb::dataplane::maps::Maps;
use xlb::dataplane::status::Admin;
use xlb::socket::{self, Command, ServerChange};

use crate::case::Case;
use crate::figure::Figure;
use crate::samples::median;
use crate::stage::{NAME, Stage};
use crate::traffic::{Traffic, ring};

/// The most that a connection may take of the maps, in bytes.
const BYTES: f64 = 192.0;
/// The most memory that the agent may have, in MiB.
const AGENT: f64 = 64.0;
/// The longest that `xlb stats` may take, in ms.
const STATS: f64 = 100.0;

/// How often a command is timed, and a change.
const COMMANDS: usize = 5;
const CHANGES: usize = 21;

/// How long a change is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

const MIB: f64 = (1 << 20) as f64;

/// The maps' memory, as the kernel accounts for it.
pub fn maps(traffic: &Traffic, case: Case) -> Vec<Figure> {
    let memory = traffic.maps.memory();
    let of_connections = |name: &str| ["SLOTS", "DETAILS", "INDEX"].contains(&name);
    let bytes: u64 = memory.iter().filter(|(name, _)| of_connections(name)).map(|(_, bytes)| bytes).sum();
    let all: u64 = memory.iter().map(|(_, bytes)| bytes).sum();
    vec![
        Figure::amount("maps for a connection", "bytes", bytes as f64 / f64::from(case.connections))
            .at_most(BYTES),
        Figure::amount("all maps", "MiB", all as f64 / MIB),
    ]
}

/// The time that a health change, the command line and a look through all slots take.
pub fn times(stage: &Stage, traffic: &Traffic) -> Result<Vec<Figure>> {
    let changes = stage.lab.balancer.inside(|| changes(stage, &traffic.maps))?;
    let stats = samples(stage, &["stats", "--json"])?;
    let one = samples(stage, &["connections", "--json", "--client", "198.18.128.0:10000"])?;
    let reload = samples(stage, &["reload"])?;
    let json = run(stage, &["connections", "--json"])?;
    let table = run(stage, &["connections"])?;
    let ms = |name, value| Figure::time(name, "ms", value);
    Ok(vec![
        Figure::time("ring changed after a command", "µs", median(&changes)),
        Figure::time("ring changed, the longest", "µs", changes.iter().copied().fold(0.0, f64::max)),
        ms("xlb stats", median(&stats)).at_most(STATS),
        ms("xlb connections, one client", median(&one)),
        ms("xlb connections, all as JSON", json),
        ms("xlb connections, all", table),
        ms("xlb reload with a look through all slots", median(&reload)),
    ])
}

/// The agent's memory: what it has now, and the most that it has had.
pub fn agent(stage: &Stage) -> Result<Vec<Figure>> {
    let mib = |name, value| Figure::amount(name, "MiB", value);
    Ok(vec![
        mib("agent, VmRSS", memory(stage, "VmRSS")?).at_most(AGENT),
        mib("agent, RssAnon", memory(stage, "RssAnon")?),
        mib("agent, RssFile", memory(stage, "RssFile")?),
        mib("agent, RssShmem", memory(stage, "RssShmem")?),
        mib("agent, VmHWM", memory(stage, "VmHWM")?).at_most(AGENT),
    ])
}

/// A line of what the kernel tells of the agent's memory, in MiB.
fn memory(stage: &Stage, field: &str) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{}/status", stage.agent()?)).context("the agent runs")?;
    let value = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    let kib = value.and_then(|value| value.split_whitespace().next()?.parse::<f64>().ok());
    Ok(kib.with_context(|| format!("/proc has no {field}"))? / 1024.0)
}

/// The time until the connections of a server that is taken into maintenance are reset, and the most memory
/// that this has taken an agent which has done nothing else.
pub fn end_of_a_server(stage: &Stage, traffic: &Traffic) -> Result<Vec<Figure>> {
    let command = Command::server(&server(stage), ServerChange::State(Admin::Maint))?;
    let began = Instant::now();
    stage.lab.balancer.inside(|| socket::ask(&stage.xlb.socket(), &command))??;
    let took = began.elapsed();
    let left = traffic.established_with(0)?;
    ensure!(left == 0, "{left} connections of a server in maintenance go on");
    Ok(vec![
        Figure::time("connections of a server reset", "ms", took.as_secs_f64() * 1e3),
        Figure::amount("agent, VmHWM after that", "MiB", memory(stage, "VmHWM")?).at_most(AGENT),
    ])
}

/// The name of the first server.
fn server(stage: &Stage) -> String {
    format!("{NAME}/{}-0", stage.lab.servers[0])
}

/// Takes a server out of the ring and back again, and returns the microseconds from the word to the agent
/// until the program finds another ring.
fn changes(stage: &Stage, maps: &Maps) -> Result<Vec<f64>> {
    let server = server(stage);
    let mut samples = Vec::new();
    for _ in 0..CHANGES {
        for state in [Admin::Drain, Admin::Ready] {
            let command = Command::server(&server, ServerChange::State(state))?;
            samples.push(change(stage, maps, &command)?);
        }
    }
    Ok(samples)
}

fn change(stage: &Stage, maps: &Maps, command: &Command) -> Result<f64> {
    let mut stream = UnixStream::connect(stage.xlb.socket())?;
    let before = ring(maps);
    let began = Instant::now();
    stream.write_all(format!("{command}\n").as_bytes())?;
    stream.shutdown(Shutdown::Write)?;
    while ring(maps) == before {
        ensure!(began.elapsed() < PATIENCE, "`{command}` changes nothing");
        std::hint::spin_loop();
    }
    let took = began.elapsed();
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    ensure!(answer.trim().is_empty(), "`{command}`: {answer}");
    Ok(took.as_secs_f64() * 1e6)
}

/// How long a command takes, several times, in ms.
fn samples(stage: &Stage, arguments: &[&str]) -> Result<Vec<f64>> {
    (0..COMMANDS).map(|_| run(stage, arguments)).collect()
}

/// How long a command takes, in ms.
fn run(stage: &Stage, arguments: &[&str]) -> Result<f64> {
    let mut command = stage.xlb.command(arguments);
    let began = Instant::now();
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status()?;
    let took = began.elapsed();
    ensure!(status.success(), "`xlb {}` ended with {status}", arguments.join(" "));
    Ok(took.as_secs_f64() * 1e3)
}
