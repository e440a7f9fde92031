//! `xlb`: see [`xlb::cli`].

use std::process::ExitCode;

use clap::Parser;
use xlb::cli::Cli;

fn main() -> ExitCode {
    Cli::parse().run()
}
