//! Builds the eBPF objects.

use std::{path::Path, process::Command};

use crate::{Build, Error, Toolchain, Workspace};

/// Little-endian eBPF: the byte order of every machine that the balancer runs on.
pub(crate) const TARGET: &str = "bpfel-unknown-none";

/// The binary target of `lb-ebpf` that is the product.
const PRODUCT: &str = "balancer";

/// The release profile as eBPF needs it, whatever the workspace chooses for the agent.
const PROFILE: [(&str, &str); 6] = [
    // The verifier sees whole programs; a call that is not inlined across units costs it most.
    ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1"),
    ("CARGO_PROFILE_RELEASE_LTO", "fat"),
    // Each packet runs through it, so nothing is too large to be fast.
    ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "3"),
    // BTF is made of debug information, which must therefore reach the linker.
    ("CARGO_PROFILE_RELEASE_DEBUG", "2"),
    ("CARGO_PROFILE_RELEASE_STRIP", "none"),
    // There is no unwinder in the kernel.
    ("CARGO_PROFILE_RELEASE_PANIC", "abort"),
];

impl Toolchain {
    /// Builds every binary target of `lb-ebpf`, always for release: the verifier takes no other.
    ///
    /// The executables of the outcome are the objects, named as the targets are. `target_dir` must
    /// not be that of a cargo that is waiting for this one.
    pub fn build(&self, workspace: &Workspace, target_dir: &Path) -> Result<Build, Error> {
        Build::run(self.command(workspace, target_dir).arg("--bins"))
    }

    /// Builds the product's object with a feature of `lb-ebpf` that exists for tests.
    ///
    /// It takes the place of the product's in `target_dir`: what [`Self::build`] has left there is
    /// gone.
    pub fn build_variant(
        &self,
        workspace: &Workspace,
        target_dir: &Path,
        feature: &str,
    ) -> Result<Build, Error> {
        let mut command = self.command(workspace, target_dir);
        Build::run(command.args(["--bin", PRODUCT, "--features", feature]))
    }

    fn command(&self, workspace: &Workspace, target_dir: &Path) -> Command {
        let mut command = self.compiler.cargo_build();
        command.current_dir(workspace.root());
        command.args(["--quiet", "--release", "--locked", "--package", "lb-ebpf", "--target-dir"]);
        command.arg(target_dir);
        command.envs(PROFILE);
        // The encoded form allows for a blank in the linker's path, and outranks any configuration.
        command.env("CARGO_ENCODED_RUSTFLAGS", self.rustc_flags().join("\x1f"));
        command
    }

    fn rustc_flags(&self) -> [String; 4] {
        [
            format!("-Clinker={}", self.linker.path().display()),
            "-Clink-arg=--btf".into(),
            // The third version of the instruction set has 32-bit arithmetic and atomics with a result.
            "-Ctarget-cpu=v3".into(),
            // Packet fields are not aligned; without this each becomes single bytes put together.
            "-Ctarget-feature=+allows-misaligned-mem-access".into(),
        ]
    }
}
