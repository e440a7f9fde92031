//! Asks the host.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use nix::sys::statfs::{CGROUP2_SUPER_MAGIC, FsType, statfs};
use nix::time::{ClockId, clock_getres};
use nix::unistd::{SysconfVar, sysconf};

use super::host::{Clock, Host};
use crate::clock;
use crate::dataplane::need::Machine;
use crate::dataplane::pins::Pins;
use crate::local::cgroup;
use crate::process;

/// `BPF_FS_MAGIC` of `linux/magic.h`.
const BPF_FS: FsType = FsType(0xcafe_4a11);

const MEMORY: &str = "/proc/meminfo";
const FORWARD: &str = "/proc/sys/net/ipv4/ip_forward";
const OWN_CGROUPS: &str = "/proc/self/cgroup";

impl Host {
    /// What this host says now.
    pub fn read(pins: &Pins) -> Self {
        let cgroup2 = cgroup::mount_point();
        Self {
            no_bpf_file_system: no_bpf_file_system(pins),
            available_memory: fs::read_to_string(MEMORY).ok().as_deref().and_then(available),
            memory_left: cgroup2.as_deref().and_then(memory_left),
            max_files: process::max_files(),
            clock: Clock::read(),
            forwards: fs::read_to_string(FORWARD).ok().map(|text| text.trim() != "0"),
            cgroup2,
        }
    }
}

/// What sizes follow from.
pub(super) fn machine() -> Machine {
    let number = |variable| sysconf(variable).ok().flatten().and_then(|number| u64::try_from(number).ok());
    Machine {
        cpus: number(SysconfVar::_NPROCESSORS_CONF).unwrap_or(1),
        page: number(SysconfVar::PAGE_SIZE).unwrap_or(4096),
    }
}

/// Where the pins are to be, if that is not on a bpf file system.
pub(super) fn no_bpf_file_system(pins: &Pins) -> Option<PathBuf> {
    let parent = pins.directory().parent().unwrap_or(pins.directory());
    let is_bpf = statfs(parent).is_ok_and(|stat| stat.filesystem_type() == BPF_FS);
    (!is_bpf).then(|| parent.to_owned())
}

/// Whether a path is in a cgroup2 file system.
pub(super) fn is_cgroup2(path: &Path) -> bool {
    statfs(path).is_ok_and(|stat| stat.filesystem_type() == CGROUP2_SUPER_MAGIC)
}

impl Clock {
    fn read() -> Self {
        let coarse =
            clock_getres(ClockId::CLOCK_MONOTONIC_COARSE).map_or_else(|_| clock::jiffy().0, Into::into);
        Self {
            now: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
            is_synchronised: is_synchronised(),
            resolution: coarse,
        }
    }
}

/// Whether somebody keeps the clock right, as the kernel knows it (`adjtimex(2)`).
fn is_synchronised() -> Option<bool> {
    // SAFETY: all zeros is a request that changes nothing.
    let mut request: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel fills in the structure, which is its own.
    let state = unsafe { libc::adjtimex(&raw mut request) };
    (state >= 0).then_some(request.status & libc::STA_UNSYNC == 0)
}

/// The memory that programs can still get, by `/proc/meminfo` (proc(5)), in bytes.
fn available(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
}

/// What this process's control group, and those above it, leave it of memory.
fn memory_left(mount_point: &Path) -> Option<u64> {
    let groups = fs::read_to_string(OWN_CGROUPS).ok()?;
    let own = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let read = |group: &Path, name| fs::read_to_string(group.join(name)).ok();
    let number = |group: &Path, name| read(group, name)?.trim().parse::<u64>().ok();
    let group = mount_point.join(own);
    let groups = group.ancestors().take_while(|group| group.starts_with(mount_point));
    // "max" is no number, and no limit.
    groups
        .filter_map(|group| {
            let (limit, taken) = (number(group, "memory.max")?, number(group, "memory.current")?);
            let cached = read(group, "memory.stat").map_or(0, |text| cached(&text));
            Some(limit.saturating_sub(taken.saturating_sub(cached)))
        })
        .min()
}

/// What of a group's memory the kernel gives back when it is needed: what it keeps of files, by `memory.stat`,
/// in bytes.
fn cached(text: &str) -> u64 {
    let fields = text.lines().filter_map(|line| line.split_once(' '));
    let files = fields.filter(|(name, _)| ["active_file", "inactive_file"].contains(name));
    files.filter_map(|(_, bytes)| bytes.parse::<u64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn available_memory_is_read_as_the_kernel_writes_it() {
        let text = "MemTotal:        8000000 kB\nMemFree:          100 kB\nMemAvailable:     2048 kB\n";
        assert_eq!(available(text), Some(2 << 20));
        assert_eq!(available("MemTotal: 1 kB\n"), None);
    }

    #[test]
    fn not_every_directory_is_a_group() {
        assert!(!is_cgroup2(Path::new("/proc")));
        assert!(!is_cgroup2(Path::new("/proc/nothing")));
        assert!(cgroup::mount_point().is_none_or(|path| is_cgroup2(&path)));
    }

    #[test]
    fn a_group_may_be_limited_above() {
        let mount = tempfile::tempdir().expect("a directory");
        // The group of this process is not there, so only what is above it counts.
        fs::write(mount.path().join("memory.max"), "4096\n").expect("can be written");
        fs::write(mount.path().join("memory.current"), "1096\n").expect("can be written");
        assert_eq!(memory_left(mount.path()), Some(3000));
        let stat = "anon 96\nfile 1000\nactive_anon 96\ninactive_file 300\nactive_file 600\n";
        fs::write(mount.path().join("memory.stat"), stat).expect("can be written");
        assert_eq!(memory_left(mount.path()), Some(3900), "files that are only kept are no obstacle");
        fs::write(mount.path().join("memory.max"), "max\n").expect("can be written");
        assert_eq!(memory_left(mount.path()), None);
    }
}
