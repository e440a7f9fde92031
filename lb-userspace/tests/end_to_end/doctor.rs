//! `xlb doctor` on hosts with faults that are made on purpose, and `xlb run`, which refuses in the same words.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::process::Command;

use aya::programs::{Xdp, XdpMode};
use lb_lab::config::Config;
use lb_lab::{Host, Lab, Nginx, Result, Topology, failure};
use nix::errno::Errno;
use nix::sys::resource::{Resource, setrlimit};
use nix::unistd::{Gid, Uid, setgid, setgroups, setuid};
use serde::Deserialize;
use socket2::{Domain, Socket, Type};
use xlb::dataplane::object::{self, Sizes, XLB};

use crate::stage::{Stage, WEB_PORT, config, lab, web, xlb};

/// Exit codes of the doctor, and that of `xlb run` for a wrong configuration, and for a wrong environment.
const WARNINGS: i32 = 1;
const FATAL: i32 = 2;
const WRONG: i32 = 2;
const WRONG_ENVIRONMENT: i32 = 3;

/// Whoever has no rights at all.
const NOBODY: u32 = 65_534;

/// What the doctor has found.
#[derive(Debug, Deserialize)]
struct Report {
    worst: String,
    findings: Vec<Finding>,
}

#[derive(Debug, Clone, Deserialize)]
struct Finding {
    check: String,
    result: String,
    reason: String,
    remedy: Option<String>,
}

impl Finding {
    /// As `xlb run` says it.
    fn words(&self) -> String {
        format!("{}; {}", self.reason, self.remedy.as_deref().expect("a remedy"))
    }
}

impl Report {
    /// Finds a check's finding with this result whose reason and remedy have these words in them.
    fn expect(&self, check: &str, result: &str, reason: &str, remedy: &str) -> &Finding {
        let fits = |finding: &&Finding| {
            (finding.check.as_str(), finding.result.as_str()) == (check, result)
                && finding.reason.contains(reason)
                && finding.remedy.as_deref().unwrap_or_default().contains(remedy)
        };
        let about: Vec<_> = self.findings.iter().filter(|finding| finding.check == check).collect();
        self.findings
            .iter()
            .find(fits)
            .unwrap_or_else(|| panic!("no {check}: {result} ({reason}) in {about:#?}"))
    }

    /// All findings of a check are no worse than notes.
    fn expect_fine(&self, check: &str) {
        let found: Vec<_> = self.findings.iter().filter(|finding| finding.check == check).collect();
        assert!(!found.is_empty(), "nothing about {check}");
        assert!(found.iter().all(|finding| ["ok", "note"].contains(&finding.result.as_str())), "{found:#?}");
    }
}

/// Runs the doctor with a configuration, and compares its exit code with what it has found.
fn examine(lab: &Lab, config: &str) -> Result<Report> {
    let xlb = xlb(lab);
    let path = xlb.configure(config)?;
    let path = path.to_string_lossy().into_owned();
    Ok(report(&mut xlb.command(["doctor", "--json", "--config", &path])))
}

fn report(command: &mut Command) -> Report {
    let output = command.output().expect("xlb can be started");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let report: Report = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    let code = match report.worst.as_str() {
        "fatal" => FATAL,
        "warning" => WARNINGS,
        _ => 0,
    };
    assert_eq!(output.status.code(), Some(code), "{report:#?}");
    report
}

/// `xlb run` refuses, and says these findings word for word.
fn assert_refused(lab: &Lab, config: &str, code: i32, findings: &[&Finding]) -> Result<()> {
    let refused = xlb(lab).agent(config)?.output().expect("xlb can be started");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(code), "{said}");
    for finding in findings {
        assert!(said.contains(&finding.words()), "{said}\nhas not: {}", finding.words());
    }
    Ok(())
}

/// A configuration of HTTP servers alone.
fn web_config(lab: &Lab, mode: &str) -> Config {
    config(lab, mode).with(|config| {
        config.frontend.truncate(1);
        config.backend.truncate(1);
    })
}

/// A command that takes something from itself, once it is on its host.
fn deprived(mut command: Command, take: fn() -> io::Result<()>) -> Command {
    // SAFETY: between fork and exec only system calls run; nothing allocates or takes a lock.
    unsafe { command.pre_exec(take) };
    command
}

/// Takes `CAP_NET_RAW` from what this process becomes.
fn without_raw_sockets() -> io::Result<()> {
    const CAP_NET_RAW: libc::c_ulong = 13;
    // SAFETY: the call takes numbers and no pointers.
    let result = unsafe { libc::prctl(libc::PR_CAPBSET_DROP, CAP_NET_RAW, 0, 0, 0) };
    Ok(Errno::result(result).map(drop)?)
}

fn with_few_files() -> io::Result<()> {
    Ok(setrlimit(Resource::RLIMIT_NOFILE, 200, 200)?)
}

fn ip(host: &Host, arguments: &str) -> Result<()> {
    host.run("ip", &arguments.split(' ').collect::<Vec<_>>()).map(drop)
}

// A lab takes a second to build, so several tests share one.

#[test]
fn a_healthy_host_passes() -> Result<()> {
    let lab = lab(Topology::default());
    let _servers = Stage::servers(&lab)?;
    all_is_well_with_an_agent_and_without(&lab)?;
    whoever_is_not_root_is_told_what_he_cannot_see(&lab)?;
    without_a_configuration_the_host_alone_is_looked_at(&lab);
    Ok(())
}

#[test]
fn faults_of_the_host_are_named_and_their_remedies_help() -> Result<()> {
    let lab = lab(Topology::default());
    let _servers = Stage::servers(&lab)?;
    ports_filters_and_offloads(&lab)?;
    what_the_environment_lacks(&lab)
}

#[test]
fn faults_of_the_network_are_named_and_their_remedies_help() -> Result<()> {
    let lab = lab(Topology::default());
    let servers = Stage::servers(&lab)?;
    what_a_mode_costs_and_who_has_the_interface(&lab)?;
    what_is_on_trial_is_ours(&lab)?;
    servers_addresses_and_links(&lab, servers)
}

fn all_is_well_with_an_agent_and_without(lab: &Lab) -> Result<()> {
    let config = web_config(lab, "tc").to_toml();
    let seen = |report: &Report| {
        for check in [
            "privileges",
            "kernel",
            "features",
            "programs",
            "jit",
            "btf",
            "page-size",
            "bpffs",
            "memory",
            "open-files",
            "clock",
            "ip-forward",
            "cgroup",
            "data-plane",
            "configuration",
            "interface",
            "driver",
            "xdp-program",
            "tc-programs",
            "mode",
            "other-traffic",
            "offloads",
            "checksums",
            "mtu",
            "addresses",
            "nat-ports",
            "next-hop",
            "server",
            "ports-in-use",
            "fallback",
            "nat-listeners",
            "firewall",
            "other-nat",
        ] {
            report.expect_fine(check);
        }
    };
    let before = examine(lab, &config)?;
    seen(&before);
    before.expect("data-plane", "ok", "none is there yet", "");
    before.expect("features", "ok", "15 of 15 that were tried are there", "");

    let agent = xlb(lab).start(&config)?;
    let running = examine(lab, &config)?;
    seen(&running);
    running.expect("data-plane", "ok", &format!("an agent runs (process {})", agent.id()), "");
    running.expect("memory", "ok", "are there already", "");
    let text = xlb(lab).output(["doctor", "--config", "/run/lab/xlb.toml"])?;
    assert!(text.starts_with("RESULT") && text.contains("\n0 fatal, 0 warnings, "), "{text}");
    assert!(!text.contains('\x1b'), "a pipe gets no colours");
    agent.kill()?;
    let abandoned = examine(lab, &config)?;
    abandoned.expect("data-plane", "warning", "forwards without an agent", "xlb run");
    Ok(())
}

fn ports_filters_and_offloads(lab: &Lab) -> Result<()> {
    let host = &lab.balancer;
    let nft = |command: &str| host.run("nft", &[command]).map(drop);

    let fallback = Nginx::start(host, WEB_PORT)?;
    let service = host.inside(|| TcpListener::bind((host.address(), 12_000))).expect("the port is free");
    let client =
        host.inside(|| connect_from(SocketAddr::new(host.address().into(), 20_001), &lab.servers[0]));
    host.sysctl("net/ipv4/ip_local_port_range", "20000 60999")?;
    nft("add table inet filter")?;
    nft("add chain inet filter input { type filter hook input priority 0; policy accept; }")?;
    nft("add chain inet filter user")?;
    nft("add rule inet filter input jump user")?;
    nft("add rule inet filter user tcp dport 9 reject")?;
    nft("add table ip nat")?;
    nft("add chain ip nat post { type nat hook postrouting priority 100; }")?;
    nft("add rule ip nat post ip saddr 198.18.77.0/24 masquerade")?;
    ip(host, "link set eth0 mtu 1200")?;
    host.run("ethtool", &["-K", "eth0", "gro", "off"])?;
    host.run("tc", &["qdisc", "add", "dev", "eth0", "clsact"])?;
    let bytecode = ["filter", "add", "dev", "eth0", "ingress", "pref", "7", "bpf", "bytecode", "1,6 0 0 0"];
    host.run("tc", &bytecode)?;

    let plain = web_config(lab, "tc").with(|config| config.host_clients = true);
    let found = examine(lab, &plain.to_toml())?;
    let range = found.expect(
        "nat-ports",
        "fatal",
        "may give the ports 20000-32767",
        "ip_local_reserved_ports=20000-32767",
    );
    assert_refused(lab, &plain.to_toml(), WRONG, &[range])?;
    let nginx = format!("nginx (process {}) listens on {}", fallback.id(), web(lab));
    found.expect("fallback", "note", &nginx, "it is the way back");
    found.expect("nat-listeners", "note", "listens on the NAT port 12000", "move `nat_ports`");
    found.expect("ports-in-use", "warning", "the NAT port 20001 of 198.18.0.10", "ss -tnp sport = 20001");
    found.expect("firewall", "warning", "a rule of the chain inet filter input", "allow = [");
    found.expect("other-nat", "warning", "the chain ip nat post", "masquerade to :32768-65535");
    found.expect("mtu", "warning", "eth0 has an MTU of 1200", "ip link set dev eth0 mtu 1500");
    found.expect("offloads", "note", "GRO is off on eth0", "ethtool -K eth0 gro on");
    found.expect("tc-programs", "note", "1 other programs or filters", "");
    found.expect("cgroup", "warning", "no cgroup2 file system is mounted", "host_clients = false");

    host.sysctl("net/ipv4/ip_local_reserved_ports", "20000-32767")?;
    nft("flush chain ip nat post")?;
    nft("add rule ip nat post ip saddr 198.18.77.0/24 ip protocol tcp masquerade to :32768-65535")?;
    ip(host, "link set dev eth0 mtu 1500")?;
    host.run("ethtool", &["-K", "eth0", "gro", "on"])?;
    drop((client, service, fallback));
    let helped = web_config(lab, "tc").with(|config| config.frontend[0].allow = vec!["198.18.0.0/15".into()]);
    let found = examine(lab, &helped.to_toml())?;
    for check in
        ["nat-ports", "nat-listeners", "ports-in-use", "other-nat", "mtu", "offloads", "firewall", "cgroup"]
    {
        found.expect(check, "ok", "", "");
    }
    found.expect("fallback", "ok", "nobody listens on 198.18.0.10:6443", "");
    assert_ne!(found.worst, "fatal", "{found:#?}");
    Ok(())
}

/// A connection to a server from one of the NAT ports, as the kernel would make it where they are not
/// reserved.
fn connect_from(own: SocketAddr, server: &Host) -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.set_reuse_address(true).expect("it is new");
    socket.bind(&own.into()).expect("the port is free");
    let server = SocketAddr::new(server.address().into(), WEB_PORT);
    socket.connect(&server.into()).expect("the server listens");
    socket
}

fn servers_addresses_and_links(lab: &Lab, servers: [Option<Nginx>; 3]) -> Result<()> {
    let [_bettley, fenn, gardener] = servers;
    let host = &lab.balancer;
    let plain = web_config(lab, "tc");

    failure::unplug(lab, &lab.servers[1])?;
    gardener.expect("it was started").stop()?;
    ip(host, "neighbour flush dev eth0")?;
    let nowhere = plain.clone().with(|config| config.backend[0].server[0].address = "198.19.0.1:6443".into());
    let found = examine(lab, &nowhere.to_toml())?;
    let route =
        found.expect("route", "fatal", "there is no route to server 198.19.0.1", "ip route add 198.19.0.1");
    found.expect(
        "next-hop",
        "warning",
        "fenn: its next hop 198.18.0.15 does not answer ARP",
        "ip neighbour show",
    );
    found.expect(
        "server",
        "warning",
        "gardener 198.18.0.16:6443: Layer4 connection problem (Connection refused)",
        "start what listens",
    );
    assert_refused(lab, &nowhere.to_toml(), WRONG_ENVIRONMENT, &[route])?;
    ip(host, "route add 198.19.0.1 via 198.18.0.11")?;
    failure::plug_in(lab, &lab.servers[1])?;
    let gardener = Nginx::start(&lab.servers[2], WEB_PORT)?;
    let found = examine(lab, &nowhere.to_toml())?;
    found.expect("next-hop", "ok", "fenn: 198.18.0.15 is at", "");
    found.expect("server", "ok", "gardener", "");
    assert!(found.findings.iter().all(|finding| finding.check != "route"), "{found:#?}");

    ip(host, "address del 198.18.0.10/24 dev eth0")?;
    let found = examine(lab, &plain.to_toml())?;
    let address = found.expect(
        "addresses",
        "fatal",
        "interface eth0 has no IPv4 address",
        "use an address that it has",
    );
    assert_refused(lab, &plain.to_toml(), WRONG, &[address])?;
    ip(host, "address add 198.18.0.10/24 dev eth0")?;
    host.add_address(12)?;
    let own = plain.clone().with(|config| config.backend[0].server[0].address = "198.18.0.12:6443".into());
    let found = examine(lab, &own.to_toml())?;
    found.expect("addresses", "ok", "eth0 has all that are ours", "");
    found.expect("route", "fatal", "is on the balancer's own host", "use a server on another host");
    let routes = found.findings.iter().filter(|finding| finding.check == "route");
    assert_eq!(routes.count(), 1, "{found:#?}");

    ip(host, "link set eth0 down")?;
    let found = examine(lab, &plain.to_toml())?;
    let down = found.expect("interface", "fatal", "interface eth0 is down", "ip link set dev eth0 up");
    assert_refused(lab, &plain.to_toml(), WRONG_ENVIRONMENT, &[down])?;
    ip(host, "link set dev eth0 up")?;
    lab.switch.run("ip", &["link", "set", host.name(), "down"])?;
    examine(lab, &plain.to_toml())?.expect("interface", "warning", "eth0 has no carrier", "cable");
    lab.switch.run("ip", &["link", "set", host.name(), "up"])?;

    let misnamed = plain.with(|config| config.interface = "eth7".into());
    let found = examine(lab, &misnamed.to_toml())?;
    let missing = found.expect("interface", "fatal", "there is no interface \"eth7\"", "set `interface`");
    assert_refused(lab, &misnamed.to_toml(), WRONG_ENVIRONMENT, &[missing])?;
    drop((fenn, gardener));
    Ok(())
}

fn what_a_mode_costs_and_who_has_the_interface(lab: &Lab) -> Result<()> {
    let [native, generic, tc] = ["native", "generic", "tc"].map(|mode| web_config(lab, mode).to_toml());
    let found = examine(lab, &generic)?;
    found.expect("other-traffic", "warning", "turns GRO off", "mode = \"tc\"");
    found.expect("checksums", "warning", "veth in generic mode", "mode = \"tc\"");

    let other = lab.balancer.inside(other_program);
    let found = examine(lab, &native)?;
    let taken =
        found.expect("xdp-program", "fatal", "has another XDP program attached", "set `mode = \"tc\"`");
    assert_refused(lab, &native, WRONG_ENVIRONMENT, &[taken])?;
    let found = examine(lab, &tc)?;
    found.expect("xdp-program", "note", "it sees packets before xlb does", "");
    drop(other);
    examine(lab, &native)?.expect("xdp-program", "ok", "no other XDP program", "");
    Ok(())
}

fn what_is_on_trial_is_ours(lab: &Lab) -> Result<()> {
    let agent = xlb(lab).start_with(&web_config(lab, "native").to_toml(), &["--confirm", "1h"])?;
    agent.log().wait_for("on trial")?;
    let found = report(&mut xlb(lab).command(["doctor", "--json"]));
    found.expect("data-plane", "ok", &format!("an agent runs (process {})", agent.id()), "");
    found.expect("memory", "ok", "are there already", "");
    found.expect("xdp-program", "ok", "no other XDP program is on eth0", "");
    agent.stop().map(drop)
}

/// Somebody else's program, which lets every frame pass.
fn other_program() -> aya::Ebpf {
    let mut ebpf = object::load(XLB, Sizes::SMALLEST).expect("the kernel takes it");
    let program: &mut Xdp =
        ebpf.program_mut("xlb_clock").expect("is in the object").try_into().expect("is XDP");
    program.load().expect("the verifier takes it");
    program.attach("eth0", XdpMode::Skb).expect("the interface is free");
    ebpf
}

fn what_the_environment_lacks(lab: &Lab) -> Result<()> {
    let host = &lab.balancer;
    let config = web_config(lab, "tc").to_toml();
    let path = xlb(lab).configure(&config)?.to_string_lossy().into_owned();
    let doctor = ["doctor", "--json", "--config", &path];

    // Where pins would be plain files.
    host.run("mkdir", &["/run/lab/elsewhere"])?;
    let with_pins = |more: &[&str]| {
        let mut command = xlb(lab).command(more);
        command.env("XLB_PINS", "/run/lab/elsewhere/xlb");
        command
    };
    let found = report(&mut with_pins(&doctor));
    let unmounted =
        found.expect("bpffs", "fatal", "is not on a bpf file system", "mount -t bpf bpf /run/lab/elsewhere");
    let refused = with_pins(&["run", "--config", &path]).output().expect("xlb can be started");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains(&unmounted.words()), "{said}");
    assert_eq!(refused.status.code(), Some(WRONG_ENVIRONMENT));
    host.run("mount", &["-t", "bpf", "bpf", "/run/lab/elsewhere"])?;
    report(&mut with_pins(&doctor)).expect("bpffs", "ok", "", "");

    // A machine with next to no memory left: its own `/proc` says so, in this lab's mounts alone.
    host.sandbox().write("meminfo", "MemTotal: 65536 kB\nMemAvailable: 16384 kB\n")?;
    host.run("mount", &["--bind", "/run/lab/meminfo", "/proc/meminfo"])?;
    let found = examine(lab, &config)?;
    let memory = found.expect("memory", "fatal", "16.0 MiB are available", "lower `max_servers`");
    assert_refused(lab, &config, WRONG_ENVIRONMENT, &[memory])?;
    let smaller = format!("max_servers = 3\nnat_ports = \"30000-30999\"\n{config}");
    examine(lab, &smaller)?.expect("memory", "ok", "", "");
    host.run("umount", &["/proc/meminfo"])?;

    let run = |take: fn() -> io::Result<()>| report(&mut deprived(xlb(lab).command(doctor), take));
    run(with_few_files).expect("open-files", "warning", "may have 200 open", "ulimit -n 1024");
    let found = run(without_raw_sockets);
    found.expect("privileges", "fatal", "root, but without CAP_NET_RAW", "AmbientCapabilities=");

    let wrong = config.replace("bind = \"198.18.0.10:6443\"", "bind = \"198.18.0.10\"");
    let found = examine(lab, &wrong)?;
    let bind = found.findings.iter().find(|finding| finding.check == "configuration").expect("it is wrong");
    assert_eq!(bind.result, "fatal");
    assert_refused(lab, &wrong, WRONG, &[bind])?;
    Ok(())
}

fn whoever_is_not_root_is_told_what_he_cannot_see(lab: &Lab) -> Result<()> {
    let program = "/run/lab/xlb";
    lab.balancer.run("install", &["-m", "755", &xlb(lab).program().to_string_lossy(), program])?;
    let config = xlb(lab).configure(&web_config(lab, "tc").to_toml())?.to_string_lossy().into_owned();
    let mut command = lab.balancer.command(program);
    command.args(["doctor", "--json", "--config", &config]).env("XLB_PINS", xlb(lab).pins());
    let found = report(&mut deprived(command, || {
        setgroups(&[])?;
        setgid(Gid::from_raw(NOBODY))?;
        Ok(setuid(Uid::from_raw(NOBODY))?)
    }));
    found.expect("privileges", "fatal", "this is not root", "use sudo");
    found.expect("firewall", "note", "nft", "as root");
    for check in ["kernel", "bpffs", "memory", "interface", "addresses", "nat-ports", "server"] {
        found.expect_fine(check);
    }
    Ok(())
}

fn without_a_configuration_the_host_alone_is_looked_at(lab: &Lab) {
    let found = report(&mut xlb(lab).command(["doctor", "--json"]));
    found.expect("configuration", "note", "none was named", "--config FILE");
    found.expect("interface", "ok", "eth0: mode tc: checksums may come", "");
    for check in ["kernel", "features", "programs", "bpffs", "memory", "firewall"] {
        found.expect_fine(check);
    }
}
