//! HAProxy's runtime API (section 9.3 of its management guide, version 2.6): its words, and its answers.
//!
//! [`order`] reads the words, [`show`] answers what only shows something, and [`help`] lists what there is.

mod help;
mod order;
mod servers;
mod show;
mod table;

pub(super) use order::{Asked, Order, asked};
pub(super) use show::Show;
