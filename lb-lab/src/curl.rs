//! curl as a client that opens many connections.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::{Host, Result};

/// How long curl waits for one answer, in seconds.
const PATIENCE: &str = "30";

/// How many answers came from each server, by its name.
pub type Answers = BTreeMap<String, usize>;

/// Makes `count` requests from `host`, one after the other and each over a connection of its own,
/// and returns the names of the servers that answered, in order. Any failure is an error.
pub fn fetch(host: &Host, address: SocketAddr, count: usize) -> Result<Vec<String>> {
    fetch_each(host, &format!("http://{address}/[1-{count}]"), &[])
}

/// The same over TLS, for `/readyz`, from servers with any certificate.
pub fn fetch_tls(host: &Host, address: SocketAddr, count: usize) -> Result<Vec<String>> {
    fetch_each(host, &format!("https://{address}/readyz?[1-{count}]"), &["--insecure"])
}

fn fetch_each(host: &Host, url: &str, options: &[&str]) -> Result<Vec<String>> {
    let output = ["--silent", "--show-error", "--max-time", PATIENCE];
    // `--fail-early`, as otherwise curl's exit code tells of the last request only.
    let failure = ["--fail", "--fail-early"];
    let request = ["--header", "Connection: close", url];
    let names = host.run("curl", &[&output[..], &failure, options, &request].concat())?;
    Ok(names.lines().map(str::to_owned).collect())
}

/// Counts how often each name occurs.
pub fn tally(names: impl IntoIterator<Item = String>) -> Answers {
    let mut answers = Answers::new();
    for name in names {
        *answers.entry(name).or_default() += 1;
    }
    answers
}
