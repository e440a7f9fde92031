//! `xlb import`: translates a `haproxy.cfg`.

use std::fs;
use std::io::{Read, Write, stderr, stdin, stdout};
use std::net::Ipv4Addr;

use super::Error;
use crate::config::haproxy::{self, Import};
use crate::config::{self, Loaded, interface_with};

/// The argument that stands for standard input, and what messages call it.
const STDIN: (&str, &str) = ("-", "haproxy.cfg");

/// Translate a haproxy.cfg into an xlb.toml on standard output.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The file to translate; "-" reads standard input.
    #[arg(value_name = "HAPROXY.CFG")]
    pub file: String,

    /// The network interface of the frontends [default: the one that has their address]
    #[arg(long, value_name = "NAME")]
    pub interface: Option<String>,
}

/// Prints the new configuration, and on standard error what to know about it.
///
/// The result is validated like any other configuration; what is wrong with it is an error.
pub fn run(args: &Args) -> Result<(), Error> {
    let (file, text) = read(&args.file)?;
    let Import { toml, notes } = haproxy::import(&file, &text, |address| interface(args, address))?;
    write!(stdout(), "{toml}")?;
    write!(stderr(), "{notes}")?;
    Loaded::parse("xlb.toml", &toml)?;
    Ok(())
}

fn read(file: &str) -> Result<(String, String), config::Error> {
    let (name, text) = if file == STDIN.0 {
        let mut text = String::new();
        (STDIN.1, stdin().read_to_string(&mut text).map(|_| text))
    } else {
        (file, fs::read_to_string(file))
    };
    let name = name.to_owned();
    match text {
        Ok(text) => Ok((name, text)),
        Err(source) => Err(config::Error::Unreadable { file: name, source }),
    }
}

/// The interface that the caller names, else the one that has the address.
fn interface(args: &Args, address: Option<Ipv4Addr>) -> Option<String> {
    // A host that does not list its interfaces is like one that does not have the address.
    args.interface.clone().or_else(|| interface_with(address?).ok()?)
}
