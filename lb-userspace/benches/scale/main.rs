//! What many connections cost: a packet of one of them, a new one, memory, and the agent's and the command
//! line's time.
//!
//! For each size a real agent runs in a lab. The connections are opened by test runs of the product's core
//! over that agent's pinned maps: a client's SYN, the server's answer to the NAT address and port that were
//! chosen, the client's ACK. None may be lost, neither by what the agent does meanwhile nor by a restart
//! of it; that fails the bench. Bounds are marked where they are not kept.

mod case;
mod figure;
#[path = "../support/frame.rs"]
mod frame;
mod look;
#[path = "../support/samples.rs"]
mod samples;
mod stage;
#[path = "../support/test_run.rs"]
mod test_run;
mod traffic;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use serde::Serialize;

use case::Case;
use figure::Figure;
use samples::{median, spread};
use stage::Stage;
use test_run::FLOOR;
use traffic::Traffic;

/// What packets are.
const ESTABLISHED: &str = "packet of an established connection";
const NEW: &str = "SYN of a new connection";

/// Packets in one turn.
const TURN: u32 = 1 << 20;

#[derive(Parser)]
#[command(about = "What many connections cost: a packet, memory, the agent and the command line")]
#[expect(clippy::struct_excessive_bools, reason = "the flags of a command line")]
struct Args {
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
    /// Only up to 10,000 connections, for a first look.
    #[arg(long)]
    quick: bool,
    /// Only sizes of so many connections.
    #[arg(long)]
    connections: Option<u32>,
    /// How often packets and their floor have their turn.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..1000))]
    rounds: Option<u32>,
    /// Fail if memory is over its bounds; times never fail.
    #[arg(long)]
    strict: bool,
    /// Cargo passes this to every bench.
    #[arg(long, hide = true)]
    bench: bool,
}

/// What was measured at one size.
#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    case: Case,
    figures: Vec<Figure>,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let cases = if args.quick { Case::QUICK } else { Case::FULL };
    let rounds = args.rounds.unwrap_or(if args.quick { 5 } else { 15 });
    let mut reports = Vec::new();
    for case in cases.iter().filter(|case| args.connections.is_none_or(|n| n == case.connections)) {
        eprintln!("scale: {case}");
        let figures = measure(*case, rounds).with_context(|| case.to_string())?;
        reports.push(Report { case: *case, figures });
    }
    if args.json {
        println!("{}", serde_json::to_string_pretty(&reports)?);
    } else {
        println!("{}", figure::table(&reports));
    }
    let figures = reports.iter().flat_map(|report| &report.figures);
    let over: Vec<_> = figures.filter(|figure| figure.is_over() && !figure.is_time()).collect();
    ensure!(over.is_empty() || !args.strict, "over their bounds: {over:?}");
    Ok(())
}

/// Everything at one size.
fn measure(case: Case, rounds: u32) -> Result<Vec<Figure>> {
    let mut stage = Stage::set(case)?;
    let mut traffic = Traffic::prepare(&stage, case)?;
    let mut figures = packets(&mut traffic, case, rounds)?;
    figures.extend(look::maps(&traffic, case));
    figures.extend(look::times(&stage, &traffic)?);
    figures.extend(look::agent(&stage)?);
    traffic.prove().context("after the agent has looked through the slots")?;
    let restart = stage.restart()?;
    figures.push(Figure::time("agent started again", "ms", restart.as_secs_f64() * 1e3));
    traffic.prove().context("after a restart of the agent")?;
    figures.extend(look::end_of_a_server(&stage, &traffic)?);
    Ok(figures)
}

/// Packets of new and of established connections, in turns with the floor.
fn packets(traffic: &mut Traffic, case: Case, rounds: u32) -> Result<Vec<Figure>> {
    let mut floor = Vec::new();
    let new = traffic.open_all(&mut floor)?;
    let mut established = Vec::new();
    for _ in 0..rounds {
        floor.push(traffic.floor(TURN)?);
        established.push(traffic.forward(TURN)?);
    }
    let floor_ns = median(&floor);
    let per_packet = |name, samples: &[f64]| Figure::time(name, "ns", median(samples));
    let ratio = |name, samples: &[f64], bound| {
        Figure::time(name, "× floor", median(samples) / floor_ns).at_most(bound)
    };
    Ok(vec![
        per_packet(FLOOR, &floor),
        per_packet(ESTABLISHED, &established),
        ratio(ESTABLISHED, &established, case.packet_bound()),
        Figure::time(ESTABLISHED, "± %", spread(&established) * 100.0),
        per_packet(NEW, &new),
        ratio(NEW, &new, case::NEW_BOUND),
        Figure::amount("SYNs without room in the index", "", f64::from(traffic.without_room())),
    ])
}
