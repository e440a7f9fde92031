//! Clients' failed connects as a sign of a server's health: HAProxy's `observe layer4`.

/// Counts a server's failed connects in a row.
///
/// The data plane tells of failures only. That there was a success in between shows in the server's
/// counter of established connections, which goes up with each.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Connects {
    failed: u32,
    established: u64,
}

impl Connects {
    /// Takes in a failed connect, and says how many there were in a row; `established` is the
    /// server's counter at that time.
    pub fn failed(&mut self, established: u64) -> u32 {
        // It also goes down, when another server takes over the number.
        if established != self.established {
            *self = Self { failed: 0, established };
        }
        self.failed = self.failed.saturating_add(1);
        self.failed
    }

    /// Begins to count again.
    pub fn start_again(&mut self) {
        self.failed = 0;
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
                    prop_assert_eq!(connects.failed(established), in_a_row);
                }
            }
        }
    }
}
