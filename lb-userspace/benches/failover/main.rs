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
    /// Cargo passes this to every bench.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<()> {
    Args::parse();
    let mut rows = Vec::new();
    for failure in Failure::ALL {
        for peer in Peer::ALL {
            eprintln!("failover: one of three servers {failure}, behind {peer}");
            rows.push(run::run(failure, peer)?);
        }
    }
    println!("{}", row::table(&rows));
    println!("{}", row::LEGEND);
    Ok(())
}
