//! Whether the agent's main loop goes on: it says so once a second, and watchdogs ask.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often the main loop says that it goes on.
pub const BEAT: Duration = Duration::from_secs(1);

/// How long it may say nothing: a reload that waits for the kernel, or a look through a million slots, takes far less.
const PATIENCE: Duration = Duration::from_secs(5);

/// When the main loop last said that it goes on. Clones are the same one.
#[derive(Clone, Debug, Default)]
pub struct Pulse(Arc<Mutex<Option<Instant>>>);

impl Pulse {
    /// The main loop goes on.
    pub fn beat(&self, now: Instant) {
        // An instant is never half written.
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
    }

    /// Whether it has said so lately. It has not before it has begun.
    #[must_use]
    pub fn is_felt(&self, now: Instant) -> bool {
        let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.is_some_and(|last| now.saturating_duration_since(last) < PATIENCE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_that_has_not_begun_or_has_stopped_is_not_felt() {
        let (pulse, start) = (Pulse::default(), Instant::now());
        assert!(!pulse.is_felt(start));
        pulse.clone().beat(start);
        assert!(pulse.is_felt(start) && pulse.is_felt(start + BEAT * 4));
        assert!(!pulse.is_felt(start + PATIENCE));
        pulse.beat(start + PATIENCE);
        assert!(pulse.is_felt(start + PATIENCE + BEAT));
    }
}
