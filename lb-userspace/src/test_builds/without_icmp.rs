//! `xlb` without ICMP translation: for tests that must fail without it.

use std::process::ExitCode;

use clap::Parser;
use xlb::cli::Cli;

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/without-icmp.bpf.o"));

fn main() -> ExitCode {
    Cli::parse().run(OBJECT)
}
