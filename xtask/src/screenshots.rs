//! `screenshots`: the pictures of the README, of what runs in the lab.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use lb_toolchain::Workspace;

use crate::{
    cargo, privilege, process,
    setup::{self, Need},
};

/// Where the README has its pictures.
const PICTURES: &str = "docs/images";

pub fn run(workspace: &Workspace) -> Result<()> {
    setup::ensure(workspace, &[Need::Ebpf, Need::Lab, Need::Pictures])?;
    privilege::acquire("making network namespaces")?;
    let build = cargo::build_release(&mut cargo::command(workspace), &["lb-userspace", "lb-lab"])?;
    // What root makes is root's, and is copied, so that the tree's files are the user's.
    let made = workspace.root().join("target/screenshots");
    fs::create_dir_all(&made)?;
    let mut lab = privilege::root_command(cargo::program(&build, "xlb-lab")?);
    process::run(lab.arg("screenshots").arg("--xlb").arg(cargo::program(&build, "xlb")?).arg(&made))?;
    take_over(&made, &workspace.root().join(PICTURES))
}

fn take_over(made: &Path, pictures: &Path) -> Result<()> {
    fs::create_dir_all(pictures)?;
    for entry in fs::read_dir(made)? {
        let entry = entry?;
        let path = pictures.join(entry.file_name());
        let picture = fs::read(entry.path())?;
        fs::write(&path, &picture).with_context(|| format!("cannot write {}", path.display()))?;
        println!("{} ({} bytes)", path.display(), picture.len());
    }
    fs::remove_dir_all(made).context("cannot clear up")
}
