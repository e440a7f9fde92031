//! Following what a program writes.

use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use crate::wait::PATIENCE;
use crate::{Error, Result};

/// The lines that a program has written so far, to wait in.
///
/// Reading goes forward, as on paper: every wait begins after the line where the last one ended.
#[derive(Debug, Clone, Default)]
pub struct Log {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    page: Mutex<Page>,
    news: Condvar,
}

#[derive(Debug, Default)]
struct Page {
    lines: Vec<String>,
    read: usize,
    ended: bool,
}

impl Log {
    /// Follows a stream until it ends, on a thread of its own.
    pub(crate) fn follow(stream: impl Read + Send + 'static) -> Self {
        let log = Self::default();
        let writer = log.clone();
        thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(std::result::Result::ok) {
                writer.shared.change(|page| page.lines.push(line));
            }
            writer.shared.change(|page| page.ended = true);
        });
        log
    }

    /// Waits for the next line that contains `text`, and returns it.
    pub fn wait_for(&self, text: &str) -> Result<String> {
        let deadline = Instant::now() + PATIENCE;
        let mut page = self.shared.lock();
        loop {
            if let Some(line) = page.advance(text) {
                return Ok(line);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if page.ended || left.is_zero() {
                let what = format!("a line with \"{text}\"");
                return Err(Error::Timeout { what, context: page.lines.join("\n") });
            }
            page = self.shared.news.wait_timeout(page, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Everything written so far.
    #[must_use]
    pub fn text(&self) -> String {
        self.shared.lock().lines.join("\n")
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Page> {
        // A page is never half written: whoever panicked while holding it left it whole.
        self.page.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Page)) {
        change(&mut self.lock());
        self.news.notify_all();
    }
}

impl Page {
    /// Reads on until a line contains `text`.
    fn advance(&mut self, text: &str) -> Option<String> {
        let unread = &self.lines[self.read..];
        let Some(found) = unread.iter().position(|line| line.contains(text)) else {
            self.read = self.lines.len();
            return None;
        };
        let line = unread[found].clone();
        self.read += found + 1;
        Some(line)
    }
}
