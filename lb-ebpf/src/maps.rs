//! The maps, and typed access to them.
//!
//! All are arrays: the kernel inlines their lookups, and the agent and the CLI can map the large
//! ones into their own memory. The numbers of elements given here are placeholders where the agent
//! sets them by the configuration at load.

use aya_ebpf::bindings::BPF_F_MMAPABLE;
use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, PerCpuArray};
use lb_common::counters::{PATHS as PATH_COUNT, PathCounters, path};
use lb_common::frontend::MAX_FRONTENDS;
use lb_common::index::Bucket;
use lb_common::reason::{REASONS as REASON_COUNT, Reason};
use lb_common::ring::{Ring, ring_index};
use lb_common::server::{Cursor, MAX_SERVERS};
use lb_common::setup::Setup;
use lb_common::slot::{Details, Slot};

/// One element: everything that the agent tells the program.
#[map]
static SETUP: Array<Setup> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Two for each frontend; see [`ring_index`].
#[map]
static RINGS: Array<Ring> = Array::with_max_entries(MAX_FRONTENDS * 2, 0);

/// Positions in the rings, by frontend number.
#[map]
static RING_CURSORS: Array<Cursor> = Array::with_max_entries(MAX_FRONTENDS, 0);

/// Positions among the slots, by server number.
#[map]
static SLOT_CURSORS: Array<Cursor> = Array::with_max_entries(MAX_SERVERS, 0);

/// The connections; the agent sets how many.
#[map]
static SLOTS: Array<Slot> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// What else there is to know of a connection, by slot number; as many.
#[map]
static DETAILS: Array<Details> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// From tuples to connections; the agent sets how many.
#[map]
static INDEX: Array<Bucket> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Traffic by frontend and server; see [`path`].
#[map]
static PATHS: PerCpuArray<PathCounters> = PerCpuArray::with_max_entries(PATH_COUNT, 0);

/// Packets not forwarded, by reason.
#[map]
static REASONS: PerCpuArray<u64> = PerCpuArray::with_max_entries(REASON_COUNT, 0);

/// Everything that the agent told the program.
#[inline(always)]
#[must_use]
pub fn setup() -> Option<&'static Setup> {
    SETUP.get(0)
}

/// One of a frontend's rings.
#[inline(always)]
#[must_use]
pub fn ring(frontend: u32, buffer: u32) -> Option<&'static Ring> {
    RINGS.get(ring_index(frontend, buffer))
}

/// A frontend's position in its ring.
#[inline(always)]
#[must_use]
pub fn ring_cursor(frontend: u32) -> Option<*mut Cursor> {
    RING_CURSORS.get_ptr_mut(frontend)
}

/// A server's position among its slots.
#[inline(always)]
#[must_use]
pub fn slot_cursor(server: u16) -> Option<*mut Cursor> {
    SLOT_CURSORS.get_ptr_mut(u32::from(server))
}

/// A slot by number.
#[inline(always)]
#[must_use]
pub fn slot(number: u32) -> Option<*mut Slot> {
    SLOTS.get_ptr_mut(number)
}

/// A slot's details, by the slot's number.
#[inline(always)]
#[must_use]
pub fn details(number: u32) -> Option<*mut Details> {
    DETAILS.get_ptr_mut(number)
}

/// A bucket of the index by number.
#[inline(always)]
#[must_use]
pub fn bucket(number: u32) -> Option<*mut Bucket> {
    INDEX.get_ptr_mut(number)
}

/// Counts a packet that is not forwarded.
#[inline(always)]
pub fn count(reason: Reason) {
    if let Some(counter) = REASONS.get_ptr_mut(reason as u32) {
        // SAFETY: this CPU's own element, and programs do not preempt each other on a CPU.
        unsafe { *counter += 1 };
    }
}

/// Changes the counters of a frontend and a server.
#[inline(always)]
pub fn count_path(frontend: u16, server: u16, change: impl FnOnce(&mut PathCounters)) {
    if let Some(counters) = PATHS.get_ptr_mut(path(frontend, server)) {
        // SAFETY: as in `count`.
        change(unsafe { &mut *counters });
    }
}
