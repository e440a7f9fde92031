//! Whether this process may do what xlb does.

use caps::{CapSet, Capability, CapsHashSet};
use nix::unistd::Uid;

use super::Finding;

/// The check's name.
const NAME: &str = "privileges";

/// What xlb cannot do without.
const NEEDED: [Capability; 4] = [
    Capability::CAP_BPF,
    // Without it the verifier refuses the programs.
    Capability::CAP_PERFMON,
    Capability::CAP_NET_ADMIN,
    Capability::CAP_NET_RAW,
];

/// Those of them that were a part of `CAP_SYS_ADMIN` before Linux 5.8, and still come with it.
const ONCE_ALL_ONE: [Capability; 2] = [Capability::CAP_BPF, Capability::CAP_PERFMON];

/// Who this process is.
#[derive(Clone, Debug)]
pub(super) struct Privileges {
    pub is_root: bool,
    /// Its effective capabilities; none where the kernel does not tell.
    pub capabilities: Option<CapsHashSet>,
}

impl Privileges {
    /// Those of this process.
    pub fn read() -> Self {
        Self { is_root: Uid::effective().is_root(), capabilities: caps::read(None, CapSet::Effective).ok() }
    }

    /// Whether it may look at what only root may.
    pub fn suffice(&self) -> bool {
        self.is_root && self.missing().is_empty()
    }

    fn missing(&self) -> Vec<String> {
        let Some(capabilities) = &self.capabilities else { return Vec::new() };
        let has_all = capabilities.contains(&Capability::CAP_SYS_ADMIN);
        let has = |needed| capabilities.contains(needed) || has_all && ONCE_ALL_ONE.contains(needed);
        NEEDED.iter().filter(|needed| !has(needed)).map(ToString::to_string).collect()
    }
}

/// Whether they suffice.
pub(super) fn check(privileges: &Privileges) -> Finding {
    if !privileges.is_root {
        let reason =
            "this is not root, who alone can start xlb, and see programs, firewall and others' sockets";
        return Finding::fatal(NAME, reason, "use sudo");
    }
    let missing = privileges.missing();
    if missing.is_empty() {
        return Finding::ok(NAME, "root, with all capabilities that are needed");
    }
    let missing = missing.join(", ");
    Finding::fatal(
        NAME,
        format!("root, but without {missing}"),
        "give this process these capabilities: `AmbientCapabilities=` and `CapabilityBoundingSet=` of a unit, \
         `--cap-add` of a container",
    )
}

#[cfg(test)]
mod tests {
    use super::super::Severity::{Fatal, Ok};
    use super::*;

    fn all_but(missing: Capability) -> CapsHashSet {
        &caps::all() - &CapsHashSet::from([missing])
    }

    #[test]
    fn all_capabilities_are_needed_that_the_kernel_asks_for() {
        let result = |is_root, capabilities| check(&Privileges { is_root, capabilities }).result;
        assert_eq!(result(true, Some(caps::all())), Ok);
        assert_eq!(result(true, None), Ok);
        assert_eq!(result(false, Some(caps::all())), Fatal);
        assert_eq!(result(true, Some(all_but(Capability::CAP_NET_ADMIN))), Fatal);
        assert_eq!(result(true, Some(all_but(Capability::CAP_BPF))), Ok);
        assert_eq!(result(true, Some(all_but(Capability::CAP_PERFMON))), Ok);
        let alone = Some(CapsHashSet::from([Capability::CAP_NET_ADMIN]));
        let finding = check(&Privileges { is_root: true, capabilities: alone });
        assert_eq!(finding.reason, "root, but without CAP_BPF, CAP_PERFMON, CAP_NET_RAW");
    }
}
