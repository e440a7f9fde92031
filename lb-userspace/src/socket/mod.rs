//! The control socket: how the command line talks to a running agent.
//!
//! A client sends one line, in the words of HAProxy's runtime API, and reads the answer to its end.
//! An empty answer is success; anything else says what is wrong, behind its [kind](crate::kind).

mod client;
mod command;
mod complaint;
mod listener;

pub use client::{NoAnswer, ask};
pub use command::{Command, NotACommand, ServerChange};
pub use complaint::Complaint;
pub use listener::{BindError, Listener, Request};

/// Where the socket of the host's one agent is.
pub const DEFAULT_PATH: &str = "/run/xlb/xlb.sock";

/// The longest line that is read, in bytes.
const LONGEST: u64 = 4096;
