//! What a balancer keeps in memory.

use std::fs;

use anyhow::{Context, Result};
use serde::Serialize;

/// In bytes, when its last traffic has ended.
#[derive(Clone, Copy, Default, Serialize)]
pub struct Memory {
    /// Of its processes, of what several share only their part (`Pss` of proc(5)).
    pub processes: u64,
    /// Of its eBPF maps, in the kernel; what a process has of them mapped counts there too.
    pub maps: u64,
}

/// The memory of a process and of those that it has started.
pub fn of_processes(first: u32) -> Result<u64> {
    let mut family = vec![first];
    let parents = parents()?;
    let mut at = 0;
    while let Some(&parent) = family.get(at) {
        family.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(child, _)| child));
        at += 1;
    }
    family.into_iter().map(of_process).sum()
}

/// All processes with their parents.
fn parents() -> Result<Vec<(u32, u32)>> {
    let mut all = Vec::new();
    for entry in fs::read_dir("/proc").context("read /proc")? {
        let Ok(number) = entry?.file_name().to_string_lossy().parse() else { continue };
        // One that ends meanwhile is nobody's.
        let Ok(stat) = fs::read_to_string(format!("/proc/{number}/stat")) else { continue };
        // The name, in brackets, may have blanks and brackets itself; then come state and parent.
        let parent = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1)?.parse().ok());
        all.push((number, parent.with_context(|| format!("/proc/{number}/stat is {stat:?}"))?));
    }
    Ok(all)
}

fn of_process(number: u32) -> Result<u64> {
    let path = format!("/proc/{number}/smaps_rollup");
    let text = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    let kilobytes = text.lines().find_map(|line| line.strip_prefix("Pss:")?.split_whitespace().next());
    let kilobytes: u64 =
        kilobytes.and_then(|word| word.parse().ok()).with_context(|| format!("no Pss in {path}"))?;
    Ok(kilobytes * 1024)
}
