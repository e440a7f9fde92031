//! What `xlb run` refuses by: the fatal findings alone, of the same checks.

use super::finding::Severity;
use super::host::{self, Host};
use super::privileges::{self, Privileges};
use super::{Finding, interface, kernel, probe, system};
use crate::dataplane::attach::WantedMode;
use crate::dataplane::need;
use crate::dataplane::object::Sizes;
use crate::dataplane::pins::Pins;
use crate::neighbours::{self, Interface};

/// What keeps any data plane from being made here.
#[must_use]
pub fn of_host(pins: &Pins) -> Vec<Finding> {
    let privileges = Privileges::read();
    let who = privileges::check(&privileges);
    if !privileges.suffice() {
        // Nothing else can be seen.
        return vec![who];
    }
    let mut findings = vec![kernel::release(&probe::release())];
    findings.extend(kernel::features(&probe::essential()));
    findings.push(host::bpf_file_system(system::no_bpf_file_system(pins).as_ref()));
    fatal(findings)
}

/// What keeps one of these sizes from being made.
#[must_use]
pub fn of_sizes(sizes: Sizes, pins: &Pins, object: &[u8]) -> Vec<Finding> {
    fatal(vec![memory(&Host::read(pins), sizes, false, object)])
}

/// What keeps it from being attached to an interface, where our own program may be already.
#[must_use]
pub fn of_interface(interface: &Interface, wanted: WantedMode, pins: &Pins) -> Vec<Finding> {
    interface::essential(interface, wanted, &pins.programs())
}

/// There is no such interface, or none that frames can be sent by.
#[must_use]
pub fn no_interface(error: &neighbours::Error) -> Finding {
    interface::unusable(error)
}

/// Whether maps of these sizes fit into memory.
pub(super) fn memory(host: &Host, sizes: Sizes, is_running: bool, object: &[u8]) -> Finding {
    match need::memory(object, sizes, system::machine()) {
        Ok(needed) => host::memory(host, needed, is_running),
        Err(error) => Finding::of_error("memory", Severity::Note, &error),
    }
}

fn fatal(findings: Vec<Finding>) -> Vec<Finding> {
    findings.into_iter().filter(|finding| finding.result == Severity::Fatal).collect()
}
