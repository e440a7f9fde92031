//! Packages that bring a service, of which only the program is wanted.

use std::path::Path;

use anyhow::Result;

use crate::{privilege, process};

/// Runs `install` so that `service`, if it comes with it, is neither started now nor at boot. One
/// that was there before is left as it is.
pub fn without_starting(service: &str, install: impl FnOnce() -> Result<()>) -> Result<()> {
    if !Path::new("/run/systemd/system").exists() || is_known(service) {
        return install();
    }
    // A mask of the running system only: should we be killed, the next boot forgets it.
    systemctl(&["mask", "--runtime", service])?;
    let outcome = install();
    systemctl(&["unmask", "--runtime", service])?;
    if is_known(service) {
        systemctl(&["disable", service])?;
    }
    outcome
}

fn is_known(service: &str) -> bool {
    process::output("systemctl", &["cat", service]).is_some()
}

fn systemctl(args: &[&str]) -> Result<()> {
    process::run(privilege::root_command("systemctl").arg("--quiet").args(args))
}
