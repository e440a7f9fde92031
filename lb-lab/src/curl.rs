//! curl as a client that opens many connections.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::process::Command;

use crate::process::output;
use crate::{Cgroup, Error, Host, Result};

/// How long curl waits for one answer, in seconds.
const PATIENCE: &str = "30";

/// How many answers came from each server, by its name.
pub type Answers = BTreeMap<String, usize>;

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The name of the server that answered.
    pub server: String,
    /// Whom the client takes for its peer (`getpeername()`).
    pub peer: SocketAddr,
}

/// Makes `count` requests from `host`, one after the other and each over a connection of its own,
/// and returns the names of the servers that answered, in order. Any failure is an error.
pub fn fetch(host: &Host, address: SocketAddr, count: usize) -> Result<Vec<String>> {
    let url = format!("http://{address}/[1-{count}]");
    let answers = ask(&mut host.command("curl"), &url, &[])?;
    Ok(answers.into_iter().map(|answer| answer.server).collect())
}

/// The same over TLS, for `/readyz`, from servers with any certificate.
pub fn fetch_tls(host: &Host, address: SocketAddr, count: usize) -> Result<Vec<String>> {
    let url = format!("https://{address}/readyz?[1-{count}]");
    let answers = ask(&mut host.command("curl"), &url, &["--insecure"])?;
    Ok(answers.into_iter().map(|answer| answer.server).collect())
}

/// The same as [`fetch`] from a process in a cgroup, with all that the client learns.
///
/// An IPv4 address in an IPv6 one makes curl use IPv6 sockets.
pub fn fetch_in(cgroup: &Cgroup, host: &Host, address: SocketAddr, count: usize) -> Result<Vec<Answer>> {
    ask(cgroup.adopt(&mut host.command("curl")), &format!("http://{address}/[1-{count}]"), &[])
}

fn ask(curl: &mut Command, url: &str, options: &[&str]) -> Result<Vec<Answer>> {
    curl.args(["--silent", "--show-error", "--max-time", PATIENCE]).args(options);
    // `--fail-early`, as otherwise curl's exit code tells of the last request only.
    curl.args(["--fail", "--fail-early", "--header", "Connection: close"]);
    curl.args(["--write-out", "%{remote_ip} %{remote_port}\n", url]);
    let text = output(curl)?;
    let lines: Vec<&str> = text.lines().collect();
    let answers: Option<Vec<_>> = lines.chunks(2).map(answer).collect();
    answers.ok_or_else(|| Error::malformed("curl", &text))
}

/// A body, and what curl wrote of the connection.
fn answer(lines: &[&str]) -> Option<Answer> {
    let [server, peer] = lines else { return None };
    let (address, port) = peer.split_once(' ')?;
    let address: IpAddr = address.parse().ok()?;
    Some(Answer { server: (*server).to_owned(), peer: SocketAddr::new(address, port.parse().ok()?) })
}

/// Counts how often each name occurs.
pub fn tally(names: impl IntoIterator<Item = String>) -> Answers {
    let mut answers = Answers::new();
    for name in names {
        *answers.entry(name).or_default() += 1;
    }
    answers
}
