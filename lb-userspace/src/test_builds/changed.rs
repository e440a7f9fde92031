//! `xlb` with an eBPF program that does the same as the product's and is another one, as that of a
//! new version: for tests of its replacement.

use std::process::ExitCode;

use clap::Parser;
use xlb::cli::Cli;

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/changed.bpf.o"));

fn main() -> ExitCode {
    Cli::parse().run(OBJECT)
}
