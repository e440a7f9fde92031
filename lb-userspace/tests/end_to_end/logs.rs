//! The log beside HAProxy's: the same line for the same event, but for times and counters.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use lb_lab::failure::Silence;
use lb_lab::http::{self, Session};
use lb_lab::idle::Idle;
use lb_lab::syslog::{Rsyslog, Syslog};
use lb_lab::{Balancer, HaProxy, Host, Lab, Nginx, Result, Topology, curl, talk, wait};
use socket2::{Domain, SockRef, Socket, Type};

use crate::stage::{Stage, WEB, WEB_PORT, lab, xlb};

/// What both serve: its name, and the port of its servers.
struct Service {
    name: &'static str,
    port: u16,
    servers: usize,
    check: bool,
    /// How long both sides may be silent, in seconds.
    idle: u32,
}

/// Three servers that answer.
const SERVED: Service = Service { name: WEB, port: WEB_PORT, servers: 3, check: true, idle: 600 };
/// One that answers, and is soon forgotten.
const IDLE: Service = Service { name: "idle", port: 7001, servers: 1, check: false, idle: 1 };
/// One that resets its connections.
const RESET: Service = Service { name: "reset", port: 7002, servers: 1, check: false, idle: 600 };
/// One that refuses them, which no check has found out.
const REFUSED: Service = Service { name: "refused", port: 7003, servers: 1, check: false, idle: 600 };
/// One that is known to be down.
const NOBODY: Service = Service { name: "nobody", port: 7004, servers: 1, check: true, idle: 600 };

const SERVICES: [Service; 5] = [SERVED, IDLE, RESET, REFUSED, NOBODY];

/// Where the balancer's own metrics are.
const METRICS: &str = "127.0.0.1:8405";

/// The client.
const CLIENT: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 101);

/// HAProxy's ports are so much higher: both are on one host, and the same address.
const HAPROXY: u16 = 1_000;

/// A server that resets each connection once it has been spoken to.
struct Resetter {
    listener: TcpListener,
    thread: Option<JoinHandle<()>>,
}

impl Resetter {
    fn start(host: &Host, port: u16) -> Self {
        let address = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port);
        let listener = host.inside(|| TcpListener::bind(address)).expect("the port is free");
        let acceptor = listener.try_clone().expect("can be shared");
        let serve = move || {
            while let Ok((mut stream, _)) = acceptor.accept() {
                if stream.read(&mut [0]).is_ok_and(|read| read > 0) {
                    reset(&stream);
                }
            }
        };
        Self { listener, thread: Some(std::thread::spawn(serve)) }
    }
}

impl Drop for Resetter {
    fn drop(&mut self) {
        // Wakes the acceptor.
        let _ = SockRef::from(&self.listener).shutdown(std::net::Shutdown::Both);
        drop(self.thread.take().map(JoinHandle::join));
    }
}

/// Has a connection end by RST when it is dropped.
fn reset(stream: &TcpStream) {
    SockRef::from(stream).set_linger(Some(Duration::ZERO)).expect("can be set");
}

/// xlb and HAProxy side by side, in front of the same servers.
struct Both {
    balancers: [Side; 2],
    xlb: Balancer,
    _haproxy: HaProxy,
    _web: Vec<Nginx>,
    _resetter: Resetter,
    lab: Lab,
}

/// One of the two, as clients and its log see it.
struct Side {
    syslog: Syslog,
    /// To be added to a service's port.
    ports: u16,
}

impl Both {
    fn set() -> Result<Self> {
        let lab = lab(Topology::default());
        let [bettley, ..] = &lab.servers;
        let mut web = Vec::new();
        for host in &lab.servers {
            web.push(Nginx::start(host, SERVED.port)?);
        }
        web.push(Nginx::start(bettley, IDLE.port)?);
        let resetter = Resetter::start(bettley, RESET.port);
        let syslogs = [Syslog::open(&lab.balancer, "xlb.log")?, Syslog::open(&lab.balancer, "haproxy.log")?];
        let ready = SocketAddr::new(lab.balancer.address().into(), SERVED.port + HAPROXY);
        let haproxy = HaProxy::start(&lab.balancer, &haproxy(&lab, &syslogs[1]), ready)?;
        let xlb = xlb(&lab).start(&config(&lab, &syslogs[0]))?;
        let [of_xlb, of_haproxy] = syslogs;
        let balancers = [Side { syslog: of_xlb, ports: 0 }, Side { syslog: of_haproxy, ports: HAPROXY }];
        Ok(Self { balancers, xlb, _haproxy: haproxy, _web: web, _resetter: resetter, lab })
    }

    fn client(&self) -> &Host {
        &self.lab.lan_clients[0]
    }

    fn address(&self, side: &Side, service: &Service) -> SocketAddr {
        SocketAddr::new(self.lab.balancer.address().into(), service.port + side.ports)
    }

    /// Has a client do the same at both, and compares what they write about it.
    fn compare(
        &self,
        service: &Service,
        expected: &str,
        act: impl Fn(SocketAddr) -> SocketAddr + Sync,
    ) -> Result<()> {
        self.assert_lines(self.act(service, act), expected)
    }

    /// Has a client do the same at both, and tells by which ports.
    fn act(&self, service: &Service, act: impl Fn(SocketAddr) -> SocketAddr + Sync) -> [SocketAddr; 2] {
        self.balancers.each_ref().map(|side| self.client().inside(|| act(self.address(side, service))))
    }

    /// Asserts what both write about a client's connection.
    fn assert_lines(&self, clients: [SocketAddr; 2], expected: &str) -> Result<()> {
        for (side, client) in self.balancers.iter().zip(clients) {
            let line = side.syslog.line_of(client)?;
            assert_eq!(masked(&line), expected, "{line}");
        }
        Ok(())
    }
}

/// A line of a connection without what differs: when, who, how long, and how many. What is -1 stays.
fn masked(line: &str) -> String {
    let (_, line) = line.split_once("]: ").expect("a tag");
    let fields: Vec<&str> = line.split(' ').collect();
    let [_client, _accepted, frontend, server, timers, bytes, end, counters, queues] = fields[..] else {
        panic!("not the fields of a line: {line}")
    };
    let number = |text: &str| if text == "-1" { "-1" } else { "N" };
    let all = |text: &str| {
        let numbers = text.split('/').map(|text| number(text.trim_start_matches('+')));
        numbers.collect::<Vec<_>>().join("/")
    };
    assert_eq!(all(counters), "N/N/N/N/N", "{line}");
    let bytes = if bytes == "0" { "0" } else { "N" };
    format!("{frontend} {server} {} {bytes} {end} {queues}", all(timers))
}

fn config(lab: &Lab, syslog: &Syslog) -> String {
    let head = format!(
        "interface = \"eth0\"\nmode = \"native\"\nhost_clients = false\n\
         [metrics]\nbind = \"{METRICS}\"\n\
         [log]\nformat = \"tcplog\"\n[[log.target]]\naddress = \"{}\"\n",
        syslog.path().display()
    );
    SERVICES.iter().fold(head, |config, service| config + &service.of_xlb(lab))
}

fn haproxy(lab: &Lab, syslog: &Syslog) -> String {
    let path = lab.balancer.sandbox().file("haproxy.sock");
    let head = format!(
        "global\n  log {} local0\n  stats socket {} level admin\ndefaults\n  log global\n",
        syslog.path().display(),
        path.display()
    );
    SERVICES.iter().fold(head, |config, service| config + &service.of_haproxy(lab))
}

impl Service {
    /// A frontend and its backend in TOML.
    fn of_xlb(&self, lab: &Lab) -> String {
        let Self { name, port, servers, check, idle } = self;
        let address = lab.balancer.address();
        let check = if *check { "[backend.check]\ninterval = \"500ms\"\ntimeout = \"400ms\"\n" } else { "" };
        let servers = lab.servers[..*servers].iter().map(|host| {
            let address = host.address();
            format!("[[backend.server]]\nname = \"{host}\"\naddress = \"{address}:{port}\"\n")
        });
        format!(
            "[[frontend]]\nname = \"{name}\"\nbind = \"{address}:{port}\"\nbackend = \"{name}\"\n\
             [[backend]]\nname = \"{name}\"\n[backend.timeouts]\nconnect = \"1s\"\nidle = \"{idle}s\"\n{check}{}",
            servers.collect::<String>()
        )
    }

    /// The same for HAProxy.
    fn of_haproxy(&self, lab: &Lab) -> String {
        let Self { name, port, servers, check, idle } = self;
        let bind = format!("{}:{}", lab.balancer.address(), port + HAPROXY);
        let check = if *check { "check inter 500ms on-marked-down shutdown-sessions" } else { "" };
        let server = |host: &Host| format!("  server {host} {}:{port} {check}\n", host.address());
        let servers: String = lab.servers[..*servers].iter().map(server).collect();
        format!(
            "frontend {name}\n  bind {bind}\n  mode tcp\n  option tcplog\n  timeout client {idle}s\n  \
             default_backend {name}\nbackend {name}\n  mode tcp\n  retries 0\n  option abortonclose\n  timeout connect 1s\n  \
             timeout server {idle}s\n{servers}"
        )
    }
}

/// Sends HAProxy a command.
fn command(lab: &Lab, command: &str) -> io::Result<String> {
    use std::io::Write;
    let path = lab.balancer.sandbox().file("haproxy.sock");
    lab.balancer.inside(|| {
        let mut socket = UnixStream::connect(path)?;
        writeln!(socket, "{command}")?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer)?;
        Ok(answer)
    })
}

/// A client that is served once and then does what it wants to its connection.
fn served(address: SocketAddr, then: impl FnOnce(TcpStream)) -> SocketAddr {
    let mut session = Session::open(address).expect("a connection is made");
    session.ask().expect("a server answers");
    let client = session.client().expect("it has an address");
    then(session.into_stream().expect("it is a connection"));
    client
}

/// A client that asks and finds its connection at an end.
fn turned_away(address: SocketAddr) -> SocketAddr {
    use std::io::Write;
    let mut stream = http::connect(address).expect("a connection is made");
    let client = stream.local_addr().expect("it has an address");
    // Whichever of the two notices.
    let _ = stream.write_all(b"?").and_then(|()| stream.read(&mut [0]));
    client
}

/// A client whose connection may not even be made: the port that it had is told all the same.
fn refused(address: SocketAddr) -> SocketAddr {
    let (socket, client) = bound();
    socket.set_read_timeout(Some(wait::PATIENCE)).expect("can be set");
    if socket.connect(&address.into()).is_ok() {
        let _ = (&socket).read(&mut [0]);
    }
    client
}

/// Long enough for a connection that somebody answers, and shorter than it takes a SYN to be sent again.
const ONE_SYN: Duration = Duration::from_millis(500);

/// The next port that a client is given. Each once, because it is by the port that a line is found; and none that the
/// kernel would choose.
static PORT: AtomicU16 = AtomicU16::new(20_000);

/// A socket with a port of its own, and that port with the client's address.
fn bound() -> (Socket, SocketAddr) {
    bound_to(PORT.fetch_add(1, Ordering::Relaxed))
}

/// The same with a port that was another's.
fn bound_to(port: u16) -> (Socket, SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.set_reuse_address(true).expect("can be set");
    socket.bind(&SocketAddr::from(([0, 0, 0, 0], port)).into()).expect("the port is free");
    (socket, SocketAddr::new(CLIENT.into(), port))
}

/// A client that waits for what becomes of its connection, if it is made at all.
fn unanswered(address: SocketAddr) -> SocketAddr {
    let (socket, client) = bound();
    socket.set_read_timeout(Some(wait::PATIENCE)).expect("can be set");
    if socket.connect_timeout(&address.into(), ONE_SYN).is_ok() {
        let _ = (&socket).read(&mut [0]);
    }
    client
}

#[test]
fn each_end_is_told_as_haproxy_tells_it() -> Result<()> {
    let both = Both::set()?;
    both.balancers[1].syslog.log().wait_for("Server nobody/bettley is DOWN")?;
    both.balancers[0].syslog.log().wait_for("backend nobody has no server available!")?;
    assert_eq!(both.client().address(), CLIENT);

    both.compare(&IDLE, "idle idle/bettley N/N/N N -- 0/0", |address| served(address, drop))?;
    let aborted = "idle idle/bettley N/N/N N CD 0/0";
    both.compare(&IDLE, aborted, |address| served(address, |stream| reset(&stream)))?;
    both.compare(&RESET, "reset reset/bettley N/N/N 0 SD 0/0", turned_away)?;
    both.compare(&REFUSED, "refused refused/bettley N/-1/N 0 SC 0/0", refused)?;
    both.compare(&NOBODY, "nobody nobody/<NOSRV> -1/-1/N 0 SC 0/0", refused)?;

    let held = Mutex::new(Vec::new());
    let hold = |stream| held.lock().expect("whole").push(stream);
    let idle = both.act(&IDLE, |address| served(address, hold));
    both.assert_lines(idle, "idle idle/bettley N/N/N N cD 0/0")?;
    for table in both.assert_same_counts()? {
        let [answer, total] = &cells(&table, ["rtime", "ttime"])["idle/bettley"];
        assert_eq!(answer, "0", "TCP has none");
        assert!(total.parse::<u64>().expect("a number") >= AVERAGE, "{table}");
    }

    // What one client gives up may take HAProxy two of its own to give up, so it counts otherwise.
    let _silence = Silence::begin(&both.lab, &both.lab.servers[0])?;
    let unanswered = both.act(&RESET, unanswered);
    both.compare(&RESET, "reset reset/bettley N/-1/N 0 CC 0/0", |address| both.given_up(address))?;
    both.assert_lines(unanswered, "reset reset/bettley N/-1/N 0 sC 0/0")
}

/// The columns of the table that tell of ends: by clients, by servers, and in place of an answer.
const ENDS: [&str; 3] = ["cli_abrt", "srv_abrt", "eresp"];

/// As long as three connections are on average of which one was idle for a second, and less, in ms.
const AVERAGE: u64 = 300;

#[test]
fn what_becomes_of_a_server_is_told_as_haproxy_tells_it() -> Result<()> {
    let both = Both::set()?;
    let [of_xlb, of_haproxy] = &both.balancers;
    let open = |side| Idle::open_many(both.client(), both.address(side, &SERVED), 6);
    let clients = [open(of_xlb)?, open(of_haproxy)?];
    both.xlb.xlb.output(["server", &format!("{WEB}/fenn"), "maint"])?;
    command(&both.lab, &format!("shutdown sessions server {WEB}/fenn")).expect("HAProxy obeys");
    both.assert_ends(&clients, "fenn", "K-")?;
    both.xlb.xlb.output(["server", &format!("{WEB}/fenn"), "ready"])?;

    let silence = Silence::begin(&both.lab, &both.lab.servers[0])?;
    both.assert_ends(&clients, "bettley", "D-")?;
    let down = "<129> Server k8s-api-server/bettley is DOWN, reason: Layer4 timeout, check duration: Nms. \
                2 active and 0 backup servers left. N sessions active, 0 requeued, 0 remaining in queue.";
    both.assert_state("k8s-api-server/bettley is DOWN", down)?;
    drop(silence);
    let up = "<133> Server k8s-api-server/bettley is UP, reason: Layer4 check passed, check duration: Nms. \
              3 active and 0 backup servers online. 0 sessions requeued, 0 total in queue.";
    both.assert_state("k8s-api-server/bettley is UP", up)?;
    both.assert_state("nobody has no server", "<128> backend nobody has no server available!")?;
    both.assert_resets("fenn", "operator")?;
    both.assert_resets("bettley", "down")?;
    both.assert_same_counts().map(drop)
}

/// Cells of a table that was asked for by `show stat`, by backend and server.
fn cells<const N: usize>(table: &str, names: [&str; N]) -> BTreeMap<String, [String; N]> {
    let mut lines = table.lines().filter(|line| !line.is_empty());
    let columns: Vec<&str> = lines.next().expect("names").trim_start_matches("# ").split(',').collect();
    let place = |name: &str| columns.iter().position(|column| *column == name).expect("a column");
    let places = names.map(place);
    let row = |line: &str| {
        let cells: Vec<&str> = line.split(',').collect();
        (format!("{}/{}", cells[0], cells[1]), places.map(|place| cells[place].to_owned()))
    };
    lines.map(row).filter(|(name, _)| !name.ends_with("/FRONTEND")).collect()
}

impl Both {
    /// Asserts that the tables of both count the ends alike, of each backend and each server, and returns them.
    fn assert_same_counts(&self) -> Result<[String; 2]> {
        let theirs = command(&self.lab, "show stat").expect("HAProxy obeys");
        let expected = cells(&theirs, ENDS);
        let mut ours = String::new();
        // What is shown may be a moment old.
        let counted = wait::until("the same counts", || {
            ours = talk::ask(&self.lab.balancer, &self.xlb.xlb.socket(), "show stat").ok()?;
            (cells(&ours, ENDS) == expected).then_some(())
        });
        counted.inspect_err(|_| println!("{expected:?} are HAProxy's, and\n{:?}", cells(&ours, ENDS)))?;
        Ok([ours, theirs])
    }

    /// A client that gives its connection up while the balancer waits for the server, and begins another by the same
    /// port: only so does a balancer hear of it that has answered nothing.
    fn given_up(&self, address: SocketAddr) -> SocketAddr {
        let (socket, client) = bound();
        if socket.connect_timeout(&address.into(), ONE_SYN).is_ok() {
            wait::until("HAProxy to have the connection", || {
                let sessions = command(&self.lab, "show sess").ok()?;
                sessions.contains(&format!("src={client}")).then_some(())
            })
            .expect("it tells its connections");
        }
        drop(socket);
        let (socket, client) = bound_to(client.port());
        let _ = socket.connect_timeout(&address.into(), ONE_SYN);
        client
    }

    /// Asserts how the connections to a server ended, and that each has one line.
    fn assert_ends(&self, clients: &[Vec<Idle>; 2], server: &str, end: &str) -> Result<()> {
        for (side, clients) in self.balancers.iter().zip(clients) {
            let clients: Vec<_> = clients.iter().filter(|idle| idle.server() == server).collect();
            assert_eq!(clients.len(), 2, "{server}");
            for idle in clients {
                let line = side.syslog.line_of(idle.client())?;
                let expected = format!("{WEB} {WEB}/{server} N/N/N N {end} 0/0");
                assert_eq!(masked(&line), expected, "{line}");
                let begin = format!(": {} ", idle.client());
                assert_eq!(side.syslog.log().text().matches(&begin).count(), 1);
            }
        }
        Ok(())
    }

    /// Asserts that the metrics tell why the connections to a server were reset, each once.
    fn assert_resets(&self, server: &str, cause: &str) -> Result<()> {
        let url = format!("http://{METRICS}/metrics");
        let metrics = self.lab.balancer.run("curl", &["--silent", "--fail", &url])?;
        for this in ["down", "operator"] {
            let count = if this == cause { 2 } else { 0 };
            let labels = format!("proxy=\"{WEB}\",server=\"{server}\",cause=\"{this}\"");
            let line = format!("xlb_server_resets_total{{{labels}}} {count}");
            assert!(metrics.lines().any(|had| had == line), "{metrics}has no {line}");
        }
        Ok(())
    }

    /// Asserts what both write about a change, and with which priority, but for how long a check took.
    fn assert_state(&self, change: &str, expected: &str) -> Result<()> {
        for side in &self.balancers {
            let line = wait::until(change, || {
                side.syslog.log().text().lines().find(|line| line.contains(change)).map(ToOwned::to_owned)
            })?;
            assert_eq!(state(&line), expected, "{line}");
        }
        Ok(())
    }
}

/// A line about a state with its priority, without when, who, how long the check took, and how many sessions there
/// were: HAProxy may have ended some by then.
fn state(line: &str) -> String {
    let (head, text) = line.split_once("]: ").expect("a tag");
    let sessions = text.split_once(" sessions active").and_then(|(before, _)| before.rsplit(' ').next());
    let text = &sessions.map_or(text.to_owned(), |sessions| {
        text.replace(&format!(" {sessions} sessions active"), " N sessions active")
    });
    let (priority, _) = head.split_once('>').expect("a priority");
    let (before, after) = match text.split_once("check duration: ") {
        Some((before, rest)) => {
            (format!("{before}check duration: N"), rest.trim_start_matches(char::is_numeric))
        }
        None => (text.clone(), ""),
    };
    format!("{priority}> {before}{after}")
}

/// What Debian brings with HAProxy for rsyslog, but for the file: its name, and the form of its lines, of which
/// halog knows only the traditional one.
const RULE: &str = r#":programname, startswith, "haproxy" {
  FILE;RSYSLOG_TraditionalFileFormat
  stop
}"#;

/// Connections of a test.
const CONNECTIONS: usize = 30;

#[test]
fn rsyslog_and_halog_take_it_for_haproxys() -> Result<()> {
    let lab = lab(Topology::default());
    let socket = lab.balancer.sandbox().file("log");
    let rsyslog = Rsyslog::start(&lab.balancer, &socket, RULE)?;
    let target = |facility: &str, more: &str| {
        let address = socket.display();
        format!("[[log.target]]\naddress = \"{address}\"\nfacility = \"{facility}\"\n{more}")
    };
    let log = "[log]\nformat = \"tcplog\"\ntag = \"haproxy\"\n";
    let targets = [target("local0", ""), target("local1", "level = \"notice\"\n")].concat();
    let served = crate::stage::config(&lab, "native").to_toml();
    let mut stage = Stage::set_in_with(lab, &format!("{served}\n{log}{targets}"))?;
    curl::fetch(&stage.lab.lan_clients[0], stage.web(), CONNECTIONS)?;
    stage.web[0].take().expect("it was started").stop()?;
    let down = "k8s-api-server/bettley is DOWN";
    let content = rsyslog.wait_for(down)?;
    assert_eq!(content.matches(down).count(), 1, "{content}");
    let file = rsyslog.file().display().to_string();
    let halog =
        |option: &str| stage.lab.balancer.run("sh", &["-c", &format!("halog -q {option} < {file} 2>&1")]);
    // Of a log of `option tcplog` it knows the servers, by the lines' fourth field.
    let servers = wait::until("all lines", || {
        let content = rsyslog.wait_for("[").map(|content| content.matches(" -- ").count());
        content.map(|lines| (lines == CONNECTIONS).then(|| halog("-srv"))).transpose()
    })???;
    let names: BTreeSet<&str> =
        servers.lines().skip(1).filter_map(|line| line.split_whitespace().next()).collect();
    let expected = ["bettley", "fenn", "gardener"].map(|name| format!("{WEB}/{name}"));
    assert_eq!(names, expected.iter().map(String::as_str).collect(), "{servers}");
    Ok(())
}

/// More than a receiver's queues hold.
const MANY: usize = 10_000;

#[test]
fn a_receiver_that_does_not_keep_up_costs_lines_and_nothing_else() -> Result<()> {
    let lab = lab(Topology::default());
    let socket = lab.balancer.sandbox().file("log");
    // Nobody reads it.
    let stuck = lab.balancer.inside(|| UnixDatagram::bind(&socket)).expect("can be made");
    let served = crate::stage::config(&lab, "native").to_toml();
    let log = format!("[log]\nformat = \"json\"\n[[log.target]]\naddress = \"{}\"\n", socket.display());
    let stage = Stage::set_in_with(lab, &format!("{served}\n{log}"))?;
    // Any that fails is an error.
    curl::fetch(&stage.lab.lan_clients[0], stage.web(), MANY)?;
    stage.balancer().log().wait_for("lines were dropped")?;
    let mut line = [0; 1024];
    let length = stuck.recv(&mut line).expect("there are some");
    let text = String::from_utf8_lossy(&line[..length]).into_owned();
    assert!(text.contains("]: {\"event\":\"connection\"") && text.ends_with("}\n"), "{text}");
    // Whoever takes its place gets the next lines.
    drop(stuck);
    stage.lab.balancer.inside(|| std::fs::remove_file(&socket)).expect("it is there");
    let next = Syslog::open(&stage.lab.balancer, "log")?;
    wait::until("lines again", || {
        let fetched = curl::fetch(&stage.lab.lan_clients[0], stage.web(), 1);
        fetched.map(|_| next.log().text().contains("connection").then_some(())).transpose()
    })?
}

/// A log of JSON, to these receivers.
fn json_to(receivers: &[String]) -> String {
    let target = |address: &String| format!("[[log.target]]\naddress = \"{address}\"\n");
    format!("[log]\nformat = \"json\"\n{}", receivers.iter().map(target).collect::<String>())
}

/// What a receiver gets next.
fn received(receive: impl FnOnce(&mut [u8]) -> io::Result<usize>) -> String {
    let mut line = [0; 2048];
    let length = receive(&mut line).expect("a line comes");
    String::from_utf8_lossy(&line[..length]).into_owned()
}

#[test]
fn ends_without_an_agent_are_told_once_by_the_next_to_whom_it_is_to_tell() -> Result<()> {
    let lab = lab(Topology::default());
    let config = crate::stage::config(&lab, "native").to_toml();
    let syslog = Syslog::open(&lab.balancer, "log")?;
    let first = format!("{config}\n{}", json_to(&[syslog.path().display().to_string()]));
    let mut stage = Stage::set_in_with(lab, &first)?;
    let (client, web) = (stage.lab.lan_clients[0].clone(), stage.web());
    let line_of = |address: SocketAddr| {
        let text = format!("\"client\":\"{address}\"");
        wait::until(&text, || syslog.log().text().contains(&text).then_some(()))
    };
    let before = client.inside(|| served(web, drop));
    line_of(before)?;
    let xlb = stage.balancer().xlb.clone();
    stage.take_balancer().kill()?;
    let meanwhile = client.inside(|| served(web, drop));
    let second = xlb.start(&first)?;
    line_of(meanwhile)?;
    let after = client.inside(|| served(web, drop));
    line_of(after)?;
    assert_eq!(syslog.log().text().matches("\"event\":\"connection\"").count(), 3);

    // Other receivers, by a reload.
    let host = &stage.lab.lan_clients[1];
    let udp = host.inside(|| UdpSocket::bind((host.address(), 514))).expect("the port is free");
    let journal = stage.lab.balancer.inside(journal).expect("nobody else is the journal here");
    udp.set_read_timeout(Some(wait::PATIENCE)).expect("can be set");
    journal.set_read_timeout(Some(wait::PATIENCE)).expect("can be set");
    let receivers = [host.address().to_string(), "journald".to_owned()];
    xlb.configure(&format!("{config}\n{}", json_to(&receivers)))?;
    xlb.output(["reload"])?;
    let last = client.inside(|| served(web, drop));
    let datagram = received(|line| udp.recv(line));
    assert!(datagram.starts_with("<134>") && datagram.contains(&last.to_string()), "{datagram}");
    let entry = received(|line| journal.recv(line));
    let is_whole = entry.starts_with("MESSAGE={") && entry.contains("\nPRIORITY=6\n");
    assert!(is_whole && entry.contains(&last.to_string()), "{entry}");
    assert_eq!(syslog.log().text().matches("\"event\":\"connection\"").count(), 3);
    drop(second);
    Ok(())
}

/// The socket that systemd's journal would have, in the lab's own `/run`.
fn journal() -> io::Result<UnixDatagram> {
    std::fs::create_dir_all("/run/systemd/journal")?;
    UnixDatagram::bind("/run/systemd/journal/socket")
}

/// Lines of JSON in a text.
fn ends(text: &str) -> Vec<&str> {
    text.lines().filter(|line| line.starts_with("{\"event\":\"connection\"")).collect()
}

/// Connections whose lines are more than a pipe holds.
const PIPEFUL: usize = 500;
/// Writers of them.
const UNREAD: usize = 3;

#[test]
fn the_agents_own_output_has_each_line_once_and_need_not_be_read() -> Result<()> {
    let lab = lab(Topology::default());
    let config = crate::stage::config(&lab, "native").to_toml();
    let config = format!("{config}\n{}", json_to(&["stdout", "stderr"].map(str::to_owned)));
    let mut web = Stage::servers(&lab)?;
    let (xlb, client, address) = (xlb(&lab), &lab.lan_clients[0], crate::stage::web(&lab));
    let (agent, stdout) = xlb.start_reading(&config)?;
    let stderr = agent.log().clone();
    let down = "Server k8s-api-server/bettley is DOWN";
    web[0].take().expect("it was started").stop()?;
    stderr.wait_for(down)?;
    // The end comes right behind the last one.
    curl::fetch(client, address, CONNECTIONS)?;
    agent.stop()?;
    let stdout = io::read_to_string(stdout).expect("it is text");
    // Nothing else comes by stdout.
    assert!(stdout.lines().all(|line| line.starts_with("{\"event\":")), "{stdout}");
    for (name, text) in [("stdout", stdout), ("stderr", stderr.text())] {
        let clients: BTreeSet<&str> = ends(&text).iter().filter_map(|line| line.split('"').nth(11)).collect();
        assert_eq!((ends(&text).len(), clients.len()), (CONNECTIONS, CONNECTIONS), "{name}: {text}");
        let is_state = |line: &&str| line.starts_with("{\"event\":\"state\"") && line.contains(down);
        assert_eq!(text.lines().filter(is_state).count(), 1, "{name}: {text}");
    }

    // Nobody reads, and more than one writer waits.
    let receivers = ["stdout"; UNREAD].map(str::to_owned);
    let config = format!("{}\n{}", crate::stage::config(&lab, "native").to_toml(), json_to(&receivers));
    let (agent, unread) = xlb.start_reading(&config)?;
    curl::fetch(client, address, PIPEFUL)?;
    let table = talk::ask(&lab.balancer, &xlb.socket(), "show stat")?;
    assert!(table.contains("\nk8s-api-server,fenn,"), "{table}");
    let stderr = agent.log().clone();
    agent.stop()?;
    stderr.wait_for("lines were dropped")?;
    let written = io::read_to_string(unread).expect("it is text");
    // The last one is not whole.
    let (written, _) = written.rsplit_once('\n').expect("a pipe holds lines");
    let log = stderr.text();
    let is_of_servers = |line: &&str| line.contains(" is DOWN") || line.ends_with("has no server available!");
    let lines = UNREAD * (PIPEFUL + log.lines().filter(is_of_servers).count());
    assert_eq!(written.lines().count() + said(&log), lines, "{log}");
    Ok(())
}

/// How many lines an agent has said in the end that it has dropped.
pub fn said(log: &str) -> usize {
    let count = |line: &str| line.strip_suffix(" in all")?.rsplit(' ').next()?.parse().ok();
    log.lines().rev().find_map(count).unwrap_or_default()
}
