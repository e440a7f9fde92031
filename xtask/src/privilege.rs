//! Root, for what needs it and nothing else.

use std::{env, ffi::OsStr, fs, os::unix::fs::MetadataExt, process::Command};

use anyhow::{Result, ensure};
use lb_toolchain::Workspace;
use nix::unistd::Uid;

use crate::process;

/// The environment goes along: programs under test read cargo's variables.
const SUDO: [&str; 3] = ["sudo", "--preserve-env", "--"];

/// A command that runs `program` as root.
pub fn root_command(program: impl AsRef<OsStr>) -> Command {
    if is_root() {
        return Command::new(program);
    }
    let [sudo, args @ ..] = SUDO;
    let mut command = Command::new(sudo);
    command.args(args).arg(program);
    command
}

/// Arguments that let cargo start what it has built, and only that, as root.
pub fn cargo_runner() -> Vec<String> {
    if is_root() {
        return Vec::new();
    }
    vec!["--config".into(), format!("target.'cfg(all())'.runner = {SUDO:?}")]
}

/// Asks for the password now, while somebody is looking, and says what it is for.
pub fn acquire(purpose: &str) -> Result<()> {
    if is_root() {
        return Ok(());
    }
    ensure!(process::output("sudo", &["--version"]).is_some(), "{purpose} needs root, and there is no sudo");
    if process::output("sudo", &["--non-interactive", "true"]).is_none() {
        eprintln!("xtask: {purpose} needs root; sudo may ask for your password");
        process::run(Command::new("sudo").arg("--validate"))?;
    }
    Ok(())
}

/// Refuses `sudo cargo xtask` in a user's tree: the build would leave files there that are root's.
pub fn refuse_foreign_tree(workspace: &Workspace) -> Result<()> {
    let caller = env::var("SUDO_UID").ok().and_then(|uid| uid.parse().ok());
    let owner = fs::metadata(workspace.root())?.uid();
    ensure!(
        !is_root() || owner == 0 || caller != Some(owner),
        "run this without sudo: xtask calls sudo itself, for what needs root alone\n\
         (if cargo then complains of files in `target`: sudo chown --recursive {owner} target)"
    );
    Ok(())
}

fn is_root() -> bool {
    Uid::effective().is_root()
}
