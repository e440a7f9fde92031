//! The control socket: HAProxy's runtime API, and how the command line talks to a running agent.
//!
//! A client sends lines and gets an answer to each command ([`conversation`]). What HAProxy's words ask for
//! is read and answered in [`runtime`]: what only shows something, from a view of the balancer; what changes
//! something, by the agent's main loop, as a [`Request`]. A line that begins with `xlb` is one of the command
//! line's own: an empty answer is success, and anything else says what is wrong, behind its
//! [kind](crate::kind).

mod client;
mod command;
mod complaint;
mod conversation;
mod listener;
mod runtime;
mod server_name;
mod service;

pub use client::{NoAnswer, ask};
pub use command::{Command, NotACommand, ServerChange, Weight};
pub use complaint::Complaint;
pub use listener::{BindError, Listener};
pub use server_name::{Missing, ServerName};
#[cfg(test)]
pub(crate) use service::tests as service_tests;
pub use service::{Request, Service, Watched, instruct};

/// The word that the command line's own lines begin with.
const OWN_VERB: &str = "xlb";
