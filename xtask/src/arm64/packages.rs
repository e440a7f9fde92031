//! Debian's packages for arm64, fetched without the host's own apt and dpkg knowing of it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Result;

use crate::process;

/// apt-get, for another architecture and a system on which nothing is installed yet.
pub struct Apt {
    folder: PathBuf,
}

impl Apt {
    /// Keeps its lists and archives in a folder.
    pub fn new(folder: &Path) -> Result<Self> {
        // Archives of an older fetch would be unpacked beside their successors.
        let _ = fs::remove_dir_all(folder.join("cache"));
        for part in ["state/lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(folder.join(part))?;
        }
        fs::write(folder.join("status"), "")?;
        Ok(Self { folder: folder.to_owned() })
    }

    /// Fetches packages and all that they depend on, and returns the archives.
    pub fn fetch(&self, packages: &[&str]) -> Result<Vec<PathBuf>> {
        process::run(self.command().arg("update"))?;
        process::run(
            self.command()
                .args(["--yes", "--download-only", "--no-install-recommends", "install"])
                .args(packages),
        )?;
        let archives = fs::read_dir(self.folder.join("cache/archives"))?;
        let mut archives: Vec<_> = archives.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
        archives.retain(|path| path.extension().is_some_and(|extension| extension == "deb"));
        archives.sort();
        Ok(archives)
    }

    fn command(&self) -> Command {
        let mut apt = Command::new("apt-get");
        let place = |name: &str, path: &str| format!("{name}={}", self.folder.join(path).display());
        let settings = [
            place("Dir::State", "state"),
            place("Dir::State::status", "status"),
            place("Dir::Cache", "cache"),
            "APT::Architecture=arm64".to_owned(),
            "APT::Architectures=arm64".to_owned(),
            "APT::Sandbox::User=root".to_owned(),
        ];
        apt.args(settings.iter().flat_map(|setting| ["-o", setting]));
        apt
    }
}

/// The program that runs arm64's programs on this machine, from a package that is not installed: that would have the kernel
/// know of it.
pub fn emulator(folder: &Path) -> Result<PathBuf> {
    let folder = folder.join("emulator");
    // An archive of an older fetch would be unpacked beside its successor.
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder)?;
    let script = "apt-get download qemu-user-static && dpkg-deb --extract qemu-user-static_*.deb .";
    process::run(Command::new("sh").args(["-c", script]).current_dir(&folder))?;
    Ok(folder.join("usr/bin/qemu-aarch64-static"))
}
