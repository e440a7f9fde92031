//! The control socket beside a real HAProxy's: the same words, the same answers, the same tools.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use lb_lab::config::Config;
use lb_lab::{HaProxy, Host, Lab, Process, Result, Topology, curl, talk, wait};

use crate::stage::{Stage, WEB, WEB_PORT, lab, xlb};

/// Where HAProxy listens beside the balancer.
const PEER_PORT: u16 = 8443;

/// Requests to each of the two: whole turns.
const REQUESTS: usize = 6;

/// What both answer in the same words. Each line stands on what those before it have done.
const SAME: &[&str] = &[
    "show backend",
    "get weight k8s-api-server/bettley",
    "get weight k8s-api-server/nobody",
    "get weight nothing/bettley",
    "get weight k8s-api-server",
    "get weight k8s-api-server/",
    "set weight k8s-api-server/bettley",
    "set weight k8s-api-server/bettley 257",
    "set weight k8s-api-server/bettley -1",
    "set weight k8s-api-server/bettley -1%",
    "set weight k8s-api-server/bettley 200%",
    "get weight k8s-api-server/bettley",
    "set server k8s-api-server/bettley weight 1",
    "set server k8s-api-server/nobody weight 1",
    "set server nothing/bettley state ready",
    "set server k8s-api-server/bettley state",
    "set server k8s-api-server/bettley state up",
    "set server k8s-api-server/bettley health",
    "set server k8s-api-server/bettley health well",
    "set server k8s-api-server/bettley state drain",
    "set server k8s-api-server/bettley state ready",
    "set server k8s-api-server/nobody what",
    "disable server k8s-api-server/bettley",
    "enable server k8s-api-server/bettley",
    "disable health k8s-api-server/bettley",
    "enable health k8s-api-server/bettley",
    "enable health k8s-api-server/nobody",
    "disable agent k8s-api-server/bettley",
    "enable agent k8s-api-server/bettley",
    "enable agent nothing/bettley",
    "shutdown sessions server k8s-api-server/bettley",
    "shutdown sessions server k8s-api-server/nobody",
    "set timeout cli 10",
    "set timeout cli x",
    "set timeout cli",
    "set timeout what 10",
    "show servers state nothing",
    "show servers conn nothing",
    "show stat nothing 4 -1",
    "show stat 99 4 -1",
    "clear counters",
    "clear counters all",
    "quit",
    "show backend;show backend",
    "show backend;quit;show backend",
    "prompt;show backend;quit",
];

/// The same, but that HAProxy leaves out the empty line at the end.
const WITHOUT_END: [&str; 3] = [
    "set weight k8s-api-server/bettley ten",
    "set weight k8s-api-server/bettley 10x",
    "set weight k8s-api-server/bettley 10%x",
];

/// Both sockets.
struct Sockets {
    host: Host,
    xlb: PathBuf,
    haproxy: PathBuf,
}

impl Sockets {
    fn both(&self, line: &str) -> Result<[String; 2]> {
        Ok([self.ask(&self.xlb, line)?, self.ask(&self.haproxy, line)?])
    }

    fn ask(&self, socket: &Path, line: &str) -> Result<String> {
        talk::ask(&self.host, socket, line)
    }
}

/// HAProxy on the balancer's host, with the same servers under the same names.
fn start_haproxy(lab: &Lab, socket: &Path) -> Result<HaProxy> {
    let ready = SocketAddr::new(lab.balancer.address().into(), PEER_PORT);
    let server = |host: &Host| format!("  server {host} {}:{WEB_PORT} check inter 500ms\n", host.address());
    let servers: String = lab.servers.iter().map(server).collect();
    let configuration = format!(
        "global
  stats socket {} mode 600 level admin
defaults
  mode tcp
  timeout connect 10s
  timeout client 1h
  timeout server 1h
frontend {WEB}
  bind {ready}
  default_backend {WEB}
backend {WEB}
  balance roundrobin
{servers}",
        socket.display()
    );
    HaProxy::start(&lab.balancer, &configuration, ready)
}

#[test]
fn the_words_and_the_answers_are_haproxys() -> Result<()> {
    let lab = lab(Topology::default());
    let config = Config::new("native").serve(WEB, WEB_PORT, &lab);
    let stage = Stage::set_in(lab, &config)?;
    let host = stage.lab.balancer.clone();
    let (xlb, haproxy) = (stage.balancer().xlb.socket(), host.sandbox().file("haproxy.sock"));
    let sockets = Sockets { host: host.clone(), xlb, haproxy };
    let peer = start_haproxy(&stage.lab, &sockets.haproxy)?;
    for address in [stage.web(), SocketAddr::new(host.address().into(), PEER_PORT)] {
        curl::fetch(&stage.lab.lan_clients[0], address, REQUESTS)?;
    }

    sockets.have_the_same_tables()?;
    for line in SAME {
        let [ours, theirs] = sockets.both(line)?;
        assert_eq!(ours, theirs, "{line}");
    }
    for line in WITHOUT_END {
        let [ours, theirs] = sockets.both(line)?;
        assert_eq!(ours, format!("{theirs}\n"), "{line}");
    }
    drop(peer);
    Ok(())
}

/// As `import` makes it of HAProxy's `stats socket`, and without `--socket`.
#[test]
fn the_socket_is_where_the_configuration_says() -> Result<()> {
    let lab = lab(Topology::default());
    let (host, path) = (&lab.balancer, lab.balancer.sandbox().file("haproxy/admin.sock"));
    let config = Config::new("native").serve(WEB, WEB_PORT, &lab).to_toml();
    let config = format!("{config}\n[socket]\npath = {path:?}\nmode = \"660\"\ngroup = \"daemon\"\n");
    let xlb = xlb(&lab);
    let agent = Process::spawn(xlb.agent(&config)?.env_remove("XLB_SOCKET"))?;
    agent.log().wait_for("forwarding")?;
    assert_eq!(talk::ask(host, &path, "show backend")?, format!("# name\n{WEB}\n\n"));
    assert_eq!(host.run("stat", &["--format=%a %U %G", &path.to_string_lossy()])?, "660 root daemon\n");
    xlb.output(["reload", "--socket", &path.to_string_lossy()])?;
    agent.stop()?;
    assert!(!host.inside(|| path.exists()));
    Ok(())
}

/// The columns whose values are the same, where all servers are UP.
const EQUAL_COLUMNS: &[&str] = &[
    "pxname",
    "svname",
    "status",
    "weight",
    "act",
    "bck",
    "pid",
    "iid",
    "sid",
    "type",
    "check_status",
    "check_desc",
    "check_rise",
    "check_fall",
    "check_health",
    "addr",
    "mode",
    "algo",
    "uweight",
];

impl Sockets {
    /// What both show of the same servers has the same form, and the same values where it can.
    fn have_the_same_tables(&self) -> Result<()> {
        wait::until("all servers to be UP for both", || {
            let [ours, theirs] = self.both("show servers state").ok()?;
            (ours.matches(" 6 3 4 6 ").count() == 3 && states(&ours) == states(&theirs)).then_some(())
        })?;
        let [ours, theirs] = self.both("show stat")?;
        assert_eq!(ours.lines().next(), theirs.lines().next());
        assert_eq!(rows(&ours), rows(&theirs));
        let [ours, theirs] = self.both("show stat typed")?;
        assert_eq!(kinds(&ours), kinds(&theirs));
        let [ours, theirs] = self.both("show info typed")?;
        let missing: Vec<_> = kinds(&ours).difference(&kinds(&theirs)).cloned().collect();
        assert_eq!(missing, [""; 0]);
        let [ours, theirs] = self.both("show info")?;
        let theirs: Vec<&str> = names(&theirs).collect();
        assert!(names(&ours).all(|name| theirs.contains(&name)), "{ours}");
        let [ours, theirs] = self.both("show servers conn")?;
        assert_eq!(connections(&ours), connections(&theirs));
        let [ours, theirs] = self.both("show errors")?.map(|answer| answer.replace(char::is_numeric, "0"));
        assert_eq!(ours, theirs);
        let [ours, theirs] = self.both("")?.map(|answer| answer.lines().next().map(ToOwned::to_owned));
        assert_eq!(ours, theirs);
        Ok(())
    }
}

/// The words of each line but for the time since its last change.
fn states(text: &str) -> Vec<Vec<&str>> {
    let but_time = |line| str::split(line, ' ').enumerate().filter(|(i, _)| *i != 9).map(|(_, word)| word);
    text.lines().skip(2).map(|line| but_time(line).collect()).collect()
}

/// Of each row the columns that are filled, and the values that are equal.
fn rows(text: &str) -> Vec<Vec<(&str, &str)>> {
    let mut lines = text.lines().filter(|line| !line.is_empty());
    let head = lines.next().expect("there are names").trim_start_matches("# ");
    lines.map(|line| head.split(',').zip(line.split(',')).filter_map(cell).collect()).collect()
}

fn cell<'t>((name, value): (&'t str, &'t str)) -> Option<(&'t str, &'t str)> {
    match value {
        "" => None,
        value if EQUAL_COLUMNS.contains(&name) => Some((name, value)),
        _ => Some((name, "something")),
    }
}

/// Typed lines without their values.
fn kinds(text: &str) -> BTreeSet<String> {
    let kind = |line: &str| line.splitn(4, ':').take(3).collect::<Vec<_>>().join(":");
    text.lines().map(kind).collect()
}

fn names(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| Some(line.split_once(": ")?.0))
}

/// Names and numbers of the servers. How many threads there are is another matter.
fn connections(text: &str) -> Vec<Vec<&str>> {
    const COLUMNS_OF_ALL: usize = 6;
    text.lines().map(|line| line.split(' ').take(COLUMNS_OF_ALL).collect()).collect()
}
