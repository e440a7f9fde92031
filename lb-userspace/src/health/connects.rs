//! Clients' failed connects as a sign of a server's health: HAProxy's `observe layer4`.

/// Counts a server's failed connects in a row.
///
/// The data plane tells of failures only. That there was a success in between shows in the server's
/// counter of established connections, which goes up with each.
///
/// A server that refuses has said so itself. One that does not answer may have been sent a SYN that
/// no server would answer, by anybody: such failures count only once a check has failed, too.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Connects {
    failed: u32,
    unanswered: u32,
    established: u64,
}

impl Connects {
    /// Takes in a connect that was refused; `established` is the server's counter at that time.
    pub fn refused(&mut self, established: u64) {
        self.look_for_success(established);
        self.failed = self.failed.saturating_add(1);
    }

    /// Takes in one that was not answered.
    pub fn unanswered(&mut self, established: u64) {
        self.look_for_success(established);
        self.unanswered = self.unanswered.saturating_add(1);
    }

    /// A check has found the server well or not.
    pub fn checked(&mut self, passed: bool) {
        let unanswered = std::mem::take(&mut self.unanswered);
        if !passed {
            self.failed = self.failed.saturating_add(unanswered);
        }
    }

    /// How many have failed in a row, of those that count.
    pub const fn failed(&self) -> u32 {
        self.failed
    }

    /// Begins to count again.
    pub fn start_again(&mut self) {
        (self.failed, self.unanswered) = (0, 0);
    }

    fn look_for_success(&mut self, established: u64) {
        // It also goes down, when another server takes over the number.
        if established != self.established {
            *self = Self { established, ..Self::default() };
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn counts_since_the_last_success(history: Vec<bool>) {
            let (mut connects, mut established, mut in_a_row) = (Connects::default(), 7, 0);
            for success in history {
                if success {
                    established += 1;
                    in_a_row = 0;
                } else {
                    in_a_row += 1;
                    connects.refused(established);
                    prop_assert_eq!(connects.failed(), in_a_row);
                }
            }
        }
    }

    #[test]
    fn what_is_not_answered_counts_when_a_check_fails() {
        let mut connects = Connects::default();
        let mut failed_after = |unanswered, passed| {
            (0..unanswered).for_each(|_| connects.unanswered(7));
            connects.checked(passed);
            connects.failed()
        };
        assert_eq!(failed_after(1000, true), 0, "a stranger's SYNs take nobody down");
        assert_eq!(failed_after(0, false), 0, "and are forgotten");
        assert_eq!(failed_after(3, false), 3);
        assert_eq!(failed_after(2, false), 5);
        connects.unanswered(8);
        connects.checked(false);
        assert_eq!(connects.failed(), 1, "a client got through in between");
    }
}
