//! `deb`: the Debian package, looked at by lintian and systemd.

mod notices;

use std::{
    env::consts,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use lb_toolchain::{Build, Workspace};

use crate::{
    build, cargo, process,
    setup::{self, ARM64_TARGET, Need, cargo_deb},
};

/// The largest program that a package may bring, in bytes.
const MOST_PROGRAM: u64 = 6 << 20;

/// The most that `systemd-analyze security` may say of a unit, in tenths.
const MOST_EXPOSURE: u32 = 25;

/// The units, which are checked as they are in the tree.
const UNITS: [&str; 2] = ["packaging/xlb.service", "packaging/xlb-dataplane.service"];

#[derive(clap::Args)]
pub struct Args {
    /// For arm64, such as a Raspberry Pi
    #[arg(long)]
    arm64: bool,
}

pub fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    let package = pack(workspace, args.arm64, None)?;
    lintian(&package)?;
    UNITS.iter().try_for_each(|unit| exposure(&workspace.root().join(unit)))?;
    println!("{} ({} KiB)", package.display(), fs::metadata(&package)?.len() / 1024);
    Ok(())
}

/// Builds everything that the package brings, and packs it; with another version, the same as an upgrade to that.
pub fn pack(workspace: &Workspace, arm64: bool, version: Option<&str>) -> Result<PathBuf> {
    setup::ensure(workspace, &[Need::Ebpf, Need::Package])?;
    let packer = cargo_deb::ensure(workspace)?;
    let build = build::release(workspace, arm64)?;
    let size = fs::metadata(cargo::program(&build, "xlb")?)?.len();
    println!("xlb: {} KiB", size / 1024);
    ensure!(size < MOST_PROGRAM, "the program is larger than {} KiB", MOST_PROGRAM / 1024);
    write_manual(workspace)?;
    let target = if arm64 { ARM64_TARGET.to_owned() } else { format!("{}-unknown-linux-gnu", consts::ARCH) };
    fs::write(workspace.root().join("target/manual/third-party"), notices::collect(workspace, &target)?)?;
    let output = workspace.root().join("target/package");
    fs::create_dir_all(&output)?;
    let architecture = if arm64 { "arm64".to_owned() } else { dpkg_architecture()? };
    let version = version.unwrap_or(env!("CARGO_PKG_VERSION"));
    let package = output.join(format!("xlb_{version}_{architecture}.deb"));
    let mut command = Command::new(packer);
    command.current_dir(workspace.root()).args(["--package", "lb-userspace", "--no-build", "--no-strip"]);
    command.args(["--deb-version", version, "--output"]).arg(&package);
    if arm64 {
        command.args(["--target", ARM64_TARGET]);
    }
    process::run(&mut command)?;
    Ok(package)
}

/// Writes manual pages and completions to where the package's list takes them from. They are made on this machine,
/// whichever the package is for.
fn write_manual(workspace: &Workspace) -> Result<()> {
    let build = Build::run(cargo::command(workspace).args(["build", "--package", "lb-manual"]))?;
    let folder = workspace.root().join("target/manual");
    let _ = fs::remove_dir_all(&folder);
    process::run(Command::new(cargo::program(&build, "lb-manual")?).arg(folder))
}

fn dpkg_architecture() -> Result<String> {
    process::output("dpkg", &["--print-architecture"]).context("dpkg does not say what it packs for")
}

/// Fails on whatever lintian finds.
fn lintian(package: &Path) -> Result<()> {
    process::run(
        Command::new("lintian")
            .args(["--fail-on", "error,warning,info", "--display-info", "--allow-root"])
            .arg(package),
    )?;
    println!("lintian: nothing to say");
    Ok(())
}

/// Prints what systemd thinks of a unit's sandbox, and fails if it is above the bound.
fn exposure(unit: &Path) -> Result<()> {
    let mut command = Command::new("systemd-analyze");
    let output = command.args(["security", "--offline=true"]).arg(unit).stderr(Stdio::inherit()).output();
    let text = output.context("cannot run systemd-analyze")?.stdout;
    let text = String::from_utf8_lossy(&text);
    let verdict = text
        .lines()
        .find_map(|line| line.split_once("Overall exposure level for "))
        .map(|(_, verdict)| verdict);
    let verdict = verdict.with_context(|| format!("systemd-analyze says nothing of {}", unit.display()))?;
    println!("systemd-analyze security: {verdict}");
    let tenths = tenths(verdict).with_context(|| format!("no figure in `{verdict}`"))?;
    ensure!(tenths <= MOST_EXPOSURE, "that is more than {}.{}", MOST_EXPOSURE / 10, MOST_EXPOSURE % 10);
    Ok(())
}

/// The figure in "xlb.service: 2.4 OK".
fn tenths(verdict: &str) -> Option<u32> {
    let (whole, tenth) = verdict.split(' ').nth(1)?.split_once('.')?;
    Some(whole.parse::<u32>().ok()? * 10 + tenth.parse::<u32>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::tenths;

    #[test]
    fn a_figure_is_read_as_tenths() {
        assert_eq!(tenths("xlb.service: 2.4 OK 🙂"), Some(24));
        assert_eq!(tenths("xlb.service: 10.0 DANGEROUS"), Some(100));
        assert_eq!(tenths("nothing"), None);
    }
}
