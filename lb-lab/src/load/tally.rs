//! Counts over many connections.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::time::Duration;

use super::{Attempt, Outcome};
use crate::curl::Answers;

/// How many connections failed in each way.
pub type Failures = BTreeMap<io::ErrorKind, u64>;

/// Counts over many connections.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// All of them.
    pub made: u64,
    /// Those that each server answered, by its name.
    pub served: Answers,
    /// Those that were not made.
    pub not_connected: Failures,
    /// Those that were made, but ended without an answer.
    pub not_answered: Failures,
    /// The longest time that one took to connect, or to fail to.
    pub worst_connect: Duration,
    /// The longest time that one took until it was answered or failed.
    pub worst_time: Duration,
    /// How many needed so many retransmissions of their SYN, from one on.
    pub retransmissions: BTreeMap<u32, u64>,
}

impl Tally {
    /// Counts these connections.
    #[must_use]
    pub fn of<'a>(attempts: impl IntoIterator<Item = &'a Attempt>) -> Self {
        let mut tally = Self::default();
        attempts.into_iter().for_each(|attempt| tally.count(attempt));
        tally
    }

    fn count(&mut self, attempt: &Attempt) {
        self.made += 1;
        match &attempt.outcome {
            Outcome::Answered(server) => *self.served.entry(server.clone()).or_default() += 1,
            Outcome::NotConnected(kind) => *self.not_connected.entry(*kind).or_default() += 1,
            Outcome::NotAnswered(kind) => *self.not_answered.entry(*kind).or_default() += 1,
        }
        self.worst_connect = self.worst_connect.max(attempt.connect_time);
        self.worst_time = self.worst_time.max(attempt.time);
        if attempt.syn_retransmissions > 0 {
            *self.retransmissions.entry(attempt.syn_retransmissions).or_default() += 1;
        }
    }

    /// Those that were not made, or ended without an answer.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.not_connected.values().chain(self.not_answered.values()).sum()
    }

    /// Those that a server answered.
    #[must_use]
    pub fn answered(&self) -> u64 {
        self.made - self.failed()
    }

    /// Those that needed at least so many retransmissions of their SYN.
    #[must_use]
    pub fn retransmitted(&self, at_least: u32) -> u64 {
        self.retransmissions.range(at_least..).map(|(_, connections)| connections).sum()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { made, worst_connect, worst_time, .. } = self;
        write!(f, "{made} connections: {} answered", self.answered())?;
        for (kind, count) in &self.not_connected {
            write!(f, ", {count} not connected ({kind})")?;
        }
        for (kind, count) in &self.not_answered {
            write!(f, ", {count} not answered ({kind})")?;
        }
        write!(f, "; worst connect {worst_connect:.1?}, worst answer {worst_time:.1?}")?;
        for (retransmissions, count) in &self.retransmissions {
            write!(f, "; {count} needed {retransmissions} SYN retransmission(s)")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn attempt(outcome: Outcome, milliseconds: u64, syn_retransmissions: u32) -> Attempt {
        let time = Duration::from_millis(milliseconds);
        Attempt { began: Instant::now(), connect_time: time / 2, time, syn_retransmissions, outcome }
    }

    #[test]
    fn every_connection_is_counted_by_its_end() {
        let tally = Tally::of(&[
            attempt(Outcome::Answered("fenn".to_owned()), 2, 0),
            attempt(Outcome::Answered("fenn".to_owned()), 1002, 1),
            attempt(Outcome::NotConnected(io::ErrorKind::ConnectionRefused), 2, 0),
            attempt(Outcome::NotAnswered(io::ErrorKind::UnexpectedEof), 4000, 3),
        ]);
        assert_eq!((tally.made, tally.answered(), tally.failed()), (4, 2, 2));
        assert_eq!(tally.served, Answers::from([("fenn".to_owned(), 2)]));
        assert_eq!((tally.retransmitted(1), tally.retransmitted(2)), (2, 1));
        assert_eq!(tally.worst_connect, Duration::from_secs(2));
        assert_eq!(
            tally.to_string(),
            "4 connections: 2 answered, 1 not connected (connection refused), \
             1 not answered (unexpected end of file); worst connect 2.0s, worst answer 4.0s; \
             1 needed 1 SYN retransmission(s); 1 needed 3 SYN retransmission(s)"
        );
    }
}
