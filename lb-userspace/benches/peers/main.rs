//! What a balancer costs: the same traffic without one, and through HAProxy, nginx, nftables and xlb.
//!
//! Every peer stands in a lab of its own with the same servers, whose frames are real ones: of MTU size,
//! with checksums. Peers take turns, round after round; the table shows medians. The clients' load has
//! one CPU and the servers another, and the balancer whatever is free. This prints and judges nothing.

mod case;
mod peer;
mod report;
#[path = "../support/mod.rs"]
mod support;

use std::time::Duration;

use anyhow::Result;
use clap::Parser;
use lb_lab::{Lab, Topology};

use case::{Case, Sample};
use peer::Peer;
use report::Report;

const TOPOLOGY: Topology = Topology { lan_clients: 1, routed_clients: 0, ..Topology::DEFAULT };

#[derive(Parser)]
#[command(about = "What a balancer costs: xlb beside HAProxy, nginx, nftables, and none")]
struct Args {
    /// Print JSON instead of tables.
    #[arg(long)]
    json: bool,
    /// A first look: one round, and a second for each case.
    #[arg(long)]
    quick: bool,
    /// How often every peer has its turn.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..100))]
    rounds: u32,
    /// Cargo passes this to every bench.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let (rounds, duration) =
        if args.quick { (1, Duration::from_secs(1)) } else { (args.rounds, Duration::from_secs(3)) };
    let mut report = Report::default();
    for round in 0..rounds {
        for peer in Peer::ALL {
            if let Some(reason) = peer.is_missing() {
                report.skip(peer, reason);
                continue;
            }
            eprintln!("round {} of {rounds}: {peer}", round + 1);
            for (case, sample) in measure(peer, duration)? {
                report.add(peer, case, sample);
            }
        }
    }
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report.json())?);
    } else {
        println!("{}", report.tables());
    }
    Ok(())
}

/// All cases through one peer.
fn measure(peer: Peer, duration: Duration) -> Result<Vec<(Case, Sample)>> {
    let lab = Lab::build(TOPOLOGY)?;
    let servers = peer::Servers::start(&lab)?;
    let running = peer.start(&lab)?;
    let cases = Case::ALL.into_iter();
    let samples = cases.map(|case| Ok((case, case.measure(&lab, peer, duration)?))).collect();
    drop((running, servers));
    samples
}
