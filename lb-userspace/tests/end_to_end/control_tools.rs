//! Tools that were written for HAProxy, at our control socket: hatop on a terminal, the exporter of
//! Prometheus, and socat.

use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use lb_lab::config::Config;
use lb_lab::{Host, Process, Result, Topology, curl, wait};

use crate::stage::{Stage, WEB, WEB_PORT, lab};

/// Where the exporter listens.
const EXPORTER: &str = "127.0.0.1:9101";

/// Requests before anybody looks: whole turns.
const REQUESTS: usize = 6;

/// A terminal in which a program runs; it ends with this.
struct Terminal {
    host: Host,
    socket: String,
    _server: Process,
}

impl Terminal {
    fn start(host: &Host, program: &str) -> Result<Self> {
        let socket = host.sandbox().file("tmux.sock").to_string_lossy().into_owned();
        // In the foreground, so that it ends with the test.
        let server = host.spawn("tmux", &["-S", &socket, "-f", "/dev/null", "-D"])?;
        let terminal = Self { host: host.clone(), socket, _server: server };
        wait::until("tmux to be there", || {
            host.inside(|| Path::new(&terminal.socket).exists()).then_some(())
        })?;
        terminal.tmux(&["new-session", "-d", "-x", "160", "-y", "50", program])?;
        Ok(terminal)
    }

    fn tmux(&self, arguments: &[&str]) -> Result<String> {
        self.host.run("tmux", &[&["-S", &self.socket], arguments].concat())
    }

    fn press(&self, keys: &[&str]) -> Result<()> {
        self.tmux(&[&["send-keys"], keys].concat()).map(drop)
    }

    /// Waits until the screen shows a line that has all these words.
    fn await_line(&self, words: &[&str]) -> Result<()> {
        let mut screen = String::new();
        let shown = wait::until(&format!("a line with {words:?}"), || {
            screen = self.tmux(&["capture-pane", "-p"]).unwrap_or_default();
            let has_all = |line: &str| words.iter().all(|word| line.contains(word));
            screen.lines().any(has_all).then_some(())
        });
        shown.inspect_err(|_| println!("{screen}"))
    }
}

#[test]
fn tools_for_haproxy_go_on_working() -> Result<()> {
    let lab = lab(Topology::default());
    let config = Config::new("native").serve(WEB, WEB_PORT, &lab);
    let stage = Stage::set_in(lab, &config)?;
    curl::fetch(&stage.lab.lan_clients[0], stage.web(), REQUESTS)?;
    let host = &stage.lab.balancer;
    let socket = stage.balancer().xlb.socket().to_string_lossy().into_owned();
    socat(host, &socket)?;
    exporter(host, &socket)?;
    hatop(&stage, &socket)
}

/// A script's way: one line on stdin, and half of the conversation ends with it. Otherwise socat would wait
/// half a second for the answer.
fn socat(host: &Host, socket: &str) -> Result<()> {
    let script = format!("echo 'show stat; show info' | socat -t 30 {socket} stdio");
    let answer = host.run("sh", &["-c", &script])?;
    assert!(answer.starts_with("# pxname,svname,"), "{answer}");
    assert!(answer.contains("\n\nName: xlb\n") && answer.ends_with("\n\n"), "{answer}");
    Ok(())
}

fn exporter(host: &Host, socket: &str) -> Result<()> {
    let listen = format!("--web.listen-address={EXPORTER}");
    let scrape = format!("--haproxy.scrape-uri=unix:{socket}");
    let _exporter = host.spawn("prometheus-haproxy-exporter", &[&listen, &scrape])?;
    let url = format!("http://{EXPORTER}/metrics");
    // What is shown may be a moment old.
    let total = "haproxy_frontend_connections_total{frontend=\"k8s-api-server\"} 6\n";
    let metrics = wait::until("metrics of all requests", || {
        host.run("curl", &["--silent", "--fail", &url]).ok().filter(|metrics| metrics.contains(total))
    })?;
    for line in [
        "haproxy_up 1",
        "haproxy_server_sessions_total{backend=\"k8s-api-server\",server=\"bettley\"} 2",
        "haproxy_server_up{backend=\"k8s-api-server\",server=\"fenn\"} 1",
        "haproxy_backend_up{backend=\"k8s-api-server\"} 1",
        "haproxy_exporter_csv_parse_failures_total 0",
    ] {
        assert!(metrics.lines().any(|had| had == line), "{metrics}has no {line}");
    }
    check(host, &metrics);
    Ok(())
}

fn check(host: &Host, metrics: &str) {
    let mut command = host.command("promtool");
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut promtool = command.spawn().expect("promtool can be started");
    let stdin = promtool.stdin.take();
    stdin.expect("it was asked for").write_all(metrics.as_bytes()).expect("promtool reads");
    let output = promtool.wait_with_output().expect("promtool ends");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Takes the first server out of use with hatop's keys, and back.
fn hatop(stage: &Stage, socket: &str) -> Result<()> {
    let terminal = Terminal::start(&stage.lab.balancer, &format!("hatop -s {socket} -i 1"))?;
    terminal.await_line(&["bettley", "UP"])?;
    terminal.await_line(&["gardener", "UP"])?;
    // Past the two headings and the frontend.
    terminal.press(&["Down"; 4])?;
    terminal.await_line(&["[#3/#1]"])?;
    terminal.press(&["F10"])?;
    terminal.await_line(&["bettley", "MAINT"])?;
    assert_eq!(stage.server("bettley")?.state, "MAINT");
    terminal.press(&["F9"])?;
    terminal.await_line(&["bettley", "UP"])?;
    Ok(())
}
