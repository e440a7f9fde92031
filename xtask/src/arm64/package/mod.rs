//! `test --arm64 --package`: the Debian package, in a Debian that systemd runs.
//!
//! A fresh system is installed once, without a kernel; the kernel and its modules are those of the other tests. The guest
//! installs, upgrades and removes the package, and its own namespaces are the client and the servers; what it does is in
//! the script `test`.

use std::{
    env::consts,
    fs::{self, File},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use anyhow::Result;
use lb_toolchain::Workspace;

use super::{Args, guest::Guest, image, packages, report::Report, root::Root};
use crate::{
    deb, privilege, process,
    setup::{self, Need},
    test::Tally,
};

const INIT: &str = include_str!("init");
const TEST: &str = include_str!("test");
const SERVICE: &str = include_str!("xlb-guest.service");
const DEBIAN: &str = include_str!("debian");

/// systemd's progress would be in between what the tests print.
const QUIET: &str = "[Manager]\nShowStatus=no\n";

/// The version that the package is upgraded to: the same program.
const UPGRADE: &str = concat!(env!("CARGO_PKG_VERSION"), "+1");

/// Builds the package twice, boots, passes on what the guest prints, and fails if a test did.
pub fn test(workspace: &Workspace, args: &Args) -> Result<Tally> {
    setup::ensure(workspace, &[Need::Guest, Need::Debian])?;
    let debs = [
        ("first.deb", deb::pack(workspace, true, None)?),
        ("upgrade.deb", deb::pack(workspace, true, Some(UPGRADE))?),
    ];
    let folder = workspace.root().join("target/arm64");
    let root = Root::unpack(&folder.join("root"), &args.kernel)?;
    let image = pack(&folder.join("package.cpio"), &root, &debian(&folder)?, &debs)?;
    Report::follow(Guest::boot(&root.kernel()?, &image, &args.processor)?, &[&[]])
}

/// An archive of a fresh Debian, made anew when the script that makes it is another.
fn debian(folder: &Path) -> Result<PathBuf> {
    let (archive, script) = (folder.join("debian.cpio"), folder.join("debian"));
    if archive.exists() && fs::read_to_string(&script).is_ok_and(|text| text == DEBIAN) {
        return Ok(archive);
    }
    eprintln!("xtask: installing a Debian for arm64, for the guest (some minutes)");
    privilege::acquire("installing a Debian")?;
    let emulator = (consts::ARCH != "aarch64").then(|| packages::emulator(folder)).transpose()?;
    let made = folder.join("debian.new");
    fs::write(&made, DEBIAN)?;
    process::run(privilege::root_command("bash").arg(&made).arg(&archive).args(emulator))?;
    fs::rename(made, script)?;
    Ok(archive)
}

/// Packs the system, and over it the kernel's modules, the packages and the test.
fn pack(path: &Path, root: &Root, debian: &Path, debs: &[(&str, PathBuf)]) -> Result<PathBuf> {
    let overlay = path.with_extension("overlay");
    let _ = fs::remove_dir_all(&overlay);
    let units = overlay.join("etc/systemd/system");
    image::write(&overlay.join("init"), INIT, 0o755)?;
    image::write(&overlay.join("payload/test"), TEST, 0o755)?;
    image::write(&units.join("xlb-guest.service"), SERVICE, 0o644)?;
    image::write(&overlay.join("etc/systemd/system.conf.d/quiet.conf"), QUIET, 0o644)?;
    fs::create_dir_all(units.join("multi-user.target.wants"))?;
    symlink("../xlb-guest.service", units.join("multi-user.target.wants/xlb-guest.service"))?;
    // It would wait for a device that nobody announces: there is no udev.
    symlink("/dev/null", units.join("serial-getty@.service"))?;
    for (name, deb) in debs {
        image::copy(deb, &overlay.join("payload").join(name))?;
    }
    fs::copy(debian, path)?;
    let mut archive = File::options().append(true).open(path)?;
    image::pack(root.path(), "usr/lib/modules", &mut archive)?;
    image::pack(&overlay, ".", &mut archive)?;
    Ok(path.to_owned())
}
