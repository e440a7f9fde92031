//! Processes by number and start time, so that a number used again is not mistaken for its former
//! owner.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use nix::sys::resource::{Resource, getrlimit};
use tokio::io::unix::AsyncFd;

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

/// How many files this process may have open.
#[must_use]
pub fn max_files() -> u64 {
    getrlimit(Resource::RLIMIT_NOFILE).map_or(0, |(soft, _)| soft)
}

/// A running process, which stays the same whatever happens to its number.
#[derive(Debug)]
pub struct Handle {
    descriptor: OwnedFd,
}

impl Handle {
    /// The process with this number, if it is still the one that started then.
    pub fn open(pid: u32, started_then: u64) -> io::Result<Option<Self>> {
        if !is_running(pid, started_then) {
            return Ok(None);
        }
        // SAFETY: the call takes two numbers and no pointers.
        let descriptor = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
        if descriptor < 0 {
            let error = io::Error::last_os_error();
            return if error.raw_os_error() == Some(libc::ESRCH) { Ok(None) } else { Err(error) };
        }
        // SAFETY: the kernel has just given us this descriptor, and nobody else has it.
        let descriptor = unsafe { OwnedFd::from_raw_fd(descriptor as i32) };
        // Looked at again: from here on the number cannot become another's unnoticed.
        Ok(is_running(pid, started_then).then_some(Self { descriptor }))
    }

    /// Asks it to end (SIGTERM).
    pub fn terminate(&self) -> io::Result<()> {
        let (descriptor, no_info) = (self.descriptor.as_raw_fd(), std::ptr::null::<libc::siginfo_t>());
        // SAFETY: the descriptor is open; without an info the kernel makes one as for kill(2).
        let result =
            unsafe { libc::syscall(libc::SYS_pidfd_send_signal, descriptor, libc::SIGTERM, no_info, 0) };
        match io::Error::last_os_error() {
            _ if result == 0 => Ok(()),
            error if error.raw_os_error() == Some(libc::ESRCH) => Ok(()),
            error => Err(error),
        }
    }

    /// Waits until it has ended.
    pub async fn ended(self) -> io::Result<()> {
        // SAFETY: the descriptor is ours alone, and open as long as it is registered.
        let descriptor = unsafe { AsyncFd::register(self.descriptor) }?;
        descriptor.readable().await.map(drop)
    }
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

    #[tokio::test]
    async fn a_process_is_ended_and_waited_for() {
        let mut child = std::process::Command::new("sleep").arg("3600").spawn().expect("sleep starts");
        let started = started(child.id()).expect("it runs");
        assert!(Handle::open(child.id(), started + 1).expect("can be looked at").is_none());
        let handle = Handle::open(child.id(), started).expect("can be opened").expect("it runs");
        handle.terminate().expect("can be asked");
        handle.ended().await.expect("can be waited for");
        child.wait().expect("it has ended");
        assert!(Handle::open(child.id(), started).expect("can be looked at").is_none());
    }

    #[test]
    fn this_process_is_running_and_no_other_with_its_number() {
        let (pid, started) = own();
        assert!(is_running(pid, started));
        assert!(!is_running(pid, started + 1));
        assert!(!is_running(u32::MAX, 0));
    }
}
