//! Whether a source may open one more connection to a frontend.

use aya_ebpf::helpers::generated::bpf_ktime_get_ns;
use lb_common::admission::{Limits, Source};
use lb_common::ending::How;
use lb_common::net::Addr;
use lb_common::reason::Reason;
use lb_common::tcp::State;

use crate::slots::{SlotNumber, SlotRef};
use crate::{Context, atomic, ending, maps};

/// Checks the limits that a frontend has. The rate comes last: who is not allowed, or has to wait
/// because the frontend is full, uses up nothing of it.
#[inline(always)]
pub fn admit(frontend: u16, addr: Addr) -> Result<(), Reason> {
    let number = admit_source(frontend.into(), addr.wire());
    Reason::from_number(number, [Reason::NotAllowed, Reason::FrontendFull, Reason::SourceRate])
}

/// [`admit`], global to the kernel, so that the verifier follows it once; see [`crate::slots::claim`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn admit_source(frontend: u32, addr: u32) -> u32 {
    let Some(setup) = maps::setup() else { return Reason::to_number(Ok(())) };
    let frontend = setup.frontend(frontend as u16);
    Reason::to_number(check(&frontend.limits, frontend.number, Addr::from_wire(addr)))
}

#[inline(always)]
fn check(limits: &Limits, frontend: u16, addr: Addr) -> Result<(), Reason> {
    if limits.allow.0 != 0 && !maps::is_allowed(limits.allow, addr) {
        return Err(Reason::NotAllowed);
    }
    if limits.max_connections != 0 && is_full(limits, frontend) {
        reap(frontend);
        if is_full(limits, frontend) {
            return Err(Reason::FrontendFull);
        }
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

#[inline(always)]
fn is_full(limits: &Limits, frontend: u16) -> bool {
    // SAFETY: as in `count`; volatile, because other CPUs change it.
    maps::occupancy(frontend).is_some_and(|occupancy| unsafe {
        (&raw const (*occupancy).established).read_volatile() >= i64::from(limits.max_connections)
    })
}

/// Looks at some more slots for connections that have expired without anybody's notice, and takes them
/// out of the count. An agent does so once a minute; without one, nobody would ever be let in again.
#[inline(always)]
fn reap(frontend: u16) {
    let Some(setup) = maps::setup() else { return };
    let Some(occupancy) = maps::occupancy(frontend) else { return };
    // SAFETY: as in `count`.
    let hand = unsafe { atomic::fetch_add_u64(&raw mut (*occupancy).hand, REAPED.into()) };
    for next in 0..REAPED {
        let slots = u64::from(setup.settings.slots());
        let Some(number) = (hand + u64::from(next)).checked_rem(slots) else { return };
        reap_slot(number as SlotNumber);
    }
}

/// Frees a slot whose connection has expired. Global to the kernel as [`admit_source`] is.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn reap_slot(number: SlotNumber) -> u32 {
    if let (Some(context), Some(slot)) = (Context::now(), SlotRef::get(number)) {
        let (is_held, word) = slot.is_held(&context);
        // Claimed, so that it is nobody else's until its end is told.
        let claimed = word.claimed();
        if word.state() == State::Established && !is_held && slot.swap(word, claimed) {
            count(slot.fields().tuple.frontend(), -1);
            ending::tell(slot, How::Idle);
            let _ = slot.release(claimed);
        }
    }
    // The kernel wants a number from a global function.
    0
}

/// Slots that are looked at for one SYN.
const REAPED: u32 = 64;
