//! `test --arm64`: the tests that need a kernel once more, on a real arm64 kernel in QEMU.
//!
//! [`root`] unpacks Debian packages into a folder, [`image`] makes an initial file system of it and of the
//! tests, [`guest`] boots Debian's kernel with it, [`report`] reads what it prints.

mod guest;
mod image;
mod package;
mod packages;
mod report;
mod root;
mod step;

use anyhow::{Context, Result, ensure};
use lb_toolchain::{Build, Workspace};

use crate::{
    cargo,
    setup::{self, Need},
    test::{Layer, TEST_BUILDS, Tally},
};

use self::guest::Guest;
use self::report::Report;
use self::root::Root;
use self::step::Step;

/// Where and what to test.
#[derive(clap::Args)]
#[group(skip)]
pub struct Args {
    /// Debian's package of the arm64 kernel, or a file with one
    #[arg(long, requires = "arm64", default_value = "linux-image-arm64")]
    kernel: String,
    /// The processor, by QEMU's name; pages of 16 KiB need a cortex-a76
    #[arg(long, requires = "arm64", default_value = guest::PROCESSOR)]
    processor: String,
    /// Only tests whose name has this in it
    #[arg(long, requires = "arm64", value_name = "NAME")]
    only: Option<String>,
    /// The Debian package and its service in place of all that, in a fresh Debian with systemd
    #[arg(long, requires = "arm64", conflicts_with_all = ["layers", "only"])]
    package: bool,
}

/// Builds everything, boots, passes on what the guest prints, and fails if a test did. These layers; all that
/// say something about a kernel when none is named.
pub fn test(workspace: &Workspace, layers: &[Layer], args: &Args) -> Result<Tally> {
    if args.package {
        return package::test(workspace, args);
    }
    let steps: Vec<_> =
        Step::ALL.into_iter().filter(|step| layers.is_empty() || layers.contains(&step.layer)).collect();
    ensure!(!steps.is_empty(), "none of these layers says anything about a kernel: {layers:?}");
    setup::ensure(workspace, &[Need::Ebpf, Need::Arm64, Need::Guest])?;
    let build = build(workspace)?;
    let folder = workspace.root().join("target/arm64");
    let root = Root::unpack(&folder.join("root"), &args.kernel)?;
    let list: String =
        steps.iter().map(|step| step.line(&build, args.only.as_deref())).collect::<Result<_>>()?;
    let image = folder.join("initrd.cpio");
    image::of_tests(&image, &root, &build, &list, &args.processor)?;
    let named: Vec<_> =
        steps.iter().map(|step| if args.only.is_some() { &[] } else { step.tests() }).collect();
    Report::follow(Guest::boot(&root.kernel()?, &image, &args.processor)?, &named)
}

/// The tests, and the programs that they start.
fn build(workspace: &Workspace) -> Result<Build> {
    let installation = setup::arm64_installation().context("no Rust installation compiles for arm64")?;
    let mut cargo = cargo::arm64(&installation, workspace);
    cargo.args(["test", "--no-run", "--profile", "guest", "--package", "lb-userspace"]).args(TEST_BUILDS);
    // All of them, so that it is one build whatever is tested.
    let targets = Step::ALL.iter().filter_map(|step| step.layer.root_target());
    cargo.args(targets.flat_map(|target| ["--test", target]));
    Ok(Build::run(&mut cargo)?)
}
