//! Builds the eBPF objects.

use std::{
    fs::{self, File},
    path::Path,
    process::Command,
};

use crate::{Build, Error, Executable, Toolchain, Workspace, strip::without_debug_information};

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

/// An eBPF object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// The name of its binary target in `lb-ebpf`.
    pub name: String,
    /// The file, without what only a debugger reads.
    pub bytes: Vec<u8>,
}

/// What came of a build.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Objects {
    /// All of them.
    pub objects: Vec<Object>,
    /// The compiler's warnings, as it renders them.
    pub warnings: Vec<String>,
}

impl Toolchain {
    /// Builds every binary target of `lb-ebpf`, always for release: the verifier takes no other.
    pub fn build(&self, workspace: &Workspace) -> Result<Objects, Error> {
        self.run(workspace, &["--bins"])
    }

    /// Builds the product's object with a feature of `lb-ebpf` that exists for tests.
    pub fn build_variant(&self, workspace: &Workspace, feature: &str) -> Result<Objects, Error> {
        self.run(workspace, &["--bin", PRODUCT, "--features", feature])
    }

    /// Builds in a folder that all builds of this tree share, for whatever machine: the objects are the same.
    ///
    /// Variants of an object have one place there. So whoever builds has the folder for itself until it has read
    /// what it has built.
    fn run(&self, workspace: &Workspace, selection: &[&str]) -> Result<Objects, Error> {
        let folder = workspace.root().join("target/ebpf");
        let _lock = locked(&folder)?;
        let Build { executables, warnings, .. } =
            Build::run(self.command(workspace, &folder).args(selection))?;
        let objects = executables.into_iter().map(|Executable { name, path }| {
            let bytes = fs::read(&path).map_err(|reason| Error::File { path: path.clone(), reason })?;
            let bytes = without_debug_information(&bytes).map_err(|reason| Error::Strip { path, reason })?;
            Ok(Object { name, bytes })
        });
        Ok(Objects { objects: objects.collect::<Result<_, _>>()?, warnings })
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

/// Makes a folder, and waits until nobody else builds in it.
fn locked(folder: &Path) -> Result<File, Error> {
    let path = folder.join("xlb.lock");
    let lock = || {
        fs::create_dir_all(folder)?;
        let file = File::create(&path)?;
        file.lock()?;
        Ok(file)
    };
    lock().map_err(|reason| Error::File { path: path.clone(), reason })
}
