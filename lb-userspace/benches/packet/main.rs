//! What one packet costs: nanoseconds by the kernel's own test run, beside two yardsticks on the same
//! machine in the same minute: the least that any forwarding program costs (the floor), and what a plain
//! NAT with the kernel's hash maps costs (the prototype).
//!
//! All take turns, round after round; the table shows medians. It is proven that every measured packet
//! took the path that it claims to measure: by counters, or by a verdict that all of them share.

mod bound;
#[path = "../support/frame.rs"]
mod frame;
mod place;
mod product;
mod prototype;
mod report;
#[path = "../support/samples.rs"]
mod samples;
mod subject;
#[path = "../support/test_run.rs"]
mod test_run;

use anyhow::{Context, Result, ensure};
use clap::Parser;

use bound::Bound;
use report::{Report, Yardstick};
use subject::Subject;

#[derive(Parser)]
#[command(
    about = "Nanoseconds per packet, beside the least that any forwarding program costs, and a plain one"
)]
struct Args {
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
    /// How often every path has its turn.
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..1000))]
    rounds: u32,
    /// Fail if a path is over its bound by this yardstick: the floor, if none is named.
    #[arg(long, value_enum, value_name = "YARDSTICK")]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "floor")]
    strict: Option<Yardstick>,
    /// Cargo passes this to every bench.
    #[arg(long, hide = true)]
    bench: bool,
}

/// A path of a packet: what it may cost, and by what it is measured.
struct Path {
    name: &'static str,
    bound: Bound,
    product: Subject,
    prototype: Option<Subject>,
}

fn main() -> Result<()> {
    let args = Args::parse();
    // In TC, packets are ours only if they are for this host.
    lb_lab::loopback::own(place::MAC.0).context("the packet bench needs root")?;
    let mut floor = product::floor()?;
    let mut paths = paths(args.rounds)?;
    for round in 0..args.rounds {
        eprint!("\rround {} of {} ", round + 1, args.rounds);
        floor.measure()?;
        for path in &mut paths {
            path.product.measure().context(path.name)?;
            if let Some(prototype) = &mut path.prototype {
                prototype.measure().context(path.name)?;
            }
        }
    }
    eprintln!();
    let report = Report::new(&floor, &paths);
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        println!("{}", report.table());
    }
    let over = args.strict.map_or(Vec::new(), |yardstick| report.over(yardstick));
    ensure!(over.is_empty(), "over their bounds: {}", over.join(", "));
    Ok(())
}

fn paths(rounds: u32) -> Result<Vec<Path>> {
    let path = |name, bound, product, prototype| Path { name, bound, product, prototype: Some(prototype) };
    Ok(vec![
        path("not_ours", Bound::NOT_OURS, product::not_ours()?, prototype::not_ours()?),
        path("established_forward", Bound::FORWARD, product::forward()?, prototype::forward()?),
        path("established_reverse", Bound::REVERSE, product::reverse()?, prototype::reverse()?),
        path("established_tc", Bound::TC, product::tc()?, prototype::tc()?),
        path("flows_65536", Bound::FLOWS_65536, product::flows(16)?, prototype::flows(16)?),
        path("flows_1000000", Bound::FLOWS_1000000, product::flows(20)?, prototype::flows(20)?),
        Path {
            name: "new_flow",
            bound: Bound::NEW_FLOW,
            product: product::new_flow(rounds)?,
            // It opens none.
            prototype: None,
        },
    ])
}
