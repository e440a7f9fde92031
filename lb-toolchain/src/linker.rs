//! bpf-linker, which turns LLVM bitcode into an eBPF object.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{Error, Workspace};

/// A bpf-linker of the pinned version that runs here.
#[derive(Debug, Clone)]
pub struct Linker {
    path: PathBuf,
}

impl Linker {
    /// The one version that this workspace is known to work with.
    pub const VERSION: &str = "0.13.0";

    /// Looks in the workspace's own tools first, then in PATH.
    pub fn find(workspace: &Workspace) -> Result<Self, Error> {
        let tools = workspace.tools().join("bin");
        let path = env::var_os("PATH").unwrap_or_default();
        [tools.clone()]
            .into_iter()
            .chain(env::split_paths(&path))
            .map(|folder| folder.join("bpf-linker"))
            .find(|candidate| has_pinned_version(candidate))
            .map(|path| Self { path })
            .ok_or(Error::NoLinker { tools })
    }

    /// The program.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Asks the program itself: one whose LLVM library has gone does not even start.
fn has_pinned_version(program: &Path) -> bool {
    let pinned = format!("bpf-linker {}", Linker::VERSION);
    Command::new(program)
        .arg("--version")
        .output()
        .is_ok_and(|output| output.status.success() && output.stdout.trim_ascii() == pinned.as_bytes())
}
