//! A mount namespace of the lab's own, with private files, names and BPF pins.
//!
//! It is held open by one file descriptor. No process or thread of the caller ever lives in it for
//! longer than a piece of work, so when the descriptor is closed, by dropping or by dying, the
//! kernel takes down the namespace and every mount in it.

use std::fs::{self, File};
use std::io;
use std::panic;
use std::path::{Path, PathBuf};
use std::thread;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};

use crate::cgroup::{self, CGROUP};
use crate::{Error, Result};

/// Where the lab's tmpfs hides the machine's own `/run`.
const RUN: &str = "/run";
/// Network namespaces by name, where `ip netns` and `ip link … netns NAME` look for them.
const NAMESPACES: &str = "/run/netns";
/// The lab's BPF file system.
const BPF: &str = "/run/bpf";
/// Configurations, and what else the lab's programs read and write.
const FILES: &str = "/run/lab";

/// A mount namespace of the lab's own.
///
/// Paths below `/run` in it are invisible to everyone else, and the machine's cgroups are invisible
/// in it.
#[derive(Debug)]
pub struct Sandbox {
    mounts: File,
}

impl Sandbox {
    /// Makes a mount namespace with a tmpfs and a BPF file system of its own.
    pub fn create() -> Result<Self> {
        if !nix::unistd::geteuid().is_root() {
            return Err(Error::NotRoot);
        }
        on_thread(|| {
            unshare(CloneFlags::CLONE_NEWNS).map_err(Error::io("make a mount namespace"))?;
            mount_all().map_err(Error::io("mount the lab's file systems"))?;
            let mounts =
                File::open("/proc/thread-self/ns/mnt").map_err(Error::io("open the mount namespace"))?;
            Ok(Self { mounts })
        })
    }

    /// Where maps and programs can be pinned, inside the sandbox.
    #[must_use]
    pub fn bpf(&self) -> &'static Path {
        Path::new(BPF)
    }

    /// The path of a file of this name, inside the sandbox.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        Path::new(FILES).join(name)
    }

    /// Writes a file of this name inside the sandbox, and tells its path there.
    pub fn write(&self, name: &str, content: &str) -> Result<PathBuf> {
        let path = self.file(name);
        self.inside(|| fs::write(&path, content)).map_err(Error::io(format!("write {}", path.display())))?;
        Ok(path)
    }

    /// Does a piece of work on a thread of its own inside the sandbox, in the caller's network.
    ///
    /// # Panics
    ///
    /// When the work does.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        on_thread(|| {
            self.enter().expect("root can enter a namespace that it holds");
            work()
        })
    }

    /// Moves the calling thread into the sandbox. Async-signal-safe.
    pub(crate) fn enter(&self) -> io::Result<()> {
        // A thread that shares its root and working directory with others may not change mounts.
        unshare(CloneFlags::CLONE_FS)?;
        setns(&self.mounts, CloneFlags::CLONE_NEWNS)?;
        Ok(())
    }

    /// Makes a network namespace, known inside the sandbox by its name.
    pub(crate) fn network(&self, name: &str) -> Result<File> {
        let path = Path::new(NAMESPACES).join(name);
        let create = || -> io::Result<File> {
            unshare(CloneFlags::CLONE_NEWNET)?;
            File::create_new(&path)?;
            mount(Some("/proc/thread-self/ns/net"), &path, None::<&str>, MsFlags::MS_BIND, None::<&str>)?;
            File::open(&path)
        };
        self.inside(create).map_err(Error::io(format!("make the network namespace {name}")))
    }
}

/// Does a piece of work on a thread of its own, whose namespaces it may change; passes panics on.
pub(crate) fn on_thread<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| scope.spawn(work).join()).unwrap_or_else(|panic| panic::resume_unwind(panic))
}

fn mount_all() -> io::Result<()> {
    let nothing = None::<&str>;
    mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_PRIVATE, nothing)?;
    mount(Some("lab"), RUN, Some("tmpfs"), MsFlags::empty(), Some("mode=0755"))?;
    for directory in [NAMESPACES, BPF, FILES, CGROUP] {
        fs::create_dir(directory)?;
    }
    mount(Some("lab"), BPF, Some("bpf"), MsFlags::empty(), nothing)?;
    // What the lab runs could attach programs to the machine's cgroups if it found them.
    for mount_point in cgroup::mount_points("/proc/thread-self/mountinfo")? {
        umount2(&mount_point, MntFlags::MNT_DETACH)?;
    }
    Ok(())
}
