//! Whether this process may do what xlb does.

use std::fs;

use nix::unistd::Uid;

use super::Finding;

/// The check's name.
const NAME: &str = "privileges";

/// What xlb cannot do without, by `linux/capability.h`.
const NEEDED: [(&str, u32); 3] = [("CAP_BPF", 39), ("CAP_NET_ADMIN", 12), ("CAP_NET_RAW", 13)];

/// Gives what `CAP_BPF` gives.
const SYS_ADMIN: u32 = 21;

/// Who this process is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Privileges {
    pub is_root: bool,
    /// Its effective capabilities; none where `/proc` does not tell.
    pub capabilities: Option<u64>,
}

impl Privileges {
    /// Those of this process.
    pub fn read() -> Self {
        let status = fs::read_to_string("/proc/self/status").ok();
        Self { is_root: Uid::effective().is_root(), capabilities: status.as_deref().and_then(effective) }
    }

    /// Whether it may look at what only root may.
    pub fn suffice(self) -> bool {
        self.is_root && self.missing().is_empty()
    }

    fn missing(self) -> Vec<&'static str> {
        let Some(capabilities) = self.capabilities else { return Vec::new() };
        let has = |bit: u32| capabilities >> bit & 1 == 1;
        let lacks = |(name, bit): &(&str, u32)| !(has(*bit) || *name == "CAP_BPF" && has(SYS_ADMIN));
        NEEDED.iter().filter(|capability| lacks(capability)).map(|(name, _)| *name).collect()
    }
}

/// The effective capabilities in `/proc/PID/status` (proc(5)).
fn effective(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

/// Whether they suffice.
pub(super) fn check(privileges: Privileges) -> Finding {
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

    #[test]
    fn all_capabilities_are_needed_that_the_kernel_asks_for() {
        let result = |is_root, capabilities| check(Privileges { is_root, capabilities }).result;
        assert_eq!(result(true, Some(u64::MAX)), Ok);
        assert_eq!(result(true, None), Ok);
        assert_eq!(result(false, Some(u64::MAX)), Fatal);
        assert_eq!(result(true, Some(!(1 << 12))), Fatal);
        // Before Linux 5.8 it was all one.
        assert_eq!(result(true, Some(!(1 << 39))), Ok);
        let finding = check(Privileges { is_root: true, capabilities: Some(1 << 12) });
        assert_eq!(finding.reason, "root, but without CAP_BPF, CAP_NET_RAW");
    }

    #[test]
    fn the_capabilities_are_read_as_the_kernel_writes_them() {
        assert_eq!(effective("Name:\txlb\nCapPrm:\t0\nCapEff:\t000001ffffffffff\n"), Some(0x1ff_ffff_ffff));
        assert_eq!(effective(""), None);
    }
}
