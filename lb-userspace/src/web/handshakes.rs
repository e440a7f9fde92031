//! How many sessions of TLS are begun. Each costs an operation with the private key, and the thread that does it has the
//! agent's other work to do.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::tally::{Limits, Tally};

/// Sessions in a span. A browser opens six connections. Of the keys in use one for RSA with 4096 bits costs most, some 25 ms:
/// then one client can have a quarter of the thread's time.
const LIMITS: Limits = Limits { all: 30, of_one: 10 };

/// How long a span is.
pub const SPAN: Duration = Duration::from_secs(1);

/// The sessions of an address that is listened on.
#[derive(Debug)]
pub struct Handshakes {
    tally: Tally,
    span: Duration,
    since: Instant,
}

impl Handshakes {
    /// None has been begun; those of a span are counted together.
    pub const fn new(span: Duration, now: Instant) -> Self {
        Self { tally: Tally::new(LIMITS), span, since: now }
    }

    /// Whether a client may begin one.
    pub fn admit(&mut self, client: IpAddr, now: Instant) -> bool {
        if now.duration_since(self.since) >= self.span {
            self.tally.clear();
            self.since = now;
        }
        self.tally.take(client)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// What one client has of a span.
    pub const OF_ONE: usize = LIMITS.of_one;

    #[test]
    fn each_span_has_so_many_for_a_client() {
        let start = Instant::now();
        let mut handshakes = Handshakes::new(SPAN, start);
        let [greedy, other] = [1, 2].map(|last| IpAddr::from([198, 18, 0, last]));
        for begin in [start, start + SPAN, start + SPAN * 5] {
            let later = begin + SPAN / 2;
            let admitted = (0..LIMITS.all).filter(|_| handshakes.admit(greedy, begin)).count();
            assert_eq!(admitted, OF_ONE);
            assert!(!handshakes.admit(greedy, later));
            assert!(handshakes.admit(other, later));
        }
    }
}
