//! Whether the host has what xlb takes for granted.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Finding;
use super::Severity::Warning;
use crate::local;
use crate::stats::human;

/// How many files an agent may have open at its busiest: clients of its socket and its pages, checks, maps.
const FILES: u64 = 1024;

/// A coarse clock that is coarser than this makes timeouts so.
const COARSE: Duration = Duration::from_millis(10);

/// No clock that was ever set is before this: 2025-01-01, in seconds since 1970.
const LONG_AGO: u64 = 1_735_689_600;

/// What the host says of itself.
#[derive(Clone, Debug)]
pub(super) struct Host {
    /// Where the pins are to be, if that is no bpf file system.
    pub no_bpf_file_system: Option<PathBuf>,
    /// Bytes of memory that programs can still get.
    pub available_memory: Option<u64>,
    /// Bytes that the group of this process may still take.
    pub memory_left: Option<u64>,
    /// How many files a process may have open.
    pub max_files: u64,
    pub clock: Clock,
    /// `net.ipv4.ip_forward`.
    pub forwards: Option<bool>,
    /// Where cgroup2 is mounted.
    pub cgroup2: Option<PathBuf>,
}

/// What the clocks say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    /// Seconds since 1970.
    pub now: u64,
    /// Whether somebody keeps it right; none where the kernel does not say.
    pub is_synchronised: Option<bool>,
    /// How fine the clock is that connections expire by.
    pub resolution: Duration,
}

/// Whether there is a file system for the pins.
pub(super) fn bpf_file_system(missing: Option<&PathBuf>) -> Finding {
    const NAME: &str = "bpffs";
    match missing {
        None => Finding::ok(NAME, "a bpf file system is mounted for the pins"),
        Some(path) => {
            let path = path.display();
            Finding::fatal(
                NAME,
                format!("{path} is not on a bpf file system"),
                format!("mount one: `mount -t bpf bpf {path}`"),
            )
        }
    }
}

/// Whether the maps fit into memory, unless they are there already.
pub(super) fn memory(host: &Host, needed: u64, is_running: bool) -> Finding {
    const NAME: &str = "memory";
    const REMEDY: &str =
        "lower `max_servers`, or narrow `nat_ports`: each server has a slot of 128 bytes for each NAT port";
    let maps = human::bytes(needed);
    if is_running {
        return Finding::ok(NAME, format!("the maps, {maps}, are there already"));
    }
    let limits =
        [(host.available_memory, "are available"), (host.memory_left, "are left to this control group")];
    let limits = limits.into_iter().filter_map(|(bytes, words)| Some((bytes?, words)));
    let Some((bytes, words)) = limits.min_by_key(|(bytes, _)| *bytes) else {
        return Finding::note(
            NAME,
            format!("the maps take {maps}; the host does not tell how much is available"),
        );
    };
    let reason = format!("the maps take {maps}, and {} {words}", human::bytes(bytes));
    if needed > bytes {
        Finding::fatal(NAME, reason, REMEDY)
    } else if needed > bytes / 2 {
        Finding::warning(NAME, reason, REMEDY)
    } else {
        Finding::ok(NAME, reason)
    }
}

/// Whether an agent may open as many files as it can come to need.
pub(super) fn files(max_files: u64) -> Finding {
    const NAME: &str = "open-files";
    if max_files >= FILES {
        return Finding::ok(NAME, format!("a process may have {max_files} open"));
    }
    Finding::warning(
        NAME,
        format!(
            "a process may have {max_files} open, and an agent with many clients of its own needs up to {FILES}"
        ),
        format!("`ulimit -n {FILES}`, or `LimitNOFILE={FILES}` in the unit"),
    )
}

/// Whether the clocks can be relied on.
pub(super) fn clock(clock: Clock) -> Finding {
    const NAME: &str = "clock";
    const REMEDY: &str = "`timedatectl set-ntp true`";
    if clock.now < LONG_AGO {
        return Finding::warning(
            NAME,
            "the clock was never set: certificates seem not to be valid yet, and log lines have wrong times",
            REMEDY,
        );
    }
    if clock.resolution > COARSE {
        let milliseconds = clock.resolution.as_millis();
        return Finding::note(NAME, format!("the kernel counts in {milliseconds} ms, and so do timeouts"));
    }
    match clock.is_synchronised {
        Some(false) => {
            Finding::note(NAME, "nobody keeps the clock right (NTP): log lines may have wrong times")
                .with_remedy(REMEDY)
        }
        _ => Finding::ok(NAME, format!("set, and as fine as {} ms", clock.resolution.as_millis())),
    }
}

/// Whether the host routes, which nothing here needs.
pub(super) fn forwarding(forwards: Option<bool>) -> Finding {
    let value = forwards.map_or("not readable", |forwards| if forwards { "on" } else { "off" });
    Finding::ok("ip-forward", format!("net.ipv4.ip_forward is {value}, which xlb does not need"))
}

/// A cgroup that the configuration names.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cgroup<'a> {
    pub path: &'a Path,
    /// Whether that is in a cgroup2 file system.
    pub is_cgroup2: bool,
}

/// Whether clients on this host can be served; without a configuration, whether they could.
pub(super) fn cgroup(cgroup2: Option<&Path>, is_wanted: bool, configured: Option<Cgroup<'_>>) -> Finding {
    const NAME: &str = "cgroup";
    if !is_wanted {
        return Finding::ok(NAME, "clients on this host are not served, as `host_clients = false` says");
    }
    match (configured, cgroup2) {
        (Some(Cgroup { path, is_cgroup2: false }), _) => Finding::warning(
            NAME,
            format!(
                "{} is no directory of a cgroup2 file system: no client on this host is served",
                path.display()
            ),
            "set `cgroup` to one (`findmnt -t cgroup2` shows where they are), or `host_clients = false`",
        ),
        (Some(Cgroup { path, .. }), _) | (None, Some(path)) => {
            Finding::ok(NAME, format!("clients on this host are those in {}", path.display()))
        }
        (None, None) => Finding::of_error(NAME, Warning, &local::Error::NoCgroup),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Severity::{self, Fatal, Note, Ok};
    use super::*;

    fn host() -> Host {
        Host {
            no_bpf_file_system: None,
            available_memory: Some(1 << 30),
            memory_left: None,
            max_files: 1024,
            clock: CLOCK,
            forwards: Some(false),
            cgroup2: None,
        }
    }

    const CLOCK: Clock =
        Clock { now: LONG_AGO + 1, is_synchronised: Some(true), resolution: Duration::from_millis(4) };

    #[test]
    fn a_file_system_for_the_pins_can_be_mounted() {
        assert_eq!(bpf_file_system(None).result, Ok);
        let finding = bpf_file_system(Some(&PathBuf::from("/sys/fs/bpf")));
        assert_eq!(finding.result, Fatal);
        assert_eq!(
            finding.to_string(),
            "/sys/fs/bpf is not on a bpf file system; mount one: `mount -t bpf bpf /sys/fs/bpf`"
        );
    }

    #[test]
    fn maps_have_to_fit_into_the_least_of_all_limits() {
        let result = |needed: u64, host: &Host| memory(host, needed, false).result;
        assert_eq!(result(1 << 20, &host()), Ok);
        assert_eq!(result(600 << 20, &host()), Warning);
        assert_eq!(result(2 << 30, &host()), Fatal);
        let limited = Host { memory_left: Some(10 << 20), ..host() };
        assert_eq!(result(20 << 20, &limited), Fatal);
        assert_eq!(memory(&limited, 20 << 20, true).result, Ok);
        assert_eq!(result(1, &Host { available_memory: None, ..host() }), Note);
        assert!(memory(&limited, 20 << 20, false).reason.contains("10.0 MiB are left to this control group"));
    }

    #[test]
    fn few_files_are_a_warning() {
        assert_eq!(files(1024).result, Ok);
        assert_eq!(files(256).result, Warning);
    }

    #[test]
    fn a_clock_may_be_unset_coarse_or_nobodys() {
        let result = |now, is_synchronised, resolution| -> Severity {
            clock(Clock { now, is_synchronised, resolution: Duration::from_millis(resolution) }).result
        };
        assert_eq!(result(LONG_AGO, Some(true), 4), Ok);
        assert_eq!(result(LONG_AGO, None, 4), Ok);
        assert_eq!(result(0, Some(true), 4), Warning);
        assert_eq!(result(LONG_AGO, Some(true), 20), Note);
        assert_eq!(result(LONG_AGO, Some(false), 4), Note);
    }

    #[test]
    fn clients_on_this_host_need_a_cgroup() {
        let somewhere = Path::new("/sys/fs/cgroup");
        let named = |is_cgroup2| Some(Cgroup { path: somewhere, is_cgroup2 });
        assert_eq!(cgroup(None, false, None).result, Ok);
        assert_eq!(cgroup(Some(somewhere), true, None).result, Ok);
        assert_eq!(cgroup(None, true, named(true)).result, Ok);
        assert_eq!(cgroup(Some(somewhere), true, named(false)).result, Warning);
        assert_eq!(cgroup(None, false, named(false)).result, Ok);
        let finding = cgroup(None, true, None);
        assert_eq!(finding.result, Warning);
        assert!(finding.remedy.is_some_and(|remedy| remedy.contains("mount -t cgroup2")));
        assert_eq!(forwarding(None).result, Ok);
    }
}
