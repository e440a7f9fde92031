//! The programs that make load: wrk and iperf3.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lb_lab::{Host, wait};
use serde::Deserialize;

use super::cpu;

/// Connections of wrk at once.
const CONNECTIONS: &str = "32";

/// What wrk has seen.
#[derive(Clone, Copy, Debug, Default)]
pub struct Requests {
    pub count: f64,
    pub seconds: f64,
    /// Milliseconds that half of them, and all but a hundredth, took at most.
    pub p50: f64,
    pub p99: f64,
    /// Connections that failed, and requests without an answer.
    pub errors: u64,
}

/// Asks for the servers' names as fast as it can, or at a pace, over connections that last or that are
/// closed by the server after each answer.
pub fn wrk(
    host: &Host,
    target: SocketAddr,
    duration: Duration,
    keep_alive: bool,
    pause: Option<Duration>,
) -> Result<Requests> {
    let delay = pause.map(|pause| format!("function delay() return {} end\n", pause.as_millis()));
    let close = if keep_alive { "" } else { "wrk.headers[\"Connection\"] = \"close\"\n" };
    let script = format!("{}{close}", delay.unwrap_or_default());
    let script = host.sandbox().write("wrk.lua", &script)?.display().to_string();
    let (seconds, url) = (format!("{}s", duration.as_secs()), format!("http://{target}/"));
    let arguments = [
        "-c",
        cpu::CLIENT,
        "wrk",
        "-t1",
        "-c",
        CONNECTIONS,
        "--latency",
        "-d",
        &seconds,
        "-s",
        &script,
        &url,
    ];
    let output = host.run("taskset", &arguments)?;
    ensure!(!output.contains("Non-2xx"), "wrk got other answers than it should: {output}");
    parse_wrk(&output).with_context(|| format!("unknown output of wrk: {output}"))
}

fn parse_wrk(output: &str) -> Option<Requests> {
    let words = |start: &str| {
        let line = output.lines().map(str::trim).find(|line| line.starts_with(start));
        line.map(|line| line.split_whitespace().collect::<Vec<_>>())
    };
    // "12345 requests in 2.00s, 1.23MB read"
    let summary = output.lines().map(str::trim).find(|line| line.contains(" requests in "))?;
    let summary: Vec<_> = summary.split_whitespace().collect();
    let percentile = |start| milliseconds(words(start)?.get(1)?);
    // "Socket errors: connect 0, read 3, write 0, timeout 0", where there are any.
    let errors = words("Socket errors:").into_iter().flatten();
    let errors = errors.filter_map(|word| word.trim_end_matches(',').parse::<u64>().ok()).sum();
    Some(Requests {
        count: summary.first()?.parse().ok()?,
        seconds: milliseconds(summary.get(3)?.trim_end_matches(','))? / 1000.0,
        p50: percentile("50%")?,
        p99: percentile("99%")?,
        errors,
    })
}

/// A time as wrk writes it.
fn milliseconds(text: &str) -> Option<f64> {
    let units = [("us", 0.001), ("ms", 1.0), ("s", 1000.0), ("m", 60_000.0)];
    units.into_iter().find_map(|(unit, factor)| Some(text.strip_suffix(unit)?.parse::<f64>().ok()? * factor))
}

/// What iperf3 has moved.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bulk {
    pub bytes: f64,
    pub seconds: f64,
}

#[derive(Deserialize)]
struct Iperf {
    end: End,
    #[serde(default)]
    error: String,
}

#[derive(Deserialize)]
struct End {
    sum_received: Option<Sum>,
}

/// What a server of iperf3 says that has not seen the end of the last client yet.
const BUSY: &str = "the server is busy running a test";

#[derive(Deserialize)]
struct Sum {
    bytes: f64,
    seconds: f64,
}

/// Moves bytes by iperf3 with more arguments, such as `-R` for towards the client.
pub fn iperf(host: &Host, target: SocketAddr, duration: Duration, more: &[&str]) -> Result<Bulk> {
    let (address, port) = (target.ip().to_string(), target.port().to_string());
    let seconds = duration.as_secs().to_string();
    let arguments = ["-c", cpu::CLIENT, "iperf3", "--json", "-c", &address, "-p", &port, "-t", &seconds];
    let arguments = [&arguments[..], more].concat();
    wait::until("iperf3's server to take a client", || attempt(host, &arguments).transpose())?
}

/// Runs iperf3 once; none if its server is still busy with another.
fn attempt(host: &Host, arguments: &[&str]) -> Result<Option<Bulk>> {
    let output = host.run("taskset", arguments)?;
    let unknown = || format!("unknown output of iperf3: {output}");
    let Iperf { end, error } = serde_json::from_str(&output).with_context(unknown)?;
    if error.contains(BUSY) {
        return Ok(None);
    }
    let Sum { bytes, seconds } = end.sum_received.with_context(unknown)?;
    Ok(Some(Bulk { bytes, seconds }))
}
