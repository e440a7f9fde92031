//! A cgroup of the lab's own, for programs that attach to one.
//!
//! No namespace keeps cgroups apart: a program on the machine's root cgroup would run for every
//! process of the machine. So the lab's hosts do not see the machine's cgroups at all, but only the
//! one that was made for them.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::{Error, Host, Result, wait};

/// Where the lab's hosts find it.
pub(crate) const CGROUP: &str = "/run/cgroup";

/// How the names of the lab's cgroups begin; the process that made it follows.
const PREFIX: &str = "xlb-lab-";

/// A cgroup of the lab's own.
///
/// A dropped one is removed, with the processes that are still in it. One whose maker was killed is
/// removed by whoever makes the next.
#[derive(Debug)]
pub struct Cgroup {
    directory: PathBuf,
    processes: Arc<File>,
}

impl Cgroup {
    /// Makes a cgroup, and shows it to the hosts of a lab. One for each lab.
    pub fn create(host: &Host) -> Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let doing = || "make a cgroup".to_owned();
        let parent = mount_point().ok_or_else(|| Error::Missing("a cgroup2 file system".to_owned()))?;
        remove_abandoned(&parent);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let directory = parent.join(format!("{PREFIX}{}-{number}", process::id()));
        fs::create_dir(&directory).map_err(Error::io(doing()))?;
        let processes = File::options().write(true).open(directory.join("cgroup.procs"));
        let cgroup = Self { processes: Arc::new(processes.map_err(Error::io(doing()))?), directory };
        let tree = open_tree(&cgroup.directory).map_err(Error::io(doing()))?;
        host.sandbox().inside(|| move_mount(&tree, CGROUP)).map_err(Error::io("show a cgroup to the lab"))?;
        Ok(cgroup)
    }

    /// Where the lab's hosts find it.
    #[must_use]
    pub fn path(&self) -> &'static Path {
        Path::new(CGROUP)
    }

    /// Makes a command run in the cgroup.
    pub fn adopt<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        let processes = Arc::clone(&self.processes);
        // "0" is whoever writes it.
        let join = move || (&*processes).write_all(b"0");
        // SAFETY: between fork and exec one system call runs; nothing allocates or takes a lock.
        unsafe { command.pre_exec(join) }
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _ = fs::write(self.directory.join("cgroup.kill"), "1");
        let removed = wait::until("an empty cgroup", || fs::remove_dir(&self.directory).ok());
        if let Err(error) = removed {
            // A drop must not panic, and the next lab removes it.
            eprintln!("{} stays behind: {error}", self.directory.display());
        }
    }
}

/// Where cgroup2 is mounted on the machine.
fn mount_point() -> Option<PathBuf> {
    mount_points("/proc/self/mountinfo").ok()?.into_iter().next()
}

/// The mount points of cgroup2 file systems in a `mountinfo` (proc(5)).
pub(crate) fn mount_points(mountinfo: &str) -> io::Result<Vec<PathBuf>> {
    let mount = |line: &str| {
        let (mount, file_system) = line.split_once(" - ")?;
        let path = mount.split(' ').nth(4)?;
        file_system.starts_with("cgroup2 ").then(|| PathBuf::from(path))
    };
    Ok(fs::read_to_string(mountinfo)?.lines().filter_map(mount).collect())
}

/// Removes the cgroups of labs whose process is gone.
fn remove_abandoned(parent: &Path) {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    for entry in entries {
        let name = entry.file_name();
        let maker = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.split('-').next());
        if maker.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            // Fails while a process of it still dies, and then the next one removes it.
            let _ = fs::remove_dir(entry.path());
        }
    }
}

/// A mount of a directory that is not anywhere yet, so that it can be put into another namespace.
fn open_tree(directory: &Path) -> io::Result<OwnedFd> {
    let directory = File::open(directory)?;
    let flags = libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC | libc::AT_EMPTY_PATH as libc::c_uint;
    // SAFETY: the path is a C string, and the descriptor is open.
    let tree = unsafe { libc::syscall(libc::SYS_open_tree, directory.as_raw_fd(), c"".as_ptr(), flags) };
    if tree < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just opened it for us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(tree as i32) })
}

/// Puts such a mount to its place, in the mount namespace of the calling thread.
fn move_mount(tree: &OwnedFd, place: &str) -> io::Result<()> {
    let place = std::ffi::CString::new(place)?;
    // SAFETY: both paths are C strings, and the descriptor is open.
    let moved = unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            tree.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_FDCWD,
            place.as_ptr(),
            libc::MOVE_MOUNT_F_EMPTY_PATH,
        )
    };
    if moved < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
