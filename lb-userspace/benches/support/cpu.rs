//! How much of the machine's processors is in use.

use std::fs;

use anyhow::{Context, Result};
use nix::unistd::{SysconfVar, sysconf};

/// The CPU that the clients' load runs on, and the servers'.
pub const CLIENT: &str = "0";
pub const SERVER: &str = "1";

/// Seconds in which some CPU of the machine was busy, since it was started: all but idle time, and time in
/// which it waited for a disk.
pub fn busy() -> Result<f64> {
    let stat = fs::read_to_string("/proc/stat").context("read /proc/stat")?;
    let line = stat.lines().next().unwrap_or_default();
    let ticks: Vec<u64> = line.split_whitespace().skip(1).map_while(|word| word.parse().ok()).collect();
    // user, nice, system, idle, iowait, irq, softirq, steal; guests count as users.
    let [user, nice, system, _, _, irq, softirq, steal, ..] = ticks[..] else {
        anyhow::bail!("/proc/stat begins with {line:?}")
    };
    let second = sysconf(SysconfVar::CLK_TCK)?.context("the kernel tells its ticks")?;
    Ok((user + nice + system + irq + softirq + steal) as f64 / second as f64)
}
