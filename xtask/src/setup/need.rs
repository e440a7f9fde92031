//! What the verbs need from the distribution, and how to tell that it is there.

use std::{
    env::{self, consts},
    path::Path,
};

use lb_toolchain::{Compiler, Installation, Linker, Workspace};

use super::packages::Package;

/// The target of `build --arm64`.
pub const ARM64_TARGET: &str = "aarch64-unknown-linux-gnu";

/// Where Debian puts the LLVM that Debian's rustc and our bpf-linker share.
pub(super) const LLVM_PREFIX: &str = "/usr/lib/llvm-22";

/// What a verb needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// To build the eBPF programs, and so anything that embeds them.
    Ebpf,
    /// To run the lab of network namespaces.
    Lab,
    /// To make as much traffic in the lab as its hosts can bear.
    Traffic,
    /// To compare with other balancers in the lab.
    Peers,
    /// To make pictures of what runs in the lab.
    Pictures,
    /// To check format and lints.
    Lint,
    /// To build for arm64 on another architecture.
    Arm64,
    /// To make a Debian package and to look at it.
    Package,
    /// To boot an arm64 kernel.
    Guest,
    /// To boot it with a whole Debian.
    Debian,
}

impl Need {
    /// The packages that are still to be installed for it.
    pub(super) fn missing_packages(self, workspace: &Workspace) -> Vec<Package> {
        match self {
            Self::Ebpf => compiler().into_iter().chain(llvm(workspace)).collect(),
            Self::Lab => lab(),
            Self::Traffic => traffic(),
            Self::Peers => peers(),
            Self::Pictures => pictures(),
            Self::Lint => lint(),
            Self::Package => package(),
            Self::Arm64 => arm64().into_iter().chain(arm64_linker()).collect(),
            Self::Guest => guest(),
            Self::Debian => debian(),
        }
    }
}

/// The Rust installation that compiles for arm64: the user's own choice where it can, else the
/// distribution's.
pub fn arm64_installation() -> Option<Installation> {
    let candidates = [Installation::running(), Some(Installation::system())];
    candidates.into_iter().flatten().find(|installation| installation.has_target(ARM64_TARGET))
}

fn compiler() -> Vec<Package> {
    if Compiler::find().is_ok() {
        return Vec::new();
    }
    not_installed(&Compiler::DEBIAN_PACKAGES, "compiles the eBPF programs")
}

/// LLVM's headers are not needed, but its library under the name that a linker looks for.
fn llvm(workspace: &Workspace) -> Option<Package> {
    let library = Path::new(LLVM_PREFIX).join("lib/libLLVM.so");
    let missing = Linker::find(workspace).is_err() && !library.exists();
    missing.then_some(Package { name: "llvm-22-dev", why: "is the library of bpf-linker" })
}

fn lab() -> Vec<Package> {
    packages_of(&[
        ("ip", "iproute2", "makes the lab's namespaces and links"),
        ("ethtool", "ethtool", "turns off what a real wire would not have"),
        ("nginx", "nginx-light", "is the web server behind the balancer"),
        ("haproxy", "haproxy", "is what the balancer is compared with"),
        ("rsyslogd", "rsyslog", "takes the balancer's log"),
        ("curl", "curl", "is the client in front of it"),
        ("openssl", "openssl", "looks at the page's certificate"),
        ("ping", "iputils-ping", "asks whether the balancer's host still answers"),
        ("tcpdump", "tcpdump", "captures what the balancer sent"),
        ("socat", "socat", "says commands to the balancer's control socket"),
        ("hatop", "hatop", "shows what it says on a terminal"),
        ("tmux", "tmux", "is that terminal"),
        ("prometheus-haproxy-exporter", "prometheus-haproxy-exporter", "makes metrics of what it says"),
        ("chromium", "chromium", "shows the balancer's page"),
        ("prometheus", "prometheus", "scrapes the balancer, and finds what is wrong with its metrics"),
    ])
}

fn traffic() -> Vec<Package> {
    packages_of(&[
        ("wrk", "wrk", "asks web servers as fast as it can"),
        ("iperf3", "iperf3", "moves bytes as fast as it can"),
    ])
}

fn peers() -> Vec<Package> {
    let mut missing = packages_of(&[("nft", "nftables", "tells the kernel to balance by itself")]);
    missing.extend(not_installed(&["libnginx-mod-stream"], "makes a balancer of nginx"));
    missing
}

fn pictures() -> Vec<Package> {
    packages_of(&[
        ("pdftocairo", "poppler-utils", "makes a picture of what a browser prints"),
        ("scour", "scour", "makes the picture's file small"),
    ])
}

fn lint() -> Vec<Package> {
    packages_of(&[
        ("cargo-fmt", "rustfmt-web", "checks the format"),
        ("cargo-clippy", "rust-web-clippy", "finds questionable code"),
    ])
}

fn package() -> Vec<Package> {
    packages_of(&[
        ("dpkg-shlibdeps", "dpkg-dev", "tells which libraries the package needs"),
        ("lintian", "lintian", "finds what is wrong with the package"),
        ("systemd-analyze", "systemd", "tells what the service may do"),
    ])
}

fn debian() -> Vec<Package> {
    packages_of(&[("mmdebstrap", "mmdebstrap", "installs a Debian into a folder")])
}

fn guest() -> Vec<Package> {
    packages_of(&[
        ("qemu-system-aarch64", "qemu-system-arm", "is the machine that boots an arm64 kernel"),
        ("depmod", "kmod", "tells which of the kernel's modules need which"),
        ("cpio", "cpio", "packs what that machine's kernel unpacks"),
    ])
}

/// What is missing of `(program, package, why)`. Programs are looked for by name, so that any
/// package that gives one will do.
fn packages_of(programs: &[(&str, &'static str, &'static str)]) -> Vec<Package> {
    let missing = programs.iter().filter(|(program, ..)| !is_in_path(program));
    missing.map(|&(_, name, why)| Package { name, why }).collect()
}

fn arm64() -> Vec<Package> {
    if arm64_installation().is_some() {
        return Vec::new();
    }
    not_installed(&["rustc-web", "cargo-web", "libstd-rust-web-dev:arm64"], "compiles for arm64")
}

fn arm64_linker() -> Vec<Package> {
    if consts::ARCH == "aarch64" || is_in_path("aarch64-linux-gnu-gcc") {
        return Vec::new();
    }
    not_installed(&["gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross"], "links for arm64")
}

/// Packages that only do their work together: those of them that are still to be installed.
fn not_installed(names: &[&'static str], why: &'static str) -> Vec<Package> {
    names.iter().map(|name| Package { name, why }).filter(|package| !package.is_installed()).collect()
}

/// Debian leaves the folders of system programs out of an ordinary user's PATH; root's has them.
fn is_in_path(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(Into::into);
    env::split_paths(&path).chain(system).any(|folder| folder.join(program).exists())
}
