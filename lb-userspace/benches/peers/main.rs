//! What a balancer costs: the same traffic without one, and through HAProxy, nginx, nftables and xlb.
//!
//! Every peer stands in a lab of its own with the same servers, whose frames are real ones: of MTU size,
//! with checksums. Peers take turns, round after round; the table shows medians. The clients' load has
//! one CPU and the servers another, and the balancer whatever is free. This prints and judges nothing.

mod case;
mod chart;
mod memory;
mod peer;
mod report;
#[path = "../support/mod.rs"]
mod support;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::Parser;
use lb_lab::{Lab, Topology};

use case::Case;
use peer::Peer;
use report::Report;

const TOPOLOGY: Topology = Topology { lan_clients: 1, routed_clients: 0, ..Topology::DEFAULT };

#[derive(Parser)]
#[command(about = "What a balancer costs: xlb beside HAProxy, nginx, nftables, and none")]
struct Args {
    /// Print JSON instead of tables.
    #[arg(long)]
    json: bool,
    /// A first look: one round of three cases, a second for each.
    #[arg(long)]
    quick: bool,
    /// Only cases with this in their title, such as "fixed rate".
    #[arg(long, value_name = "TEXT", default_value = "")]
    case: String,
    /// Draw the main figures into an SVG file as well; a relative path is the repository's.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// How often every peer has its turn.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..100))]
    rounds: u32,
    /// Cargo passes this to every bench.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let (all, rounds, duration) = if args.quick {
        (&Case::QUICK[..], 1, Duration::from_secs(1))
    } else {
        (&Case::ALL[..], args.rounds, Duration::from_secs(3))
    };
    let cases: Vec<_> = all.iter().copied().filter(|case| case.title().contains(&args.case)).collect();
    let titles = || all.iter().map(|case| case.title()).collect::<Vec<_>>();
    ensure!(!cases.is_empty(), "no case has {:?} in its title: {:?}", args.case, titles());
    let mut report = Report::default();
    for round in 0..rounds {
        for peer in Peer::ALL {
            if let Some(reason) = peer.is_missing() {
                report.skip(peer, reason);
                continue;
            }
            eprintln!("round {} of {rounds}: {peer}", round + 1);
            measure(peer, &cases, duration, &mut report)?;
        }
    }
    if let Some(path) = &args.svg {
        // Cargo runs benches in the directory of their package.
        chart::draw(&Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path), &report.panels())?;
    }
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report.json())?);
    } else {
        println!("{}", report.tables());
    }
    Ok(())
}

/// Some cases through one peer.
fn measure(peer: Peer, cases: &[Case], duration: Duration, report: &mut Report) -> Result<()> {
    let lab = Lab::build(TOPOLOGY)?;
    let _servers = peer::Servers::start(&lab)?;
    let running = peer.start(&lab)?;
    for case in cases {
        report.add(peer, *case, case.measure(&lab, peer, duration)?);
    }
    if let Some(memory) = running.memory()? {
        report.remember(peer, memory);
    }
    Ok(())
}
