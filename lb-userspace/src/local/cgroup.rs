//! Where the host's cgroups are.

use std::fs;
use std::path::{Path, PathBuf};

/// Where cgroup2 is mounted; none if it is not.
///
/// Alone at `/sys/fs/cgroup` on most hosts, at `/sys/fs/cgroup/unified` beside version 1.
#[must_use]
pub fn mount_point() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/thread-self/mountinfo").ok()?;
    cgroup2(&mounts).find(|path| path.is_dir())
}

/// The mount points of cgroup2 file systems in a `mountinfo` (proc(5)).
fn cgroup2(mounts: &str) -> impl Iterator<Item = PathBuf> {
    mounts.lines().filter_map(|line| {
        let (mount, file_system) = line.split_once(" - ")?;
        let is_cgroup2 = file_system.split(' ').next() == Some("cgroup2");
        is_cgroup2.then_some(unescaped(mount.split(' ').nth(4)?))
    })
}

/// A path in which blanks, line ends and backslashes are octal.
fn unescaped(path: &str) -> PathBuf {
    let escapes = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")];
    Path::new(&escapes.iter().fold(path.to_owned(), |path, (code, text)| path.replace(code, text))).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mount_points_are_those_of_version_2() {
        let mounts = "\
            31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n\
            34 31 0:31 / /sys/fs/cgroup/cpuset rw,relatime shared:1 - cgroup cgroup rw,cpuset\n\
            41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:9 master:2 - cgroup2 cgroup2 rw\n\
            42 31 0:38 /lab /a\\040b rw - cgroup2 none rw\n";
        let found: Vec<_> = cgroup2(mounts).collect();
        assert_eq!(found, [Path::new("/sys/fs/cgroup/unified"), Path::new("/a b")]);
        assert_eq!(cgroup2("").count(), 0);
    }
}
