//! Atomic operations on map memory.
//!
//! The BPF target of rustc has no `core::sync::atomic` compare-and-swap (`target_has_atomic` is
//! off), but with `-Ctarget-cpu=v3` LLVM compiles the intrinsics to the kernel's `cmpxchg` and
//! `fetch_add` instructions, which are fully ordered. On the host, where this crate is only
//! checked, the standard library's do.

/// Stores `new` at `ptr` if `old` stands there; tells whether it did.
///
/// # Safety
///
/// `ptr` is valid, aligned, and written by others only atomically.
#[inline(always)]
pub unsafe fn swap_u32(ptr: *mut u32, old: u32, new: u32) -> bool {
    #[cfg(target_arch = "bpf")]
    // SAFETY: the caller's promise.
    return unsafe { core::intrinsics::atomic_cxchg::<_, { SEQ_CST }, { SEQ_CST }>(ptr, old, new).1 };
    #[cfg(not(target_arch = "bpf"))]
    // SAFETY: the caller's promise.
    return unsafe { core::sync::atomic::AtomicU32::from_ptr(ptr) }
        .compare_exchange(old, new, SEQ_CST, SEQ_CST)
        .is_ok();
}

/// Stores `new` at `ptr` if `old` stands there; tells whether it did.
///
/// # Safety
///
/// As [`swap_u32`].
#[inline(always)]
pub unsafe fn swap_u64(ptr: *mut u64, old: u64, new: u64) -> bool {
    #[cfg(target_arch = "bpf")]
    // SAFETY: the caller's promise.
    return unsafe { core::intrinsics::atomic_cxchg::<_, { SEQ_CST }, { SEQ_CST }>(ptr, old, new).1 };
    #[cfg(not(target_arch = "bpf"))]
    // SAFETY: the caller's promise.
    return unsafe { core::sync::atomic::AtomicU64::from_ptr(ptr) }
        .compare_exchange(old, new, SEQ_CST, SEQ_CST)
        .is_ok();
}

/// Adds `n` at `ptr` and returns what stood there before.
///
/// # Safety
///
/// As [`swap_u32`].
#[inline(always)]
pub unsafe fn fetch_add_u64(ptr: *mut u64, n: u64) -> u64 {
    #[cfg(target_arch = "bpf")]
    // SAFETY: the caller's promise.
    return unsafe { core::intrinsics::atomic_xadd::<_, _, { SEQ_CST }>(ptr, n) };
    #[cfg(not(target_arch = "bpf"))]
    // SAFETY: the caller's promise.
    return unsafe { core::sync::atomic::AtomicU64::from_ptr(ptr) }.fetch_add(n, SEQ_CST);
}

#[cfg(target_arch = "bpf")]
const SEQ_CST: core::intrinsics::AtomicOrdering = core::intrinsics::AtomicOrdering::SeqCst;
#[cfg(not(target_arch = "bpf"))]
const SEQ_CST: core::sync::atomic::Ordering = core::sync::atomic::Ordering::SeqCst;
