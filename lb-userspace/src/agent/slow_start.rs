//! Servers that have come back and get their share bit by bit.

use std::collections::BTreeMap;
use std::net::SocketAddrV4;
use std::time::{Duration, Instant};

use crate::clock;
use crate::config::Config;
use crate::control::{Portion, WantedServer};
use crate::dataplane::status::Status;

/// The servers whose share still grows, by address.
#[derive(Debug, Default)]
pub(super) struct SlowStarts {
    running: BTreeMap<SocketAddrV4, SlowStart>,
}

#[derive(Clone, Copy, Debug)]
struct SlowStart {
    began: Instant,
    length: Duration,
}

/// How long a server's share grows, if it does.
pub(super) fn length(config: &Config, server: SocketAddrV4) -> Option<Duration> {
    config.servers().find(|(_, configured)| configured.address == server)?.1.slow_start
}

impl SlowStarts {
    /// Those that another agent has begun and not come to the end of.
    pub fn resumed(config: &Config, before: &Status, now: Instant) -> Self {
        let mut starts = Self::default();
        for server in &before.servers {
            if let (Some(began), Some(length)) = (server.came_back_at, length(config, server.address)) {
                starts.begin(server.address, length, clock::instant(began));
            }
        }
        starts.advance(now);
        starts
    }

    /// Gives each server the portion that is its own now.
    pub fn portion_out(&self, servers: &mut [WantedServer], now: Instant) {
        for server in servers {
            server.portion = self.portion(server.address, now);
        }
    }

    /// A server has come back, and has its whole share after `length`.
    pub fn begin(&mut self, server: SocketAddrV4, length: Duration, began: Instant) {
        self.running.insert(server, SlowStart { began, length });
    }

    /// A server is gone, or down again.
    pub fn end(&mut self, server: SocketAddrV4) {
        self.running.remove(&server);
    }

    /// Ends those of servers that have left the configuration.
    pub fn retain(&mut self, config: &Config) {
        self.running.retain(|address, _| config.servers().any(|(_, server)| server.address == *address));
    }

    /// Whether no share grows.
    pub fn is_empty(&self) -> bool {
        self.running.is_empty()
    }

    /// What a server gets of its share now.
    pub fn portion(&self, server: SocketAddrV4, now: Instant) -> Portion {
        self.running.get(&server).map_or(Portion::WHOLE, |slow| {
            let elapsed = now.saturating_duration_since(slow.began);
            Portion::of(elapsed.as_secs_f64() / slow.length.as_secs_f64())
        })
    }

    /// What each of them gets now; those that have come to the whole are forgotten.
    pub fn advance(&mut self, now: Instant) -> Vec<(SocketAddrV4, Portion)> {
        let portions: Vec<_> =
            self.running.keys().map(|server| (*server, self.portion(*server, now))).collect();
        self.running.retain(|_, slow| now.saturating_duration_since(slow.began) < slow.length);
        portions
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::config::tests::one_server;

    const SERVER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(198, 18, 0, 11), 6443);
    const LENGTH: Duration = Duration::from_secs(32);

    #[test]
    fn a_share_grows_to_the_whole() {
        let began = Instant::now();
        let mut starts = SlowStarts::default();
        assert_eq!(starts.portion(SERVER, began), Portion::WHOLE);
        starts.begin(SERVER, LENGTH, began);
        let mut portion_after = |seconds| {
            let [(server, portion)] = starts.advance(began + Duration::from_secs(seconds))[..] else {
                panic!("one server is starting");
            };
            assert_eq!(server, SERVER);
            portion
        };
        assert_eq!(portion_after(0), Portion::of(1.0 / 16.0), "it gets something from the beginning");
        assert_eq!(portion_after(8), Portion::of(0.25));
        assert_eq!(portion_after(16), Portion::of(0.5));
        assert_eq!(portion_after(32), Portion::WHOLE);
        assert!(starts.is_empty());
    }

    #[test]
    fn who_leaves_the_configuration_does_not_start_any_more() {
        let config = one_server("");
        let mut starts = SlowStarts::default();
        let moved = SocketAddrV4::new(Ipv4Addr::new(198, 18, 0, 15), 6443);
        let began = Instant::now();
        starts.begin(SERVER, LENGTH, began);
        starts.begin(moved, LENGTH, began);
        starts.retain(&config);
        assert_eq!(starts.portion(moved, began), Portion::WHOLE);
        assert_ne!(starts.portion(SERVER, began), Portion::WHOLE);
    }

    #[test]
    fn who_goes_down_again_starts_anew() {
        let began = Instant::now();
        let mut starts = SlowStarts::default();
        starts.begin(SERVER, LENGTH, began);
        starts.end(SERVER);
        assert!(starts.is_empty());
        assert_eq!(starts.portion(SERVER, began), Portion::WHOLE);
    }
}
