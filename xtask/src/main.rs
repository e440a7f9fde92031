//! `cargo xtask`: installs what is needed, builds, runs, tests and measures `xlb`.

mod arm64;
mod bench;
mod build;
mod cargo;
mod deb;
mod lint;
mod privilege;
mod process;
mod run;
mod screenshots;
mod setup;
mod test;

use anyhow::Result;
use clap::{Parser, Subcommand};
use lb_toolchain::Workspace;

/// Builds, runs, tests and measures xlb. Each command first installs what it misses.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
struct Xtask {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Installs what building and testing need, and says what; the second time there is nothing to do
    Setup,
    /// Builds xlb for release, for this machine or for arm64
    Build(build::Args),
    /// Makes the Debian package, for this machine or for arm64, and has lintian look at it
    Deb(deb::Args),
    /// Runs xlb in a lab of network namespaces, or on this host with a configuration
    Run(run::Args),
    /// Runs the tests of all layers, or of some
    Test(test::Args),
    /// Measures
    Bench(bench::Args),
    /// Makes the README's pictures again, of the page and the terminal in the lab
    Screenshots,
    /// Checks format, lints, and the licences of dependencies
    Lint,
}

fn main() -> Result<()> {
    let Xtask { verb } = Xtask::parse();
    let workspace = Workspace::current()?;
    privilege::refuse_foreign_tree(&workspace)?;
    match verb {
        Verb::Setup => setup::run(&workspace),
        Verb::Build(args) => build::run(&workspace, &args),
        Verb::Deb(args) => deb::run(&workspace, &args),
        Verb::Run(args) => run::run(&workspace, &args),
        Verb::Test(args) => test::run(&workspace, &args),
        Verb::Bench(args) => bench::run(&workspace, args),
        Verb::Screenshots => screenshots::run(&workspace),
        Verb::Lint => lint::run(&workspace),
    }
}
