//! `xlb check`: validates a configuration without a look at the system.

use std::fmt;
use std::io::{Write, stdout};
use std::path::PathBuf;

use super::Error;
use crate::config::{Config, DEFAULT_FILE, Loaded};
use crate::plan;

/// Validate a configuration without touching the system.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The configuration.
    #[arg(long, value_name = "FILE", default_value = DEFAULT_FILE)]
    pub config: PathBuf,
}

/// Says what is in the configuration, or why it cannot be used.
pub fn run(args: &Args) -> Result<(), Error> {
    let Loaded { config, warnings, .. } = Loaded::load(&args.config)?;
    write!(stdout(), "{}: OK\n{}", args.config.display(), Summary(&config))?;
    if !warnings.is_empty() {
        writeln!(stdout(), "{warnings}")?;
    }
    Ok(())
}

/// A configuration in a few lines.
struct Summary<'c>(&'c Config);

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let config = self.0;
        let nat: Vec<String> = config.nat_addresses.iter().map(ToString::to_string).collect();
        let slots = plan::sizes(config).slots_of_server();
        writeln!(f, "interface {}, mode {}", config.interface, config.mode)?;
        writeln!(f, "NAT ports {} of {}: {slots} for each server", config.nat_ports, nat.join(", "))?;
        for frontend in &config.frontends {
            let backend = config.backend_of(frontend);
            let servers: Vec<&str> = backend.servers.iter().map(|server| server.name.as_str()).collect();
            let (name, bind) = (&frontend.name, frontend.bind);
            writeln!(f, "frontend {name} {bind} -> backend {}: {}", backend.name, servers.join(", "))?;
        }
        Ok(())
    }
}
