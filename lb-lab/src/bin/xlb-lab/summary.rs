//! What came of the demonstration.

use std::fmt;
use std::time::Duration;

use lb_lab::traffic::Tally;

use crate::server::Server;

/// What came of the demonstration.
#[derive(Debug)]
pub struct Summary {
    length: Duration,
    /// Connections that each server served, by its name.
    served: Vec<(String, usize)>,
    tally: Tally,
    undisturbed: bool,
}

impl Summary {
    /// Sums up what the clients of these servers counted.
    pub fn new(length: Duration, tally: Tally, servers: &[Server]) -> Self {
        let count = |server: &Server| tally.served.get(server.name()).copied().unwrap_or_default();
        let served = servers.iter().map(|server| (server.name().to_owned(), count(server))).collect();
        Self { length, served, tally, undisturbed: servers.iter().all(Server::is_undisturbed) }
    }

    /// Whether every server served, and no connection failed unless the user stopped a server.
    pub fn is_good(&self) -> bool {
        self.served.iter().all(|(_, count)| *count > 0) && (self.tally.failures == 0 || !self.undisturbed)
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let length = humantime::format_duration(Duration::from_secs(self.length.as_secs()));
        writeln!(f, "\nSummary after {length}:")?;
        for (server, count) in &self.served {
            writeln!(f, "  {server:<10} served {count} connections")?;
        }
        let reason = if self.undisturbed { "" } else { " (a server was stopped meanwhile)" };
        writeln!(f, "  {:<10} {}{reason}", "failed", self.tally.failures)?;
        for message in &self.tally.messages {
            writeln!(f, "    {message}")?;
        }
        Ok(())
    }
}
