//! The cargo that started this program, as the user has set it up.

use std::{env, ffi::OsString, path::Path, process::Command};

use anyhow::{Context, Result};
use lb_toolchain::{Build, Installation, Workspace};

use crate::{setup::ARM64_TARGET, test::TEST_BUILDS};

/// `cargo`, in the workspace.
pub fn command(workspace: &Workspace) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    command.current_dir(workspace.root());
    command
}

/// The same of an installation that compiles for arm64, and does so.
pub fn arm64(installation: &Installation, workspace: &Workspace) -> Command {
    let mut command = installation.cargo();
    command.current_dir(workspace.root()).env("CARGO_BUILD_TARGET", ARM64_TARGET);
    // Debian's gcc has this name on arm64 too.
    command.env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", "aarch64-linux-gnu-gcc");
    command
}

/// Builds the programs of `packages` with `cargo`, for release.
pub fn build_release(cargo: &mut Command, packages: &[&str]) -> Result<Build> {
    build(cargo.args(["build", "--release"]), packages)
}

/// Builds them as tests are built.
pub fn build_debug(cargo: &mut Command, packages: &[&str]) -> Result<Build> {
    build(cargo.arg("build").args(TEST_BUILDS), packages)
}

fn build(cargo: &mut Command, packages: &[&str]) -> Result<Build> {
    cargo.arg("--bins");
    cargo.args(packages.iter().flat_map(|package| ["--package", package]));
    let build = Build::run(cargo)?;
    for warning in &build.warnings {
        eprintln!("{warning}");
    }
    Ok(build)
}

/// The program `name` of a build.
pub fn program<'a>(build: &'a Build, name: &str) -> Result<&'a Path> {
    let found = build.executables.iter().find(|executable| executable.name == name);
    found.map(|executable| executable.path.as_path()).with_context(|| format!("cargo built no {name}"))
}
