//! What can happen while the demonstration runs: time passes, a key is pressed, a signal arrives.

use std::io::{self, IsTerminal, Read};
use std::os::fd::AsFd;
use std::time::Instant;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// Something that happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The time that was waited for has come.
    Time,
    /// The user asked to stop or start the server with this index.
    Toggle(usize),
    /// The user asked for the end.
    End,
}

/// Where events come from.
#[derive(Debug)]
pub struct Events {
    signals: SignalFd,
}

impl Events {
    /// Takes SIGINT, SIGTERM and SIGHUP as events from now on.
    pub fn listen() -> io::Result<Self> {
        let ends: SigSet = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP].into_iter().collect();
        ends.thread_block()?;
        Ok(Self { signals: SignalFd::with_flags(&ends, SfdFlags::SFD_CLOEXEC)? })
    }

    /// Waits for the next event, until a moment at the latest.
    pub fn next(&self, latest: Instant) -> io::Result<Event> {
        let stdin = io::stdin();
        let mut sources = vec![PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
        if stdin.is_terminal() {
            sources.push(PollFd::new(stdin.as_fd(), PollFlags::POLLIN));
        }
        loop {
            let left = latest.saturating_duration_since(Instant::now());
            let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
            if poll(&mut sources, timeout)? == 0 {
                return Ok(Event::Time);
            }
            if sources[0].any() == Some(true) {
                return Ok(Event::End);
            }
            if let Some(event) = read_key(&stdin)? {
                return Ok(event);
            }
        }
    }
}

/// Reads a line that was typed; what has no meaning is no event.
fn read_key(mut stdin: &io::Stdin) -> io::Result<Option<Event>> {
    let mut typed = [0; 64];
    let length = stdin.read(&mut typed)?;
    if length == 0 {
        return Ok(Some(Event::End));
    }
    let digit = typed[..length].iter().find_map(|key| char::from(*key).to_digit(10));
    Ok(digit.and_then(|digit| (digit as usize).checked_sub(1)).map(Event::Toggle))
}
