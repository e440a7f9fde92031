//! Locks of what is never half written.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks counts, flags and lists, which whoever panicked while holding them left whole.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
