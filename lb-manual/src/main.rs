//! Writes manual pages and shell completions of `xlb` into a folder, as the program itself defines its command line.

use std::env;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::CommandFactory;
use clap_complete::Shell;
use xlb::cli::Cli;

/// Shells whose completions Debian's packages bring.
const SHELLS: [Shell; 3] = [Shell::Bash, Shell::Zsh, Shell::Fish];

fn main() -> Result<()> {
    let folder: PathBuf = env::args_os().nth(1).context("usage: lb-manual FOLDER")?.into();
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let mut command = Cli::command();
    for shell in SHELLS {
        clap_complete::generate_to(shell, &mut command, "xlb", &folder)?;
    }
    // One for each command: `xlb.1`, `xlb-run.1`, and so on.
    clap_mangen::generate_to(command, &folder).context("cannot write the pages")
}
