//! Packages that bring a service, of which only the program is wanted.

use std::path::Path;

use anyhow::Result;

use crate::{privilege, process};

/// Runs `install` so that those of `services` that come with it are neither started now nor at boot.
/// Those that were there before are left as they are.
pub fn without_starting(services: &[&str], install: impl FnOnce() -> Result<()>) -> Result<()> {
    if !Path::new("/run/systemd/system").exists() {
        return install();
    }
    let new: Vec<_> = services.iter().copied().filter(|service| !is_known(service)).collect();
    // A mask of the running system only: should we be killed, the next boot forgets it.
    new.iter().try_for_each(|service| systemctl(&["mask", "--runtime", service]))?;
    let outcome = install();
    // Each of them, whatever becomes of the others; what the installation failed of is said first.
    let unmask = new.iter().map(|service| systemctl(&["unmask", "--runtime", service]));
    let installed = new.iter().filter(|service| is_known(service));
    unmask.chain(installed.map(|service| systemctl(&["disable", service]))).fold(outcome, Result::and)
}

fn is_known(service: &str) -> bool {
    process::output("systemctl", &["cat", service]).is_some()
}

fn systemctl(args: &[&str]) -> Result<()> {
    process::run(privilege::root_command("systemctl").arg("--quiet").args(args))
}
