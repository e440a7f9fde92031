//! How much of the machine's processors is in use.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::{SysconfVar, sysconf};

/// The CPU that the clients' load runs on, and the servers'.
pub const CLIENT: &str = "0";
pub const SERVER: &str = "1";

/// Seconds in which some CPU of the machine was busy, since it was started: all but idle time, and time in
/// which it waited for a disk.
///
/// What was busy is not asked for: without `CONFIG_VIRT_CPU_ACCOUNTING_GEN` the kernel guesses it by who runs
/// when its tick comes, and load that timers pace runs always then or never. Idle time it measures.
pub fn busy() -> Result<f64> {
    let stat = fs::read_to_string("/proc/stat").context("read /proc/stat")?;
    let uptime = clock_gettime(ClockId::CLOCK_BOOTTIME).context("read the clock")?;
    let line = stat.lines().next().unwrap_or_default();
    let ticks: Vec<u64> = line.split_whitespace().skip(1).map_while(|word| word.parse().ok()).collect();
    // user, nice, system, idle, iowait
    let [_, _, _, idle, waiting, ..] = ticks[..] else { bail!("/proc/stat begins with {line:?}") };
    let cpus = stat.lines().skip(1).take_while(|line| line.starts_with("cpu")).count();
    let second = sysconf(SysconfVar::CLK_TCK)?.context("the kernel tells its ticks")?;
    Ok(Duration::from(uptime).as_secs_f64() * cpus as f64 - (idle + waiting) as f64 / second as f64)
}
