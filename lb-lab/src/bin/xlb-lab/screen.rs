//! What the user sees while the demonstration runs.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use comfy_table::{Table, presets};
use lb_lab::stats::{self, Stats};
use lb_lab::traffic::Tally;

use crate::demo::Demo;
use crate::seed;
use crate::server::Server;

/// How many lines of the agent's log are shown.
const LOG_LINES: usize = 6;
/// Erases the terminal and goes to its first line.
const CLEAR: &str = "\x1b[2J\x1b[H";

/// Where the user looks: a terminal that is drawn again and again, or a file that gets lines.
#[derive(Debug)]
pub enum Screen {
    Terminal,
    Lines,
}

impl Screen {
    /// Finds out what stdout is.
    pub fn new() -> Self {
        if io::stdout().is_terminal() { Self::Terminal } else { Self::Lines }
    }

    /// Time between two pictures.
    pub fn pause(&self) -> Duration {
        match self {
            Self::Terminal => Duration::from_secs(1),
            Self::Lines => Duration::from_secs(5),
        }
    }

    /// Shows how things are.
    pub fn show(&self, demo: &Demo) -> anyhow::Result<()> {
        let (stats, tally) = (demo.stats()?, demo.tally());
        let picture = match self {
            Self::Terminal => picture(demo, &stats, &tally),
            Self::Lines => line(demo, &stats, &tally),
        };
        let mut stdout = io::stdout().lock();
        stdout.write_all(picture.as_bytes())?;
        stdout.flush()?;
        Ok(())
    }
}

/// One line for a file.
fn line(demo: &Demo, stats: &Stats, tally: &Tally) -> String {
    let server = |server: &stats::Server| format!("{} {} {}", server.name, server.state, server.connections);
    let servers: Vec<_> = stats.servers_of(seed::FRONTEND).map(server).collect();
    format!("{:>4} s  {}  failed {}\n", demo.age().as_secs(), servers.join(", "), tally.failures)
}

/// Everything for a terminal.
fn picture(demo: &Demo, stats: &Stats, tally: &Tally) -> String {
    let (lab, log) = (demo.lab(), demo.balancer().log().text());
    let log: Vec<_> = log.lines().collect();
    format!(
        "{CLEAR}xlb on {} balances {}:{} for {} clients on the LAN and {} behind a router, since {} s.\n\n\
         {}\n\nConnections that failed: {}\n\nxlb says:\n{}\n\n{}\n",
        lab.balancer,
        lab.balancer.address(),
        seed::PORT,
        lab.lan_clients.len(),
        lab.routed_clients.len(),
        demo.age().as_secs(),
        table(demo.servers(), stats),
        tally.failures,
        log[log.len().saturating_sub(LOG_LINES)..].join("\n"),
        hints(demo),
    )
}

fn table(servers: &[Server], stats: &Stats) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table.set_header(["", "server", "nginx", "health", "connections", "open", "bytes in", "bytes out"]);
    for (index, server) in servers.iter().enumerate() {
        let process = server.process().map_or("stopped".to_owned(), |id| format!("pid {id}"));
        let key = (index + 1).to_string();
        let counted = stats.servers_of(seed::FRONTEND).find(|counted| counted.name == server.name());
        let cells = counted.map(cells).unwrap_or_default();
        table.add_row([key, server.name().to_owned(), process].into_iter().chain(cells));
    }
    table
}

fn cells(server: &stats::Server) -> [String; 5] {
    [
        server.state.clone(),
        server.connections.to_string(),
        server.current.to_string(),
        server.bytes_in.to_string(),
        server.bytes_out.to_string(),
    ]
}

fn hints(demo: &Demo) -> String {
    let xlb = &demo.balancer().xlb;
    format!(
        "Type 1, 2 or 3 and Enter to stop or start a server, or kill its process from elsewhere.\n\
         Look around: sudo nsenter --target {} --mount --net env XLB_PINS={} {} connections\n\
         Ctrl-C ends this and leaves no trace.",
        demo.balancer().id(),
        xlb.pins().display(),
        xlb.program().display(),
    )
}
