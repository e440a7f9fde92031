//! Builds the eBPF objects, so that the agent can embed them: `balancer.bpf.o` in `OUT_DIR` is
//! the object of the binary target `balancer` of `lb-ebpf`, and so on.

use std::{
    env,
    error::Error,
    fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use lb_toolchain::{Object, Objects, Toolchain, Workspace};

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
    let built = toolchain.build(&workspace)?;
    warn(&built);
    for object in &built.objects {
        keep(object, &out, &object.name)?;
    }
    if env::var_os("CARGO_FEATURE_TEST_BUILDS").is_some() {
        for feature in TEST_BUILDS {
            let built = toolchain.build_variant(&workspace, feature)?;
            warn(&built);
            let [object] = &built.objects[..] else { return Err("a variant is one object".into()) };
            keep(object, &out, feature)?;
        }
    }
    Ok(())
}

fn warn(built: &Objects) {
    for line in built.warnings.iter().flat_map(|warning| warning.lines()) {
        println!("cargo::warning={line}");
    }
}

/// Puts an object where the sources include it from.
fn keep(object: &Object, out: &Path, name: &str) -> io::Result<()> {
    fs::write(out.join(name).with_extension("bpf.o"), &object.bytes)
}
