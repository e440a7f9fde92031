//! Tells the agent of connections that have ended, if it wants to hear of them.
//!
//! Both functions are global to the kernel, with numbers for arguments: the verifier follows them once,
//! and not for each of the ways that a connection can end. They run when one ends, and at no other time.

use aya_ebpf::helpers::generated::bpf_ktime_get_ns;
use lb_common::ending::{How, NO_SERVER};
use lb_common::index::Tuple;
use lb_common::net::{Addr, Port};
use lb_common::slot::Details;

use crate::slots::{SlotNumber, SlotRef};
use crate::{atomic, maps, retry};

/// Tells of the end of a slot's connection. Nobody else takes the slot meanwhile.
#[inline(always)]
pub fn tell(slot: SlotRef, how: How) {
    tell_slot(slot.number, how as u32);
}

/// Tells of a connection that there was no server for.
#[inline(always)]
pub fn tell_no_server(tuple: Tuple) {
    tell_tuple(tuple.addr().wire(), u32::from(tuple.port().wire()), u32::from(tuple.frontend()));
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn tell_slot(slot: SlotNumber, how: u32) -> u32 {
    if is_wanted()
        && let Some(slot) = SlotRef::get(slot)
        && let Some(details) = slot.details()
        && is_first(details)
    {
        let redispatched = redispatched(slot, details) as u8;
        // SAFETY: the helper has no preconditions.
        let now = unsafe { bpf_ktime_get_ns() };
        let fields = slot.fields();
        maps::tell(|record| {
            // SAFETY: a whole record, which nobody sees yet.
            unsafe {
                put(&raw mut (*record).opened_at, details.opened_at);
                put(&raw mut (*record).ended_at, now);
                put(&raw mut (*record).bytes[0], fields.bytes[0]);
                put(&raw mut (*record).bytes[1], fields.bytes[1]);
                put(&raw mut (*record).tuple, fields.tuple);
                put(&raw mut (*record).answered_after, details.answered_after);
                put(&raw mut (*record).server, fields.server());
                put(&raw mut (*record).how, how as u8);
                put(&raw mut (*record).redispatched, redispatched);
            }
        });
    }
    // The kernel wants a number from a global function.
    0
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn tell_tuple(addr: u32, port: u32, frontend: u32) -> u32 {
    if is_wanted() {
        // SAFETY: the helper has no preconditions.
        let now = unsafe { bpf_ktime_get_ns() };
        let tuple = Tuple::new(Addr::from_wire(addr), Port::from_wire(port as u16), frontend as u16);
        maps::tell(|record| {
            // SAFETY: as in `tell_slot`.
            unsafe {
                put(&raw mut (*record).opened_at, now);
                put(&raw mut (*record).ended_at, now);
                put(&raw mut (*record).bytes[0], 0);
                put(&raw mut (*record).bytes[1], 0);
                put(&raw mut (*record).tuple, tuple);
                put(&raw mut (*record).answered_after, 0);
                put(&raw mut (*record).server, NO_SERVER);
                put(&raw mut (*record).how, How::NoServer as u8);
                put(&raw mut (*record).redispatched, 0);
            }
        });
    }
    0
}

/// Writes a field of a record. Volatile, so that each is fetched and stored at its turn: a record that is put
/// together first takes the stack, and all functions that call each other have 512 bytes of it.
///
/// # Safety
///
/// `field` is aligned and may be written.
#[inline(always)]
unsafe fn put<T>(field: *mut T, value: T) {
    // SAFETY: the caller's promise.
    unsafe { field.write_volatile(value) };
}

/// Whether the agent wants to hear of ends.
#[inline(always)]
fn is_wanted() -> bool {
    maps::setup().is_some_and(|setup| setup.settings.tells_ends != 0)
}

/// Whether the end was not told before: the network may double a refusal.
#[inline(always)]
fn is_first(details: &mut Details) -> bool {
    // SAFETY: an aligned word of a whole element, changed elsewhere only when a connection begins.
    unsafe { atomic::swap_u32(&raw mut details.told, 0, 1) }
}

/// How often the connection was offered to another server: noted when a server answered, and before that
/// known by the copy of its SYN.
#[inline(always)]
fn redispatched(slot: SlotRef, details: &Details) -> u32 {
    if details.answered_after == 0 { retry::redispatched(slot) } else { details.redispatched }
}
