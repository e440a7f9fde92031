//! Processes by number and start time, so that a number used again is not mistaken for its former
//! owner.

use std::fs;

/// This process and when it started, in clock ticks since boot.
#[must_use]
pub fn own() -> (u32, u64) {
    let pid = std::process::id();
    (pid, started(pid).unwrap_or_default())
}

/// Whether the process with this number is still the one that started then.
#[must_use]
pub fn is_running(pid: u32, started_then: u64) -> bool {
    started(pid) == Some(started_then)
}

/// Field 22 of `/proc/PID/stat` (proc(5)). The second field, in parentheses, may hold anything.
fn started(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_running_and_no_other_with_its_number() {
        let (pid, started) = own();
        assert!(is_running(pid, started));
        assert!(!is_running(pid, started + 1));
        assert!(!is_running(u32::MAX, 0));
    }
}
