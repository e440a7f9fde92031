//! `test`: all layers, from pure functions to real connections.

use std::{
    fmt,
    io::{BufRead, BufReader},
    ops::AddAssign,
    process::{Command, Stdio},
};

use anyhow::{Result, ensure};
use clap::ValueEnum;
use lb_toolchain::Workspace;

use crate::{
    arm64, cargo, privilege,
    setup::{self, Need},
};

/// The environment variable and its value that ask tests and benchmarks for their full size.
pub const FULL_SIZE: (&str, &str) = ("XLB_SIZE", "full");

/// The environment variable and its value that make the packet tests enter the program in TC.
const IN_TC: (&str, &str) = ("XLB_ENTRY", "tc");

/// The packet tests that look at frames rather than at what the program remembers, which does not
/// depend on the entry.
const FRAME_TESTS: [&str; 10] =
    ["answers", "arbitrary", "fuzz", "histories", "icmp", "long::", "mss", "nat::", "refusal", "rewrites"];

/// What most layers are chosen from.
const ALL_BUT_THE_LAB: [&str; 3] = ["--workspace", "--exclude", "lb-lab"];

/// Lets cargo build what only the end-to-end tests need.
pub const TEST_BUILDS: [&str; 2] = ["--features", "lb-userspace/test-builds"];

#[derive(clap::Args)]
pub struct Args {
    /// The layers to test; all of them when none is named
    layers: Vec<Layer>,
    /// At full size, which takes many minutes; without it a test takes seconds
    #[arg(long)]
    full: bool,
    /// On an arm64 kernel in QEMU, what says something about a kernel
    #[arg(long, conflicts_with = "full")]
    arm64: bool,
    #[command(flatten)]
    guest: arm64::Args,
}

/// Tests that need the same of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Layer {
    /// What needs neither root nor a kernel
    Host,
    /// The lab itself, in namespaces
    Lab,
    /// Packets through the program, by test runs in the kernel
    Packets,
    /// Those of them that look at frames, by the program's other entry
    PacketsTc,
    /// Next hops, as the kernel resolves them
    Neighbours,
    /// Real connections through the balancer, in the lab
    EndToEnd,
}

impl Layer {
    /// The test target of the agent that a layer consists of. These need root, so the manifest
    /// keeps them out of a plain `cargo test`.
    pub fn root_target(self) -> Option<&'static str> {
        match self {
            Self::Host | Self::Lab => None,
            Self::Packets | Self::PacketsTc => Some("packets"),
            Self::Neighbours => Some("neighbours"),
            Self::EndToEnd => Some("end_to_end"),
        }
    }

    fn select(self, cargo: &mut Command) {
        match self.root_target() {
            None if self == Self::Lab => cargo.args(["--package", "lb-lab"]),
            // Of one package alone cargo would build the dependencies once more, with fewer features.
            target => cargo.args(ALL_BUT_THE_LAB).args(target.iter().flat_map(|target| ["--test", target])),
        };
    }

    /// The program with other eBPF programs in it is built for all layers of the agent, so that
    /// they share one build.
    fn cargo_features(self) -> &'static [&'static str] {
        if self == Self::Lab { &[] } else { &TEST_BUILDS }
    }

    fn needs_root(self) -> bool {
        self != Self::Host
    }

    fn needs_lab(self) -> bool {
        matches!(self, Self::Lab | Self::Neighbours | Self::EndToEnd)
    }

    /// The environment variables of its tests.
    pub fn variables(self) -> Option<(&'static str, &'static str)> {
        (self == Self::PacketsTc).then_some(IN_TC)
    }

    /// How its tests are run.
    pub fn arguments(self) -> &'static [&'static str] {
        // Labs measure time and share: two at once would disturb each other. What they have counted is
        // shown.
        if self.needs_lab() { &["--test-threads=1", "--show-output"] } else { &[] }
    }

    /// What the names of its tests have in them; all of the program's where this is empty.
    pub fn tests(self) -> &'static [&'static str] {
        if self == Self::PacketsTc { &FRAME_TESTS } else { &[] }
    }

    fn cargo_test(self, workspace: &Workspace) -> Command {
        let mut cargo = cargo::command(workspace);
        if self.needs_root() {
            cargo.args(privilege::cargo_runner());
        }
        cargo.args(["test", "--no-fail-fast"]);
        self.select(&mut cargo);
        cargo.args(self.cargo_features());
        cargo.envs(self.variables()).arg("--").args(self.arguments()).args(self.tests());
        cargo
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_possible_value().map_or(Ok(()), |value| f.write_str(value.get_name()))
    }
}

/// How many tests ended how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    passed: u32,
    failed: u32,
    ignored: u32,
}

impl Tally {
    /// Reads a closing line of the test runner, "test result: ok. 3 passed; 0 failed; …".
    pub fn parse(line: &str) -> Option<Self> {
        let counts = line.strip_prefix("test result: ")?;
        let count = |of: &str| {
            let words: Vec<_> = counts.split([' ', ';']).collect();
            words.windows(2).find(|pair| pair[1] == of).and_then(|pair| pair[0].parse().ok())
        };
        Some(Self { passed: count("passed")?, failed: count("failed")?, ignored: count("ignored")? })
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.ignored)
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
    }
}

pub fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    if args.arm64 {
        println!("total: {}", arm64::test(workspace, &args.layers, &args.guest)?);
        return Ok(());
    }
    let layers = if args.layers.is_empty() { Layer::value_variants() } else { &args.layers };
    prepare(workspace, layers)?;
    let mut total = Tally::default();
    let mut failed = Vec::new();
    for &layer in layers {
        eprintln!("xtask: testing layer {layer}");
        let mut cargo = layer.cargo_test(workspace);
        if args.full {
            cargo.envs([FULL_SIZE]);
        }
        if !test(cargo, &mut total)? {
            failed.push(layer);
        }
    }
    println!("total: {total}");
    ensure!(failed.is_empty(), "these layers failed: {failed:?}");
    Ok(())
}

fn prepare(workspace: &Workspace, layers: &[Layer]) -> Result<()> {
    setup::ensure(workspace, &[Need::Ebpf])?;
    if layers.iter().any(|layer| layer.needs_lab()) {
        setup::ensure(workspace, &[Need::Lab])?;
    }
    if layers.iter().any(|layer| layer.needs_root()) {
        privilege::acquire("testing in the kernel")?;
    }
    Ok(())
}

/// Runs one layer, passes its output on, and says whether all went well.
fn test(mut cargo: Command, total: &mut Tally) -> Result<bool> {
    let mut child = cargo.stdout(Stdio::piped()).spawn()?;
    for line in child.stdout.take().into_iter().flat_map(|stdout| BufReader::new(stdout).lines()) {
        let line = line?;
        println!("{line}");
        if let Some(tally) = Tally::parse(&line) {
            *total += tally;
        }
    }
    Ok(child.wait()?.success())
}

#[cfg(test)]
mod tests {
    use super::Tally;

    #[test]
    fn a_closing_line_is_counted() {
        let line = "test result: FAILED. 12 passed; 1 failed; 2 ignored; 0 measured; 0 filtered out; finished in 0.1s";
        assert_eq!(Tally::parse(line), Some(Tally { passed: 12, failed: 1, ignored: 2 }));
        assert_eq!(Tally::parse("test parse ... ok"), None);
    }
}
