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
    lines: Vec<Line>,
    read: usize,
    ended: bool,
}

/// A line that a program has written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// What it says.
    pub text: String,
    /// When it was there to be read.
    pub at: Instant,
}

impl Log {
    /// Follows a stream until it ends, on a thread of its own.
    pub(crate) fn follow(stream: impl Read + Send + 'static) -> Self {
        let log = Self::default();
        let writer = log.clone();
        thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(std::result::Result::ok) {
                writer.shared.change(|page| {
                    page.lines.push(Line { text: line, at: Instant::now() });
                });
            }
            writer.shared.change(|page| page.ended = true);
        });
        log
    }

    /// Waits for the next line that contains `text`, and returns it.
    pub fn wait_for(&self, text: &str) -> Result<String> {
        self.wait_for_line(&[text]).map(|line| line.text)
    }

    /// Waits for the next line that contains all of these words, and tells when it was written too.
    pub fn wait_for_line(&self, words: &[&str]) -> Result<Line> {
        let deadline = Instant::now() + PATIENCE;
        let mut page = self.shared.lock();
        loop {
            if let Some(line) = page.advance(words) {
                return Ok(line);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if page.ended || left.is_zero() {
                let what = format!("a line with {words:?}");
                return Err(Error::Timeout { what, context: page.text() });
            }
            page = self.shared.news.wait_timeout(page, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Everything written so far.
    #[must_use]
    pub fn text(&self) -> String {
        self.shared.lock().text()
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
    fn text(&self) -> String {
        self.lines.iter().map(|line| line.text.as_str()).collect::<Vec<_>>().join("\n")
    }

    /// Reads on until a line contains all of the words.
    fn advance(&mut self, words: &[&str]) -> Option<Line> {
        let unread = &self.lines[self.read..];
        let fits = |line: &Line| words.iter().all(|word| line.text.contains(word));
        let Some(found) = unread.iter().position(fits) else {
            self.read = self.lines.len();
            return None;
        };
        let line = unread[found].clone();
        self.read += found + 1;
        Some(line)
    }
}
