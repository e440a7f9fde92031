//! Debian packages, by apt-get.

use anyhow::{Result, ensure};

use super::service;
use crate::{privilege, process};

/// Services that come with packages of which we want the program alone.
const SERVICES: [&str; 4] = ["nginx", "haproxy", "prometheus", "prometheus-haproxy-exporter"];

/// A package to install.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Package {
    /// Its name, with the architecture where that is another than the machine's.
    pub name: &'static str,
    /// What it does for us, as the rest of a sentence that its name begins.
    pub why: &'static str,
}

impl Package {
    /// Whether dpkg knows it as installed.
    pub fn is_installed(&self) -> bool {
        let status =
            process::output("dpkg-query", &["--show", "--showformat=${db:Status-Status}", self.name]);
        status.as_deref() == Some("installed")
    }
}

/// Installs `packages`, after it has said what they are for.
pub fn install(packages: &[Package]) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    eprintln!("xtask: these packages are missing:");
    for Package { name, why } in packages {
        eprintln!("    {name} {why}");
    }
    ensure!(
        process::output("apt-get", &["--version"]).is_some(),
        "there is no apt-get here to install them with: install by hand what this system has in their place"
    );
    privilege::acquire("apt-get")?;
    add_architectures(packages)?;
    apt_get(&["update"])?;
    service::without_starting(&SERVICES, || {
        // Rather fail than remove what the user has chosen to install.
        let mut args = vec!["install", "--yes", "--no-remove", "--no-install-recommends"];
        args.extend(packages.iter().map(|package| package.name));
        apt_get(&args)
    })
}

/// Lets apt-get see the packages of another architecture that are asked for.
fn add_architectures(packages: &[Package]) -> Result<()> {
    let known = process::output("dpkg", &["--print-foreign-architectures"]).unwrap_or_default();
    for (_, architecture) in packages.iter().filter_map(|package| package.name.split_once(':')) {
        if !known.lines().any(|line| line == architecture) {
            process::run(privilege::root_command("dpkg").args(["--add-architecture", architecture]))?;
        }
    }
    Ok(())
}

/// A machine that has just started may be busy with its own upgrades, so it waits for the lock.
fn apt_get(args: &[&str]) -> Result<()> {
    process::run(
        privilege::root_command("env")
            .args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "-o", "DPkg::Lock::Timeout=300"])
            .args(args),
    )
}
