//! How many clients are served at once, and how many of them may be one and the same.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::tally::{Limits, Tally};

/// Connections at once. A browser opens six.
const LIMITS: Limits = Limits { all: 256, of_one: 32 };

/// The places of an address that is listened on. Clones are the same ones.
#[derive(Clone, Debug)]
pub struct Places(Arc<Mutex<Tally>>);

/// A place that is taken until it is dropped.
#[derive(Debug)]
pub struct Place {
    places: Places,
    client: IpAddr,
}

impl Default for Places {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Tally::new(LIMITS))))
    }
}

impl Places {
    /// A place for a client, if there is one.
    pub fn take(&self, client: IpAddr) -> Option<Place> {
        self.tally().take(client).then(|| Place { places: self.clone(), client })
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.tally().give_back(self.client);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_free_again_when_its_client_leaves_it() {
        let places = Places::default();
        let greedy = IpAddr::from([198, 18, 0, 1]);
        let mut taken: Vec<_> = (0..LIMITS.of_one).filter_map(|_| places.take(greedy)).collect();
        assert_eq!(taken.len(), LIMITS.of_one);
        assert!(places.take(greedy).is_none());
        taken.pop();
        assert!(places.take(greedy).is_some());
    }
}
