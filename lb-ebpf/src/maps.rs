//! The maps, and typed access to them.
//!
//! All that packets touch are arrays: the kernel inlines their lookups, and the agent and the CLI can
//! map the large ones into their own memory. The numbers of elements given here are placeholders where the agent
//! sets them by the configuration at load.

use aya_ebpf::bindings::BPF_F_MMAPABLE;
use aya_ebpf::helpers::generated::bpf_ktime_get_ns;
use aya_ebpf::macros::map;
use aya_ebpf::maps::lpm_trie::Key;
use aya_ebpf::maps::{Array, LpmTrie, LruHashMap, PerCpuArray, RingBuf};
use lb_common::admission::{ALLOW_ENTRIES, AllowKey, AllowList, Occupancy, SOURCES as SOURCE_COUNT, Source};
use lb_common::counters::{PATHS as PATH_COUNT, PathCounters, path};
use lb_common::ending::{ENDINGS_BYTES, Ending};
use lb_common::event::{ConnectFailed, EVENTS_BYTES, Failure};
use lb_common::frontend::MAX_FRONTENDS;
use lb_common::index::Bucket;
use lb_common::local::{LOCAL_SOCKETS as LOCAL_SOCKET_COUNT, LocalSocket};
use lb_common::net::Addr;
use lb_common::reason::{REASONS as REASON_COUNT, Reason};
use lb_common::ring::{Ring, ring_index};
use lb_common::server::{Cursor, MAX_SERVERS};
use lb_common::setup::Setup;
use lb_common::slot::{Details, Slot};
use lb_common::syn::{Owner, SYNS, Syn};
use lb_common::time::Tick;
use lb_common::trace::{Record, TRACES_BYTES, Tracing};

use crate::atomic;

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

/// Copies of SYNs; see [`Owner::place`].
#[map]
static SYNS_SENT: Array<Syn> = Array::with_max_entries(SYNS, 0);

/// How many connections of each frontend are established, by frontend number.
#[map]
static OCCUPANCY: Array<Occupancy> = Array::with_max_entries(MAX_FRONTENDS, BPF_F_MMAPABLE);

/// The prefixes of the allow lists.
#[map]
static ALLOW: LpmTrie<AllowKey, u8> = LpmTrie::with_max_entries(ALLOW_ENTRIES, 0);

/// When the next connection of a source is due, in ns of `CLOCK_MONOTONIC`.
#[map]
static SOURCES: LruHashMap<Source, u64> = LruHashMap::with_max_entries(SOURCE_COUNT, 0);

/// What the agent is to hear of at once.
#[map]
static EVENTS: RingBuf = RingBuf::with_byte_size(EVENTS_BYTES, 0);

/// Connections that have ended.
#[map]
static ENDINGS: RingBuf = RingBuf::with_byte_size(ENDINGS_BYTES, 0);

/// One element: how many ends found no room in [`ENDINGS`].
#[map]
static ENDINGS_LOST: PerCpuArray<u64> = PerCpuArray::with_max_entries(1, 0);

/// Traffic by frontend and server; see [`path`].
#[map]
static PATHS: PerCpuArray<PathCounters> = PerCpuArray::with_max_entries(PATH_COUNT, 0);

/// Connections of the host itself by frontend and server; see [`path`].
#[map]
static LOCAL_PATHS: Array<u64> = Array::with_max_entries(PATH_COUNT, 0);

/// The sockets of those connections, by cookie. The kernel removes the least used when it is full,
/// so that what no program has removed fills no room for good.
#[map]
static LOCAL_SOCKETS: LruHashMap<u64, LocalSocket> = LruHashMap::with_max_entries(LOCAL_SOCKET_COUNT, 0);

/// Packets that were not plainly forwarded, by reason.
#[map]
static REASONS: PerCpuArray<u64> = PerCpuArray::with_max_entries(REASON_COUNT, 0);

/// What a tracer wants to know.
#[map]
static TRACING: Array<Tracing> = Array::with_max_entries(1, 0);

/// The packet that is being traced.
#[map]
static TRACE_SCRATCH: PerCpuArray<Record> = PerCpuArray::with_max_entries(1, 0);

/// What a tracer is told.
#[map]
static TRACES: RingBuf = RingBuf::with_byte_size(TRACES_BYTES, 0);

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

/// Where the copy of a connection's SYN is, or another's.
#[inline(always)]
#[must_use]
pub fn syn(owner: Owner) -> Option<*mut Syn> {
    SYNS_SENT.get_ptr_mut(owner.place())
}

/// How many connections of a frontend are established.
#[inline(always)]
#[must_use]
pub fn occupancy(frontend: u16) -> Option<*mut Occupancy> {
    OCCUPANCY.get_ptr_mut(u32::from(frontend))
}

/// Whether an allow list has a prefix of an address.
#[inline(always)]
#[must_use]
pub fn is_allowed(list: AllowList, addr: Addr) -> bool {
    let key = Key::new(AllowKey::LIST_BITS + u32::BITS, AllowKey { list, addr });
    ALLOW.get(key).is_some()
}

/// When the next connection of a source is due; zero for one that is not known.
#[inline(always)]
#[must_use]
pub fn due(source: &Source) -> u64 {
    // SAFETY: the word is copied at once; at worst another source's, whose element it was.
    unsafe { SOURCES.get(source) }.copied().unwrap_or(0)
}

/// Stores when the next connection of a source is due.
#[inline(always)]
pub fn set_due(source: &Source, due: u64) {
    // Without memory for one more source this one goes without a limit.
    let _ = SOURCES.insert(source, due, 0);
}

/// Tells the agent that a server did not take a connection, if there is one that listens.
#[inline(always)]
pub fn report(frontend: u16, server: u16, failure: Failure) {
    // SAFETY: the helper has no preconditions.
    let at = unsafe { bpf_ktime_get_ns() };
    let event = ConnectFailed { at, server, frontend, failure: failure as u32 };
    // A full buffer means that nobody has listened for a while.
    let _ = EVENTS.output::<ConnectFailed>(event, 0);
}

/// Tells the agent of a connection's end, which `write` puts into a record, every field of it; or counts it if
/// the agent has not kept up.
#[inline(always)]
pub fn tell(write: impl FnOnce(*mut Ending)) {
    if let Some(mut record) = ENDINGS.reserve::<Ending>(0) {
        write(record.as_mut_ptr());
        record.submit(0);
    } else if let Some(lost) = ENDINGS_LOST.get_ptr_mut(0) {
        // SAFETY: as in `count`.
        unsafe { *lost += 1 };
    }
}

/// Where the packet that is being traced is kept.
#[inline(always)]
#[must_use]
pub fn trace_scratch() -> Option<*mut Record> {
    TRACE_SCRATCH.get_ptr_mut(0)
}

/// Tells the tracer of a packet, if it wants it.
#[inline(always)]
pub fn trace(record: &Record) {
    let Some(tracing) = TRACING.get_ptr_mut(0) else { return };
    // SAFETY: a whole element of the map.
    if unsafe { &*tracing }.wants(record) && TRACES.output::<Record>(record, 0).is_err() {
        // SAFETY: as above; changed by the program only by this operation.
        unsafe { atomic::fetch_add_u64(&raw mut (*tracing).lost, 1) };
    }
}

/// Nobody is there any more who wants to know of packets.
#[inline(always)]
pub fn end_tracing() {
    if let Some(setup) = SETUP.get_ptr_mut(0) {
        // SAFETY: an aligned word of the map's one element, read as a whole elsewhere.
        unsafe { (&raw mut (*setup).settings.trace_until).write_volatile(Tick(0)) };
    }
}

/// Counts a packet that is not plainly forwarded.
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

/// Counts a connection of the host itself.
#[inline(always)]
pub fn count_local(frontend: u16, server: u16) {
    if let Some(counter) = LOCAL_PATHS.get_ptr_mut(path(frontend, server)) {
        // SAFETY: an element of the map, changed only by this operation. Atomic, because it runs in
        // processes, which preempt each other.
        unsafe { atomic::fetch_add_u64(counter, 1) };
    }
}

/// What is remembered of a socket of the host.
#[inline(always)]
#[must_use]
pub fn local(cookie: u64) -> Option<LocalSocket> {
    // SAFETY: only the socket's own system calls write it; should it be removed and its memory be
    // used for another meanwhile, the caller sees other addresses than the socket's.
    unsafe { LOCAL_SOCKETS.get(cookie) }.copied()
}

/// Remembers a socket of the host.
#[inline(always)]
pub fn remember_local(cookie: u64, socket: &LocalSocket) {
    // An LRU map makes room; without memory for a moment, the connection works all the same.
    let _ = LOCAL_SOCKETS.insert(cookie, socket, 0);
}

/// Forgets a socket of the host, if it is known.
#[inline(always)]
pub fn forget_local(cookie: u64) {
    let _ = LOCAL_SOCKETS.remove(cookie);
}
