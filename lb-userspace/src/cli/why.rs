//! `xlb why`: which way a client's connections go, and why, with or without an agent.

use std::io::{Write, stdout};

use super::Error;
use crate::dataplane::pins::Pins;
use crate::observe::Observer;
use crate::stats::{Filter, Style};
use crate::why::{self, Client, Why};

/// Explain a client's connections: server, rewrite, state, what happens next; without one, what would become
/// of a new one.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The client, or one port of it
    #[arg(value_name = "ADDRESS[:PORT]")]
    client: Client,

    /// Print JSON, with exact numbers
    #[arg(long)]
    json: bool,
}

/// Prints the answer.
pub fn run(args: &Args, pins: &Pins) -> Result<(), Error> {
    let why = look(args.client, &Observer::open(pins)?)?;
    let text =
        if args.json { why::json(&why) } else { why::text(&why, args.client.is_one(), Style::of_stdout()) };
    Ok(writeln!(stdout(), "{}", text.trim_end())?)
}

fn look(client: Client, observer: &Observer) -> Result<Why, Error> {
    let flows = observer.flows(client.filter())?;
    let filter = Filter { client: Some(client.filter()), ..Filter::default() };
    let mut local = observer.connections(&filter)?;
    local.retain(|connection| connection.local);
    let is_open = !local.is_empty() || flows.iter().any(|flow| flow.is_live && flow.state.is_open());
    let new_connection = if is_open { Vec::new() } else { observer.prospects(client.address())? };
    let is_this_host = observer.is_own(client.address());
    Ok(Why { client: client.to_string(), flows, local, new_connection, is_this_host })
}
