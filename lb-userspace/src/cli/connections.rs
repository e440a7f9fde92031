//! `xlb connections`: the connections of a data plane, with or without an agent.

use std::io::{Write, stdout};

use lb_common::tcp::State;

use super::Error;
use crate::dataplane::pins::Pins;
use crate::observe::Observer;
use crate::stats::{ClientFilter, Filter, Style, connections_json, connections_table, parse_state};

/// List connections.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print JSON, with exact numbers
    #[arg(long)]
    json: bool,

    /// Only of these clients: an address, a prefix, or an address and port
    #[arg(long, value_name = "CLIENT")]
    client: Option<ClientFilter>,

    /// Only to this server
    #[arg(long, value_name = "NAME")]
    server: Option<String>,

    /// Only to this frontend
    #[arg(long, value_name = "NAME")]
    frontend: Option<String>,

    /// Only in this state, as `ss` names it
    #[arg(long, value_name = "STATE", value_parser = parse_state)]
    state: Option<State>,
}

/// Prints them.
pub fn run(args: &Args, pins: &Pins) -> Result<(), Error> {
    let filter = Filter {
        client: args.client,
        server: args.server.clone(),
        frontend: args.frontend.clone(),
        state: args.state,
    };
    let connections = Observer::open(pins)?.connections(&filter)?;
    let text = if args.json {
        connections_json(&connections)
    } else {
        connections_table(&connections, Style::of_stdout())
    };
    Ok(writeln!(stdout(), "{}", text.trim_end())?)
}
