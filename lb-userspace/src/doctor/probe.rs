//! Tries what the kernel can do: loads programs, makes maps, and lets go of them at once.
//!
//! What has to be attached to be tried is attached in a network namespace of its own, which ends with its
//! thread. There the kernel may load modules (`sch_ingress`, `veth`), as it would for `xlb run`.

use std::fs;
use std::path::Path;
use std::thread;

use aya::maps::{Array, MapType};
use aya::programs::tc::qdisc_add_clsact;
use aya::programs::{ProgramType, SchedClassifier, TcAttachType};
use aya::sys::{BpfHelper, is_helper_supported, is_map_supported, is_program_supported};
use nix::sched::{CloneFlags, unshare};
use nix::sys::utsname::uname;

use super::kernel::{Feature, Kernel, Loaded, Tried};
use super::system;
use crate::dataplane::Error;
use crate::dataplane::attach::{Mode, WantedMode};
use crate::dataplane::object::{self, Sizes};
use crate::dataplane::ticker;
use crate::local::programs as local;
use crate::neighbours;
use crate::os_error;

const JIT: &str = "/proc/sys/net/core/bpf_jit_enable";
const BTF: &str = "/sys/kernel/btf/vmlinux";

/// `linux/bpf.h`.
const BPF_F_MMAPABLE: u32 = 1 << 10;

/// Names of options of the kernel's configuration.
const SYSCALL: &str = "CONFIG_BPF_SYSCALL";
const NET: &str = "CONFIG_NET_CLS_BPF and CONFIG_NET_SCH_INGRESS";
const CGROUP: &str = "CONFIG_CGROUP_BPF";
const NEWER: &str = "Linux 6.1 or newer";

/// The helpers that no packet gets through without, beside those that every kernel has had for long.
const HELPERS: [(&str, ProgramType, BpfHelper); 6] = [
    ("the time in jiffies", ProgramType::Xdp, BpfHelper::BPF_FUNC_jiffies64),
    ("reports to the agent", ProgramType::Xdp, BpfHelper::BPF_FUNC_ringbuf_output),
    ("room before a frame", ProgramType::Xdp, BpfHelper::BPF_FUNC_xdp_adjust_head),
    ("a frame's end in XDP", ProgramType::Xdp, BpfHelper::BPF_FUNC_xdp_adjust_tail),
    ("checksums in TC", ProgramType::SchedClassifier, BpfHelper::BPF_FUNC_l4_csum_replace),
    ("redirection in TC", ProgramType::SchedClassifier, BpfHelper::BPF_FUNC_redirect),
];

/// The release, as `uname -r` prints it.
pub(super) fn release() -> String {
    uname().map(|name| name.release().to_string_lossy().into_owned()).unwrap_or_default()
}

impl Kernel {
    /// Tries everything that this process may, and the programs that this mode may come to.
    pub fn read(object: &[u8], may_load: bool, wanted: WantedMode) -> Self {
        Self {
            release: release(),
            page_size: system::machine().page,
            has_btf: Path::new(BTF).exists(),
            features: if may_load { [essential(), in_a_namespace(wanted)].concat() } else { Vec::new() },
            programs: may_load.then(|| load(object, wanted).map_err(|error| error.to_string())),
            jit: fs::read_to_string(JIT).ok().and_then(|text| text.trim().parse().ok()),
        }
    }
}

/// What can be tried by making it, in no time: `xlb run` does, too.
pub(super) fn essential() -> Vec<Feature> {
    let feature = |name, option, outcome| Feature { name, option, is_essential: true, outcome };
    let mut features = vec![
        feature("XDP", SYSCALL, tried(is_program_supported(ProgramType::Xdp))),
        feature("programs in TC", NET, tried(is_program_supported(ProgramType::SchedClassifier))),
        feature("arrays that can be mapped", NEWER, mmapable()),
        feature("arrays for each CPU", SYSCALL, tried(is_map_supported(MapType::PerCpuArray))),
        feature("LRU tables", SYSCALL, tried(is_map_supported(MapType::LruHash))),
        feature("tables of prefixes", SYSCALL, tried(is_map_supported(MapType::LpmTrie))),
        feature("ring buffers", SYSCALL, tried(is_map_supported(MapType::RingBuf))),
    ];
    let helpers = HELPERS.into_iter();
    features.extend(
        helpers.map(|(name, kind, helper)| feature(name, NEWER, tried(is_helper_supported(kind, helper)))),
    );
    features
}

fn mmapable() -> Tried {
    match Array::<_, u32>::create(1, BPF_F_MMAPABLE) {
        Ok(_) => Tried::There,
        Err(error) => {
            let errno = os_error::number(&error);
            if errno == Some(libc::EINVAL) { Tried::Missing } else { Tried::Unknown(error.to_string()) }
        }
    }
}

/// What came of a try of aya's.
fn tried<E: std::error::Error>(outcome: Result<bool, E>) -> Tried {
    match outcome {
        Ok(true) => Tried::There,
        Ok(false) => Tried::Missing,
        Err(error) => Tried::Unknown(error.to_string()),
    }
}

/// What has to be attached, or entered somewhere, to be tried.
fn in_a_namespace(wanted: WantedMode) -> Vec<Feature> {
    let outcomes = thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET).map_err(|error| error.to_string())?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| error.to_string())?;
        Ok::<_, String>([ingress(), runtime.block_on(managed())])
    });
    let outcomes = match outcomes.join() {
        Ok(Ok(outcomes)) => outcomes,
        Ok(Err(why)) => [Tried::Unknown(why.clone()), Tried::Unknown(why)],
        Err(_) => ["", ""].map(|_| Tried::Unknown("it failed".to_owned())),
    };
    attached(outcomes, wanted)
}

/// What came of attaching; only what may run in TC cannot do without its ingress.
fn attached([ingress, managed]: [Tried; 2], wanted: WantedMode) -> Vec<Feature> {
    let may_be_tc = matches!(wanted, WantedMode::Auto | WantedMode::Only(Mode::Tc));
    vec![
        Feature { name: "ingress in TC", option: NET, is_essential: may_be_tc, outcome: ingress },
        Feature { name: "managed neighbours", option: NEWER, is_essential: false, outcome: managed },
    ]
}

/// Links, or the queueing discipline that filters are in.
fn ingress() -> Tried {
    if SchedClassifier::query_tcx("lo", TcAttachType::Ingress).is_ok() {
        return Tried::There;
    }
    match qdisc_add_clsact("lo") {
        Ok(()) => Tried::There,
        Err(error) if os_error::number(&error) == Some(libc::ENOENT) => Tried::Missing,
        Err(error) => Tried::Unknown(error.to_string()),
    }
}

/// Neighbours that the kernel keeps fresh by itself.
async fn managed() -> Tried {
    match neighbours::try_managed().await {
        Ok(true) => Tried::There,
        Ok(false) => Tried::Missing,
        Err(error) => Tried::Unknown(error.to_string()),
    }
}

/// Has the kernel take the programs, around maps of the smallest size.
fn load(object: &[u8], wanted: WantedMode) -> Result<Loaded, Error> {
    let mut names = match wanted {
        WantedMode::Auto => vec![Mode::Native.program(), Mode::Tc.program()],
        WantedMode::Only(mode) => vec![mode.program()],
    };
    names.push(ticker::PROGRAM);
    let mut ebpf = object::load(object, Sizes::SMALLEST)?;
    let mut is_compiled = true;
    for name in &names {
        object::load_program(&mut ebpf, name)?;
        let info = object::program(&mut ebpf, name)?.info();
        is_compiled &= info.is_ok_and(|info| info.size_jitted() > 0);
    }
    Ok(Loaded { names, is_compiled })
}

/// Whether the kernel takes the programs for clients on this host.
pub(super) fn host_clients(object: &[u8]) -> Feature {
    let load = || {
        object::load(object, Sizes::SMALLEST).map_err(Into::into).and_then(|mut ebpf| local::load(&mut ebpf))
    };
    let outcome = match load() {
        Ok(()) => Tried::There,
        Err(error) if os_error::number(&error) == Some(libc::EINVAL) => Tried::Missing,
        Err(error) => Tried::Unknown(error.to_string()),
    };
    Feature { name: "programs for clients on this host", option: CGROUP, is_essential: false, outcome }
}

#[cfg(test)]
mod tests {
    use super::super::kernel;
    use super::super::{Severity, worst};
    use super::*;

    #[test]
    fn ingress_in_tc_is_needed_where_the_program_may_come_to_it() {
        let result = |wanted| worst(&kernel::features(&attached([Tried::Missing, Tried::There], wanted)));
        assert_eq!(result(WantedMode::Auto), Severity::Fatal);
        assert_eq!(result(WantedMode::Only(Mode::Tc)), Severity::Fatal);
        assert_eq!(result(WantedMode::Only(Mode::Native)), Severity::Warning);
        assert_eq!(result(WantedMode::Only(Mode::Generic)), Severity::Warning);
    }
}
