//! What xlb does to the other traffic of the host that it runs on: bytes to and from the host, and requests
//! to a web server on it. Nobody connects to a frontend.
//!
//! Each round measures without xlb and with it, right after each other, for each mode and kind of traffic; in
//! the next round the order is the other way. What is told is the mean difference within the pairs, and its
//! confidence interval.
//!
//! A veth is no network card, and each mode is compared with a baseline in a network that is as fair to it
//! as veths allow:
//!
//! - What is sent is cut to frames of MTU size before it comes to the wire (no TSO at any end of a cable; GSO
//!   in the stack, as with cards that cannot do it), so that GRO has something to merge. Where longer packets
//!   travel, as with all of a veth's offloads, the loss of GRO costs nothing.
//! - GRO is on at the host's interface. A veth does it for senders without TSO, and receives by NAPI then, as
//!   it does for a program in native mode: so NAPI is there with and without one.
//! - Who attaches in generic mode makes the kernel skip GRO, and that is part of what is measured. The length
//!   of the packets that IP is given shows it, and shows that GRO was at work otherwise; a run without it
//!   fails.
//! - Checksums are left to be filled in, as a card would do, and taken for right, as a card would say. xlb
//!   rewrites nothing of this traffic, so that is no trouble in XDP either.
//! - What comes to a host is handled by that host's CPU from the wire on. Otherwise the sender's CPU would do
//!   it, and packets would overtake each other.
//! - A veth in native mode copies every frame that still belongs to a local sender. A driver's own frames need
//!   no copy, so native mode has a network of its own, where frames come copied with xlb and without it (see
//!   `native_driver`). tc and generic mode have the other one: drivers without native XDP hand over frames
//!   that generic mode has to copy.
//!
//! Client, switch and host are one machine, and their CPU time is counted together. A cost in CPU time is
//! therefore a smaller share of it than of the host's alone.

mod figure;
mod mode;
mod native_driver;
mod report;
mod site;
mod snmp;
mod statistics;
#[path = "../support/mod.rs"]
mod support;
mod traffic;

use std::io::{IsTerminal, stdout};
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::Parser;

use mode::Mode;
use report::{Report, Style};
use site::Site;
use statistics::Pair;
use traffic::{Sample, Traffic};

const ROUNDS: u32 = 20;
const QUICK_ROUNDS: u32 = 2;
/// How long each kind of traffic is measured in each half of a pair.
const DURATION: Duration = Duration::from_secs(1);
/// Bytes in a packet of MTU size: IP is given longer ones where GRO is at work.
const MTU: f64 = 1500.0;

/// The same host twice: with a card whose driver knows nothing of XDP, and with one that has native XDP.
struct Sites {
    plain: Site,
    native: Site,
}

#[derive(Parser)]
#[command(about = "What xlb does to the other traffic of its host, in each mode")]
struct Args {
    /// Print JSON instead of tables.
    #[arg(long)]
    json: bool,
    /// A first look: two rounds, whose intervals are wide.
    #[arg(long)]
    quick: bool,
    /// How many pairs each mode gets; with an even number each order has as many.
    #[arg(long, value_parser = clap::value_parser!(u32).range(2..=200))]
    rounds: Option<u32>,
    /// Cargo passes this to every bench.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let rounds = args.rounds.unwrap_or(if args.quick { QUICK_ROUNDS } else { ROUNDS });
    let sites = Sites::build()?;
    let mut report = Report::default();
    for round in 0..rounds {
        for mode in Mode::ALL {
            eprintln!("round {} of {rounds}: {mode}", round + 1);
            for traffic in Traffic::ALL {
                let (without, with) = pair(sites.of(mode), mode, traffic, round % 2 == 0)?;
                add(&mut report, mode, traffic, &without, &with);
            }
        }
    }
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report.json())?);
    } else {
        let style = if stdout().is_terminal() { Style::Ruled } else { Style::Plain };
        print!("{}", report.text(style));
    }
    Ok(())
}

impl Sites {
    /// Builds both and warms them up: what is cold at first would be the first pair's alone.
    fn build() -> Result<Self> {
        let sites = Self { plain: Site::build(false)?, native: Site::build(true)? };
        for site in [&sites.plain, &sites.native] {
            Traffic::ALL.into_iter().try_for_each(|traffic| measure(site, traffic).map(drop))?;
        }
        Ok(sites)
    }

    fn of(&self, mode: Mode) -> &Site {
        match mode {
            Mode::Native => &self.native,
            Mode::Tc | Mode::Generic => &self.plain,
        }
    }
}

/// Measures without xlb and with it.
fn pair(site: &Site, mode: Mode, traffic: Traffic, is_without_first: bool) -> Result<(Sample, Sample)> {
    if is_without_first {
        let without = measure(site, traffic)?;
        Ok((without, measure_attached(site, mode, traffic)?))
    } else {
        let with = measure_attached(site, mode, traffic)?;
        Ok((measure(site, traffic)?, with))
    }
}

fn measure(site: &Site, traffic: Traffic) -> Result<Sample> {
    let sample = traffic.measure(site, DURATION)?;
    let is_merged = traffic != Traffic::ToHost || sample.packet > MTU;
    ensure!(is_merged, "GRO does not work here: {:.0} bytes a packet", sample.packet);
    Ok(sample)
}

fn measure_attached(site: &Site, mode: Mode, traffic: Traffic) -> Result<Sample> {
    let attached = site.attach(mode)?;
    let sample = traffic.measure(site, DURATION)?;
    site.detach(attached)?;
    Ok(sample)
}

fn add(report: &mut Report, mode: Mode, traffic: Traffic, without: &Sample, with: &Sample) {
    for ((figure, without), (_, with)) in without.figures.iter().zip(&with.figures) {
        report.add(mode, *figure, Pair { without: *without, with: *with });
    }
    if traffic == Traffic::ToHost {
        report.add_packet(mode, Pair { without: without.packet, with: with.packet });
    }
    report.add_errors(mode, without.errors, with.errors);
}
