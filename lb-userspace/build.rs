//! Builds the eBPF objects, so that the agent can embed them: `balancer.bpf.o` in `OUT_DIR` is
//! the object of the binary target `balancer` of `lb-ebpf`, and so on.

use std::{env, error::Error, fs, path::PathBuf, process::ExitCode};

use lb_toolchain::{Toolchain, Workspace};

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
    let build = toolchain.build(&workspace, &out.join("target"))?;
    for line in build.warnings.iter().flat_map(|warning| warning.lines()) {
        println!("cargo::warning={line}");
    }
    for object in build.executables {
        fs::copy(&object.path, out.join(object.name).with_extension("bpf.o"))?;
    }
    Ok(())
}
