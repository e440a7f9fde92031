//! Whether a source may open one more connection to a frontend.

use aya_ebpf::helpers::generated::bpf_ktime_get_ns;
use lb_common::admission::{Limits, Source};
use lb_common::net::Addr;
use lb_common::reason::Reason;

use crate::{atomic, maps};

/// Checks the limits that a frontend has. The rate comes last: who is not allowed, or has to wait
/// because the frontend is full, uses up nothing of it.
#[inline(never)]
pub fn admit(limits: &Limits, frontend: u16, addr: Addr) -> Result<(), Reason> {
    if limits.allow.0 != 0 && !maps::is_allowed(limits.allow, addr) {
        return Err(Reason::NotAllowed);
    }
    if limits.max_connections != 0 && established(frontend) >= i64::from(limits.max_connections) {
        return Err(Reason::FrontendFull);
    }
    if limits.source_rate.interval != 0 {
        let source = Source { addr, frontend: u32::from(frontend) };
        // SAFETY: the helper has no preconditions.
        let now = unsafe { bpf_ktime_get_ns() };
        let next = limits.source_rate.admit(maps::due(&source), now).ok_or(Reason::SourceRate)?;
        maps::set_due(&source, next);
    }
    Ok(())
}

/// A connection of a frontend was established (1), or is not any more (-1).
#[inline(always)]
pub fn count(frontend: u16, change: i64) {
    if let Some(occupancy) = maps::occupancy(frontend) {
        // SAFETY: an element of the map, changed only by this operation.
        unsafe { atomic::fetch_add_u64((&raw mut (*occupancy).established).cast(), change.cast_unsigned()) };
    }
}

fn established(frontend: u16) -> i64 {
    // SAFETY: as in `count`; volatile, because other CPUs change it.
    maps::occupancy(frontend)
        .map_or(0, |occupancy| unsafe { (&raw const (*occupancy).established).read_volatile() })
}
