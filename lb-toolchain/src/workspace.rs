//! Where things are in the source tree.

use std::{env, path::Path, path::PathBuf};

use crate::Error;

/// The source tree that the running cargo works on.
#[derive(Debug, Clone)]
pub struct Workspace {
    root: PathBuf,
}

impl Workspace {
    /// The workspace of the package for which cargo started this program.
    ///
    /// The variable is read when the program runs, not when it is compiled: a tree that was
    /// moved, or copied together with its build folder, is still right about itself.
    pub fn current() -> Result<Self, Error> {
        let package = env::var_os("CARGO_MANIFEST_DIR").ok_or(Error::NoWorkspace)?;
        let root = Path::new(&package).parent().ok_or(Error::NoWorkspace)?;
        Ok(Self { root: root.to_owned() })
    }

    /// The folder of the workspace's `Cargo.toml`.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of tools that belong to this workspace alone; `cargo install --root` fills it.
    #[must_use]
    pub fn tools(&self) -> PathBuf {
        self.root.join(".tools")
    }

    /// Everything in the tree that an eBPF object depends on.
    #[must_use]
    pub fn ebpf_sources(&self) -> Vec<PathBuf> {
        ["lb-ebpf", "lb-common", "Cargo.lock"].iter().map(|path| self.root.join(path)).collect()
    }
}
