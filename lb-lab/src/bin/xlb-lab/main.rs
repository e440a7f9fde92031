//! `xlb-lab`: shows `xlb` at work in a network of its own.

mod demo;
mod events;
mod picture;
mod screen;
mod screenshots;
mod seed;
mod server;
mod summary;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::{Parser, Subcommand};

use events::Events;

/// Shows xlb at work in a network of its own.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Balance real connections over three servers, and show what happens.
    ///
    /// Needs root, and touches nothing outside the namespaces that it makes. It ends by Ctrl-C or
    /// after the given time, with a summary, and fails when a connection failed for no reason or a
    /// server got none.
    Run(Options),

    /// Make the pictures of the README: the statistics page, `xlb top` and `xlb stats`.
    ///
    /// Needs root, and a bit more than a minute, in which servers are busy, fail and are drained.
    Screenshots(screenshots::Options),
}

/// How to run the demonstration.
#[derive(Debug, clap::Args)]
struct Options {
    /// End by itself after this time, such as 20s.
    #[arg(long = "for", value_name = "TIME", value_parser = humantime::parse_duration)]
    length: Option<Duration>,

    /// The program to show; the one beside this one unless given.
    #[arg(long, value_name = "PATH")]
    xlb: Option<PathBuf>,

    /// How xlb attaches to the network.
    #[arg(long, default_value = "auto", value_parser = ["auto", "native", "generic", "tc"])]
    mode: String,
}

impl Options {
    /// The absolute path of the program to show.
    fn program(&self) -> anyhow::Result<PathBuf> {
        program(self.xlb.as_deref())
    }
}

/// The absolute path of a program, or of the one beside this one.
fn program(path: Option<&Path>) -> anyhow::Result<PathBuf> {
    let path = match path {
        Some(path) => path.to_owned(),
        None => std::env::current_exe()?.with_file_name("xlb"),
    };
    path.canonicalize().with_context(|| format!("cannot find {}; name it with --xlb", path.display()))
}

fn main() -> anyhow::Result<ExitCode> {
    match Arguments::parse().verb {
        Verb::Run(options) => run(&options),
        Verb::Screenshots(options) => screenshots::run(&options).map(|()| ExitCode::SUCCESS),
    }
}

fn run(options: &Options) -> anyhow::Result<ExitCode> {
    // Before any thread starts, as threads inherit which signals are blocked.
    let events = Events::listen()?;
    let summary = demo::run(options, &events)?;
    print!("{summary}");
    Ok(if summary.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
