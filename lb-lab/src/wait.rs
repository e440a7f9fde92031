//! Waiting for events that nothing announces.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use crate::http;
use crate::{Error, Host, Result};

/// How long anything is waited for: far longer than it takes, as its absence is an error.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// How often something is looked at that cannot announce a change.
const PAUSE: Duration = Duration::from_millis(10);

/// Waits until `look` sees what it looks for.
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> Result<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return Ok(found);
        }
        if Instant::now() > deadline {
            return Err(Error::Timeout { what: what.to_owned(), context: String::new() });
        }
        thread::sleep(PAUSE);
    }
}

/// Waits until something accepts connections at `address`, as seen from `host`.
pub fn for_listener(host: &Host, address: SocketAddr) -> Result<()> {
    host.inside(|| until(&format!("a listener at {address}"), || http::connect(address).ok())).map(drop)
}
