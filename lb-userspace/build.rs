//! Builds the eBPF objects, so that the agent can embed them: `balancer.bpf.o` in `OUT_DIR` is
//! the object of the binary target `balancer` of `lb-ebpf`, and so on.

use std::{
    env,
    error::Error,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use lb_toolchain::{Build, Toolchain, Workspace};

/// Features of `lb-ebpf`, each of which makes another object of the product for tests alone:
/// `changed.bpf.o` in `OUT_DIR`, and so on.
const TEST_BUILDS: [&str; 2] = ["changed", "without-icmp"];

fn main() -> ExitCode {
    match embed() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn embed() -> Result<(), Box<dyn Error>> {
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR for a build script")?);
    let workspace = Workspace::current()?;
    let toolchain = Toolchain::find(&workspace)?;
    for input in toolchain.inputs(&workspace) {
        println!("cargo::rerun-if-changed={}", input.display());
    }
    let target = out.join("target");
    let build = toolchain.build(&workspace, &target)?;
    warn(&build);
    for object in build.executables {
        keep(&object.path, &out, &object.name)?;
    }
    if env::var_os("CARGO_FEATURE_TEST_BUILDS").is_some() {
        for feature in TEST_BUILDS {
            let build = toolchain.build_variant(&workspace, &target, feature)?;
            warn(&build);
            let [object] = &build.executables[..] else { return Err("a variant is one object".into()) };
            keep(&object.path, &out, feature)?;
        }
    }
    Ok(())
}

fn warn(build: &Build) {
    for line in build.warnings.iter().flat_map(|warning| warning.lines()) {
        println!("cargo::warning={line}");
    }
}

/// Puts an object where the sources include it from.
fn keep(object: &Path, out: &Path, name: &str) -> Result<(), Box<dyn Error>> {
    let object = lb_toolchain::without_debug_information(&fs::read(object)?)?;
    Ok(fs::write(out.join(name).with_extension("bpf.o"), object)?)
}
