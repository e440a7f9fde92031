//! Prometheus itself: it scrapes the balancer, and what it has then are the numbers that the balancer shows.

use std::collections::BTreeMap;

use lb_lab::config::Config;
use lb_lab::{Host, Process, Result, Topology, curl, talk, wait};
use serde_json::Value;

use crate::stage::{Stage, WEB, WEB_PORT, lab};

const METRICS_PORT: u16 = 8405;

/// Where Prometheus listens.
const ADDRESS: &str = "127.0.0.1:9090";

/// New connections before anybody looks: whole turns.
const CONNECTIONS: usize = 12;

/// The alert that those have who watch HAProxy.
const ALERT: &str = "ServerDown";
const RULES: &str = "groups:
- name: haproxy
  rules:
  - alert: ServerDown
    expr: haproxy_server_status{state=\"UP\"} == 0
";

/// Prometheus on a host; killed when dropped.
struct Prometheus {
    host: Host,
    process: Process,
}

impl Prometheus {
    /// Starts it, and has it scrape a balancer once a second.
    fn start(host: &Host, balancer: &Host) -> Result<Self> {
        let rules = host.sandbox().write("rules.yml", RULES)?;
        let configuration = format!(
            "global:\n  scrape_interval: 1s\n  evaluation_interval: 1s\nrule_files: ['{}']\n\
             scrape_configs:\n- job_name: xlb\n  static_configs:\n  - targets: ['{}:{METRICS_PORT}']\n",
            rules.display(),
            balancer.address(),
        );
        let configuration = host.sandbox().write("prometheus.yml", &configuration)?;
        host.run("promtool", &["check", "config", &configuration.to_string_lossy()])?;
        let arguments = [
            format!("--config.file={}", configuration.display()),
            format!("--storage.tsdb.path={}", host.sandbox().file("prometheus").display()),
            format!("--web.listen-address={ADDRESS}"),
        ];
        let process = host.spawn("prometheus", &arguments.each_ref().map(String::as_str))?;
        Ok(Self { host: host.clone(), process })
    }

    /// What an expression comes to, by the label that is asked for; none while Prometheus does not answer.
    fn query(&self, expression: &str, label: &str) -> Option<BTreeMap<String, String>> {
        let answer = self.ask("query", &["--get", "--data-urlencode", &format!("query={expression}")])?;
        let sample = |sample: &Value| {
            let name = sample["metric"][label].as_str().unwrap_or_default().to_owned();
            Some((name, sample["value"][1].as_str()?.to_owned()))
        };
        answer["data"]["result"].as_array()?.iter().map(sample).collect()
    }

    /// The servers that it raises the alert for.
    fn alerts(&self) -> Option<Vec<String>> {
        let answer = self.ask("alerts", &[])?;
        let is_raised = |alert: &&Value| alert["labels"]["alertname"] == ALERT && alert["state"] == "firing";
        let raised = answer["data"]["alerts"].as_array()?.iter().filter(is_raised);
        raised.map(|alert| alert["labels"]["server"].as_str().map(ToOwned::to_owned)).collect()
    }

    fn ask(&self, what: &str, options: &[&str]) -> Option<Value> {
        let url = format!("http://{ADDRESS}/api/v1/{what}");
        let answer = self.host.run("curl", &[&["--silent", "--fail", &url], options].concat()).ok()?;
        serde_json::from_str(&answer).ok()
    }

    /// Waits until an expression comes to this.
    fn await_values(&self, expression: &str, label: &str, expected: &BTreeMap<String, String>) -> Result<()> {
        let mut found = None;
        let awaited = wait::until(&format!("{expression} to be {expected:?}"), || {
            found = self.query(expression, label);
            (found.as_ref() == Some(expected)).then_some(())
        });
        awaited.inspect_err(|_| println!("{expression}: {found:?}\n{}", self.process.log().text()))
    }
}

/// A column of the table that the balancer shows, by server.
fn column(stage: &Stage, name: &str) -> Result<BTreeMap<String, String>> {
    let table = talk::ask(&stage.lab.balancer, &stage.balancer().xlb.socket(), "show stat -1 4 -1")?;
    let mut lines = table.lines().filter(|line| !line.is_empty());
    let names: Vec<&str> = lines.next().expect("names").trim_start_matches("# ").split(',').collect();
    let place = names.iter().position(|column| *column == name).expect("a column");
    let cells = lines.map(|line| line.split(',').collect::<Vec<_>>());
    Ok(cells.map(|cells| (cells[1].to_owned(), cells[place].to_owned())).collect())
}

fn of_each(value: &str, servers: &[&str]) -> BTreeMap<String, String> {
    servers.iter().map(|server| ((*server).to_owned(), value.to_owned())).collect()
}

#[test]
fn prometheus_has_the_balancers_numbers_and_raises_its_alerts() -> Result<()> {
    let lab = lab(Topology::default());
    let config = Config::new("native").serve(WEB, WEB_PORT, &lab).to_toml();
    let metrics = format!("[metrics]\nbind = \"{}:{METRICS_PORT}\"\n", lab.balancer.address());
    let mut stage = Stage::set_in_with(lab, &format!("{config}\n{metrics}"))?;
    curl::fetch(&stage.lab.lan_clients[0], stage.web(), CONNECTIONS)?;
    let prometheus = Prometheus::start(&stage.lab.lan_clients[1], &stage.lab.balancer)?;
    prometheus.await_values("up", "job", &of_each("1", &["xlb"]))?;

    let all = ["bettley", "fenn", "gardener"];
    prometheus.await_values("haproxy_server_status{state=\"UP\"}", "server", &of_each("1", &all))?;
    let sessions = column(&stage, "stot")?;
    let numbers = sessions.values().map(|value| value.parse::<usize>().expect("a number"));
    assert_eq!(numbers.sum::<usize>(), CONNECTIONS);
    prometheus.await_values("haproxy_server_sessions_total", "server", &sessions)?;
    prometheus.await_values("haproxy_server_bytes_out_total", "server", &column(&stage, "bout")?)?;
    prometheus.await_values("xlb_server_next_hop_answers", "server", &of_each("1", &all))?;
    // Checks of servers that are neighbours, in one room, take no ten seconds.
    let quick = "histogram_quantile(0.5, xlb_server_check_duration_seconds_bucket) < bool 10";
    prometheus.await_values(quick, "server", &of_each("1", &all))?;
    let said = prometheus.host.run("promtool", &["query", "instant", &format!("http://{ADDRESS}"), "up"])?;
    assert!(said.contains("job=\"xlb\"") && said.contains("=> 1 @"), "{said}");
    assert_eq!(prometheus.alerts(), Some(Vec::new()));

    drop(stage.web[0].take());
    let raised = wait::until("the alert", || prometheus.alerts().filter(|servers| !servers.is_empty()))?;
    assert_eq!(raised, ["bettley"]);
    let down = of_each("1", &["bettley"]);
    prometheus.await_values("haproxy_server_status{state=\"DOWN\"} == 1", "server", &down)?;
    // One ring without it has come into force.
    let switched = "increase(xlb_frontend_ring_switches_total[1m]) > bool 0";
    prometheus.await_values(switched, "proxy", &of_each("1", &[WEB]))
}
