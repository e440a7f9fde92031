//! Rust installations, and what each of them can compile for.

use std::{
    env,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::environment::forget_outer_cargo;

/// A Rust installation: a folder with `bin/cargo`, `bin/rustc` and `lib/rustlib` in it.
///
/// Its programs are called by their paths, so it does not matter which one PATH finds first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installation {
    prefix: PathBuf,
}

impl Installation {
    /// The distribution's, which a rustup in front of it in PATH hides.
    #[must_use]
    pub fn system() -> Self {
        Self { prefix: "/usr".into() }
    }

    /// The one whose cargo started this program.
    #[must_use]
    pub fn running() -> Option<Self> {
        let cargo = PathBuf::from(env::var_os("CARGO")?);
        Some(Self { prefix: cargo.parent()?.parent()?.to_owned() })
    }

    /// The newest of rustup's nightlies that has the standard library's source.
    pub(crate) fn nightly_with_source() -> Option<Self> {
        let rustup = env::var_os("RUSTUP_HOME")
            .map(PathBuf::from)
            .or_else(|| Some(Path::new(&env::var_os("HOME")?).join(".rustup")))?;
        Self::newest_nightly_with_source(&rustup.join("toolchains"))
    }

    /// `nightly-<host>` follows the channel, and sorts behind every `nightly-<date>-<host>`.
    fn newest_nightly_with_source(toolchains: &Path) -> Option<Self> {
        fs::read_dir(toolchains)
            .ok()?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| {
                path.file_name().and_then(OsStr::to_str).is_some_and(|name| name.starts_with("nightly-"))
            })
            .map(|prefix| Self { prefix })
            .filter(|installation| installation.rustlib().join("src/rust/library/core/Cargo.toml").exists())
            .max_by(|a, b| a.prefix.cmp(&b.prefix))
    }

    /// Whether the standard library for `target` is there, precompiled.
    #[must_use]
    pub fn has_target(&self, target: &str) -> bool {
        let library = self.rustlib().join(target).join("lib");
        let mut entries = fs::read_dir(library).into_iter().flatten().flatten();
        self.rustc().exists() && entries.any(|entry| is_core(&entry.path()))
    }

    /// This installation's cargo with this installation's rustc, free of what another cargo has
    /// put into the environment.
    #[must_use]
    pub fn cargo(&self) -> Command {
        let mut command = Command::new(self.prefix.join("bin/cargo"));
        forget_outer_cargo(&mut command);
        command.env("RUSTC", self.rustc());
        command
    }

    /// The compiler itself.
    #[must_use]
    pub fn rustc(&self) -> PathBuf {
        self.prefix.join("bin/rustc")
    }

    fn rustlib(&self) -> PathBuf {
        self.prefix.join("lib/rustlib")
    }
}

fn is_core(file: &Path) -> bool {
    let is_library = file.extension() == Some(OsStr::new("rlib"));
    is_library && file.file_stem().and_then(OsStr::to_str).is_some_and(|name| name.starts_with("libcore-"))
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    fn touch(path: &Path) -> io::Result<()> {
        fs::create_dir_all(path.parent().unwrap_or(path))?;
        fs::write(path, "")
    }

    #[test]
    fn a_target_needs_its_precompiled_core() -> io::Result<()> {
        let prefix = tempfile::tempdir()?;
        let installation = Installation { prefix: prefix.path().to_owned() };
        touch(&prefix.path().join("bin/rustc"))?;
        assert!(!installation.has_target("bpfel-unknown-none"));
        touch(&prefix.path().join("lib/rustlib/bpfel-unknown-none/lib/libcore-1.rlib"))?;
        assert!(installation.has_target("bpfel-unknown-none"));
        assert!(!installation.has_target("aarch64-unknown-linux-gnu"));
        Ok(())
    }

    #[test]
    fn the_channels_own_nightly_with_source_wins() -> io::Result<()> {
        let toolchains = tempfile::tempdir()?;
        let find = || Installation::newest_nightly_with_source(toolchains.path());
        let install = |name: &str| {
            touch(&toolchains.path().join(name).join("lib/rustlib/src/rust/library/core/Cargo.toml"))
        };
        fs::create_dir_all(toolchains.path().join("nightly-without-source"))?;
        install("stable-x86_64-unknown-linux-gnu")?;
        assert_eq!(find(), None);
        for name in ["nightly-2026-01-01-x86_64-unknown-linux-gnu", "nightly-x86_64-unknown-linux-gnu"] {
            install(name)?;
            assert_eq!(find(), Some(Installation { prefix: toolchains.path().join(name) }));
        }
        Ok(())
    }
}
