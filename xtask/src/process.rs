//! Starting other programs.

use std::{io, os::unix::process::CommandExt, process::Command};

use anyhow::{Context, Result, ensure};

/// Runs `command` to its end. Its standard output becomes our standard error, because only what
/// the user asked for belongs on ours.
pub fn run(command: &mut Command) -> Result<()> {
    let program = command.get_program().display().to_string();
    let status = command.stdout(io::stderr()).status().with_context(|| format!("cannot run {program}"))?;
    ensure!(status.success(), "{program} ended with {status}");
    Ok(())
}

/// What a quiet command prints, trimmed; nothing when it fails or does not exist.
pub fn output(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Becomes `command`: signals and the exit code are then its own, and Ctrl-C reaches nobody else.
pub fn become_command(command: &mut Command) -> Result<()> {
    let error = command.exec();
    Err(error).with_context(|| format!("cannot run {}", command.get_program().display()))
}
