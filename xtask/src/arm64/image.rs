//! The guest's initial file system, which is all that it has: its programs, the tests, and what they start.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use lb_toolchain::{Build, Executable};

use super::root::Root;

const INIT: &str = include_str!("init");

/// The users that programs become; the packages' own scripts, which would make them, are not run.
const USERS: &str = "\
root:x:0:0::/root:/bin/bash
nobody:x:65534:65534::/nonexistent:/usr/sbin/nologin
www-data:x:33:33::/var/www:/usr/sbin/nologin
haproxy:x:101:101::/var/lib/haproxy:/usr/sbin/nologin
tcpdump:x:102:102::/nonexistent:/usr/sbin/nologin
";
const GROUPS: &str = "\
root:x:0:
tty:x:5:
adm:x:4:
nogroup:x:65534:
www-data:x:33:
haproxy:x:101:
tcpdump:x:102:
";

/// Packs the root, and over it the tests, into an archive that the kernel unpacks.
pub fn of_tests(image: &Path, root: &Root, build: &Build, list: &str, processor: &str) -> Result<()> {
    let overlay = image.with_extension("overlay");
    let _ = fs::remove_dir_all(&overlay);
    write(&overlay.join("init"), INIT, 0o755)?;
    write(&overlay.join("etc/passwd"), USERS, 0o644)?;
    write(&overlay.join("etc/group"), GROUPS, 0o644)?;
    for mount in ["proc", "sys", "dev"] {
        fs::create_dir_all(overlay.join(mount))?;
    }
    // The tests know the programs that they start by the paths of the build.
    for Executable { path, .. } in &build.executables {
        copy(path, &overlay.join(path.strip_prefix("/").unwrap_or(path)))?;
    }
    write(&overlay.join("tests/list"), list, 0o644)?;
    write(&overlay.join("tests/processor"), processor, 0o644)?;
    let mut archive = File::create(image)?;
    // The kernel takes several archives, one behind the other.
    pack(root.path(), ".", &mut archive)?;
    pack(&overlay, ".", &mut archive)
}

/// Writes a file, and the folders that it is in.
pub(super) fn write(path: &Path, text: &str, mode: u32) -> Result<()> {
    fs::create_dir_all(path.parent().context("a file in a folder")?)?;
    fs::write(path, text)?;
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(mode))?)
}

/// Copies a file to a place whose folders need not exist yet.
pub(super) fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to.parent().context("a file in a folder")?)?;
    fs::copy(from, to).with_context(|| format!("copy {}", from.display()))?;
    Ok(())
}

/// Appends what is in a folder by this name to an archive, its owners as root's.
pub(super) fn pack(folder: &Path, name: &str, archive: &mut File) -> Result<()> {
    let mut find =
        Command::new("find").args([name, "-print0"]).current_dir(folder).stdout(Stdio::piped()).spawn()?;
    let mut cpio = Command::new("cpio")
        .args(["--create", "--null", "--format=newc", "--owner=0:0", "--quiet"])
        .current_dir(folder)
        .stdin(find.stdout.take().context("a pipe")?)
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot run cpio")?;
    io::copy(&mut cpio.stdout.take().context("a pipe")?, archive)?;
    ensure!(find.wait()?.success(), "find cannot list {}", folder.display());
    ensure!(cpio.wait()?.success(), "cpio cannot pack {}", folder.display());
    Ok(())
}
