//! The guest's programs: Debian packages, unpacked into a folder and not configured.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use super::packages::Apt;
use crate::process;

/// What the tests start, and what the guest's first program needs.
const PROGRAMS: [&str; 23] = [
    "bash",
    "coreutils",
    "curl",
    "ethtool",
    "findutils",
    "grep",
    "haproxy",
    "hatop",
    "iproute2",
    "iputils-ping",
    "kmod",
    "libc-bin",
    "mount",
    "nftables",
    "nginx-light",
    "openssl",
    "procps",
    "prometheus-haproxy-exporter",
    "rsyslog",
    "sed",
    "socat",
    "tcpdump",
    "tmux",
];

/// Folders of a package that no program reads here.
const USELESS: [&str; 6] = [
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
    "usr/share/info",
    "usr/share/zoneinfo",
    "var/cache",
];

/// The kernel's modules that the tests may load, with their folders; what they depend on is among them.
const MODULES: [&str; 5] = ["net", "lib", "crypto", "arch", "drivers/net/veth.ko"];

/// A folder as a system's root.
pub struct Root {
    path: PathBuf,
    boot: PathBuf,
}

impl Root {
    /// Makes one with a kernel, a package's name or file, unless it is there.
    pub fn unpack(folder: &Path, kernel: &str) -> Result<Self> {
        let folder = folder.join(Path::new(kernel).file_name().context("no name of a kernel's package")?);
        let root = Self { path: folder.join("tree"), boot: folder.join("boot") };
        let file = fs::metadata(kernel).and_then(|file| file.modified()).ok();
        let (done, wanted) = (folder.join("done"), format!("{PROGRAMS:?} {USELESS:?} {MODULES:?} {file:?}"));
        if fs::read_to_string(&done).ok().as_ref() != Some(&wanted) {
            // What fails halfway is no root, for nobody.
            let _ = fs::remove_file(&done);
            root.fill(&Apt::new(&folder.join("apt"))?, kernel)?;
            fs::write(done, wanted)?;
        }
        Ok(root)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The kernel's image.
    pub fn kernel(&self) -> Result<PathBuf> {
        Ok(self.boot.join(format!("vmlinuz-{}", self.release()?)))
    }

    /// The kernel's release, such as `6.1.0-37-arm64`.
    fn release(&self) -> Result<String> {
        let mut releases = fs::read_dir(self.path.join("usr/lib/modules"))?;
        let release = releases.next().context("the kernel's package has no modules")??;
        Ok(release.file_name().to_string_lossy().into_owned())
    }

    fn fill(&self, apt: &Apt, kernel: &str) -> Result<()> {
        let _ = fs::remove_dir_all(&self.path);
        // Debian merged these folders; packages still name both.
        for merged in ["bin", "sbin", "lib"] {
            fs::create_dir_all(self.path.join("usr").join(merged))?;
            std::os::unix::fs::symlink(format!("usr/{merged}"), self.path.join(merged))?;
        }
        let file = Path::new(kernel).exists().then(|| PathBuf::from(kernel));
        let package = file.is_none().then_some(kernel);
        let packages: Vec<_> = PROGRAMS.into_iter().chain(package).collect();
        for archive in apt.fetch(&packages)?.into_iter().chain(file) {
            unpack(&archive, &self.path)?;
        }
        for useless in USELESS {
            let _ = fs::remove_dir_all(self.path.join(useless));
        }
        let _ = fs::remove_dir_all(&self.boot);
        fs::rename(self.path.join("boot"), &self.boot)?;
        self.keep_modules()
    }

    /// Takes out the modules of hardware, nine tenths of all, and tells modprobe what depends on what.
    fn keep_modules(&self) -> Result<()> {
        let release = self.release()?;
        let modules = self.path.join("usr/lib/modules").join(&release);
        let all = modules.join("all");
        fs::rename(modules.join("kernel"), &all)?;
        for kept in MODULES {
            // Newer kernels' are compressed.
            let places = [kept.to_owned(), format!("{kept}.xz")];
            let found = places.iter().find(|place| all.join(place).exists());
            let place = found.with_context(|| format!("the kernel's package has no {kept}"))?;
            let to = modules.join("kernel").join(place);
            fs::create_dir_all(to.parent().context("a folder in a folder")?)?;
            fs::rename(all.join(place), to)?;
        }
        fs::remove_dir_all(all)?;
        process::run(Command::new("depmod").arg("--basedir").arg(&self.path).arg(release))
    }
}

/// Unpacks one archive; a folder that a package has where another has a link to one is that one.
fn unpack(archive: &Path, root: &Path) -> Result<()> {
    let command = r#"dpkg-deb --fsys-tarfile "$0" | tar --extract --keep-directory-symlink --directory "$1""#;
    process::run(Command::new("bash").args(["-o", "pipefail", "-c", command]).arg(archive).arg(root))
}
