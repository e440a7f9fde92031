//! What clients notice when one of three servers dies: behind HAProxy, as Debian packages it and with
//! the settings that many have, and behind xlb with the same checks.
//!
//! Each row is a lab of its own, under a steady load. This prints and judges nothing.

mod failure;
mod peer;
mod row;
mod run;

use anyhow::Result;
use clap::Parser;

use failure::Failure;
use peer::Peer;

#[derive(Parser)]
#[command(about = "What clients notice when a server dies, behind HAProxy and behind xlb")]
struct Args {
    /// Only the first of the failures: it shows that this runs
    #[arg(long)]
    quick: bool,
    /// Cargo passes this to every bench.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<()> {
    let failures = if Args::parse().quick { &Failure::ALL[..1] } else { &Failure::ALL };
    let mut rows = Vec::new();
    for &failure in failures {
        for peer in Peer::ALL {
            eprintln!("failover: one of three servers {failure}, behind {peer}");
            rows.push(run::run(failure, peer)?);
        }
    }
    println!("{}", row::table(&rows));
    println!("{}", row::LEGEND);
    Ok(())
}
