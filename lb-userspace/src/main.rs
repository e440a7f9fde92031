//! `xlb`: see [`xlb::cli`].

use std::process::ExitCode;

use clap::Parser;
use xlb::cli::Cli;
use xlb::dataplane::object;

fn main() -> ExitCode {
    Cli::parse().run(object::XLB)
}
