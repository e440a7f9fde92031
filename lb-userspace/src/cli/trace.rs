//! `xlb trace`: follows packets, as they came and as they left, with what became of each and why.

use std::fs::File;
use std::io::{BufWriter, Stdout, Write, stderr, stdout};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use lb_common::trace::Outcome;
use tokio::task::yield_now;
use tokio::time::{MissedTickBehavior, interval};

use super::Error;
use super::interrupts::Interrupts;
use crate::clock;
use crate::dataplane::pins::Pins;
use crate::stats::ClientFilter;
use crate::trace::{self, Capture, Packet, Tracer, Wanted};

/// Follow packets for frontends and from servers, as they came and as they left. All conditions must hold.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only to or from these clients: an address, a prefix, or an address and port
    #[arg(long, value_name = "CLIENT")]
    client: Option<ClientFilter>,

    /// Only to or from this server: its name, or BACKEND/NAME
    #[arg(long, value_name = "NAME")]
    server: Option<String>,

    /// Only to or from this frontend
    #[arg(long, value_name = "NAME")]
    frontend: Option<String>,

    /// Only what is `forwarded`, or has this outcome, as `xlb stats` names it
    #[arg(long, value_name = "OUTCOME", value_parser = Wanted::outcome)]
    reason: Option<Outcome>,

    /// Only to or from this port
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,

    /// End after so many packets
    #[arg(long, value_name = "N")]
    count: Option<u64>,

    /// Print JSON, a line each
    #[arg(long)]
    json: bool,

    /// Write both sides of each packet to a capture file for Wireshark (headers only) in place of printing them
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    pcap: Option<PathBuf>,
}

/// How often the program hears that somebody still listens.
const RENEWAL: Duration = Duration::from_secs(1);

/// Follows packets until there were enough, or a signal ends it.
pub fn run(args: &Args, pins: &Pins) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(follow(args, pins))
}

/// Where packets go to, and how many have.
struct Sink {
    json: bool,
    text: BufWriter<Stdout>,
    capture: Option<Capture<BufWriter<File>>>,
    left: Option<u64>,
    seen: u64,
    /// When `CLOCK_MONOTONIC` was zero.
    boot: SystemTime,
}

async fn follow(args: &Args, pins: &Pins) -> Result<(), Error> {
    let mut interrupts = Interrupts::new()?;
    let wanted = Wanted {
        client: args.client,
        server: args.server.clone(),
        frontend: args.frontend.clone(),
        outcome: args.reason,
        port: args.port,
    };
    let mut sink = Sink::new(args)?;
    let mut tracer = Tracer::start(pins, &wanted)?;
    writeln!(stderr(), "tracing; Ctrl-C ends it")?;
    let mut renewals = interval(RENEWAL);
    renewals.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !sink.has_enough() {
        tokio::select! {
            biased;
            _ = interrupts.next() => break,
            _ = renewals.tick() => {
                tracer.renew()?;
                sink.flush()?;
            }
            records = tracer.next() => {
                for record in records? {
                    sink.take(&record, &tracer)?;
                }
                sink.text.flush()?;
                // Where there are always more, nobody would notice that a second is over, or a signal is there.
                yield_now().await;
            }
        }
    }
    for record in tracer.end() {
        sink.take(&record, &tracer)?;
    }
    sink.flush()?;
    let lost = tracer.lost()?;
    Ok(writeln!(stderr(), "{} packets traced; {lost} more were not reported, for lack of room", sink.seen)?)
}

impl Sink {
    fn new(args: &Args) -> Result<Self, Error> {
        let capture = args.pcap.as_ref().map(|path| Capture::create(path, "xlb")).transpose()?;
        let boot = SystemTime::now().checked_sub(clock::monotonic()).unwrap_or(SystemTime::UNIX_EPOCH);
        Ok(Self { json: args.json, text: BufWriter::new(stdout()), capture, left: args.count, seen: 0, boot })
    }

    fn has_enough(&self) -> bool {
        self.left == Some(0)
    }

    fn take(&mut self, record: &lb_common::trace::Record, tracer: &Tracer) -> Result<(), Error> {
        if self.has_enough() {
            return Ok(());
        }
        let packet = Packet::new(record, &tracer.names, self.boot);
        match &mut self.capture {
            Some(capture) => capture.write(record, &packet, self.boot)?,
            None if self.json => writeln!(self.text, "{}", trace::json(&packet))?,
            None => writeln!(self.text, "{packet}")?,
        }
        self.seen += 1;
        self.left = self.left.map(|left| left.saturating_sub(1));
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.text.flush()?;
        if let Some(capture) = &mut self.capture {
            capture.flush()?;
        }
        Ok(())
    }
}
