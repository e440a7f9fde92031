//! The environment of a cargo that another cargo starts.

use std::{env, process::Command};

/// Variables that say where things are or how to reach the network, and so mean the same to
/// every cargo. `CARGO_MAKEFLAGS` names the outer cargo's job server: both together keep to the
/// number of cores.
const SHARED: [&str; 8] = [
    "CARGO_BUILD_JOBS",
    "CARGO_BUILD_TARGET_DIR",
    "CARGO_HOME",
    "CARGO_HTTP_",
    "CARGO_MAKEFLAGS",
    "CARGO_NET_",
    "CARGO_TARGET_DIR",
    "CARGO_TERM_",
];

/// Takes from `command` what the outer cargo, rustup, clippy or rust-analyzer have set for their
/// own compiler: wrappers, flags, the toolchain's name and its libraries.
pub(crate) fn forget_outer_cargo(command: &mut Command) {
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(belongs_to_outer_cargo) {
            command.env_remove(name);
        }
    }
}

fn belongs_to_outer_cargo(name: &str) -> bool {
    let of_rust = name.starts_with("CARGO") || name.starts_with("RUST") || name == "LD_LIBRARY_PATH";
    // RUSTUP_HOME says where, RUST_BACKTRACE how to fail: neither chooses a compiler.
    let harmless = name == "RUSTUP_HOME" || name == "RUST_BACKTRACE";
    of_rust && !harmless && !SHARED.iter().any(|shared| name.starts_with(shared))
}

#[cfg(test)]
mod tests {
    use super::belongs_to_outer_cargo;

    #[test]
    fn what_chooses_another_compiler_is_forgotten() {
        for name in [
            "CARGO",
            "CARGO_BUILD_TARGET",
            "CARGO_ENCODED_RUSTFLAGS",
            "CARGO_PROFILE_RELEASE_LTO",
            "CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER",
            "LD_LIBRARY_PATH",
            "RUSTC",
            "RUSTC_WORKSPACE_WRAPPER",
            "RUSTFLAGS",
            "RUSTUP_TOOLCHAIN",
        ] {
            assert!(belongs_to_outer_cargo(name), "{name}");
        }
    }

    #[test]
    fn places_and_the_network_are_kept() {
        for name in ["CARGO_HOME", "CARGO_NET_OFFLINE", "CARGO_TARGET_DIR", "HOME", "PATH", "RUSTUP_HOME"] {
            assert!(!belongs_to_outer_cargo(name), "{name}");
        }
    }
}
