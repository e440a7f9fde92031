//! The pictures of the README, of a balancer with something to show: traffic that changes, a server that is
//! DOWN, and one that is drained.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use anyhow::Context;
use lb_lab::browser::{Browser, Scheme};
use lb_lab::config::Config;
use lb_lab::load::{self, Load};
use lb_lab::traffic::{self, Traffic};
use lb_lab::{Balancer, Error, Host, Lab, Nginx, Result, Terminal, Topology, Xlb};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::sethostname;

use crate::picture;

const TOPOLOGY: Topology = Topology { lan_clients: 4, routed_clients: 2, ..Topology::DEFAULT };

/// What clients connect to: name and port.
const API: (&str, u16) = ("k8s-api-server", 6443);
const INGRESS: (&str, u16) = ("ingress", 443);
/// The servers of which one is drained and one fails, by their places.
const DRAINED: usize = 1;
const FAILING: usize = 2;

const STATS_PORT: u16 = 8404;

/// Time between two short connections of a client, and how many it keeps open.
const INTERVAL: Duration = Duration::from_millis(200);
const HELD: usize = 2;

/// New connections a second beside that traffic, of one and the other, each for a while, so that there is
/// something to see in a history: the server fails between the two halves.
const BEFORE: [(u32, u32); 4] = [(20, 60), (70, 50), (40, 90), (120, 40)];
const AFTER: [(u32, u32); 5] = [(60, 20), (90, 40), (30, 80), (50, 30), (20, 60)];
/// Longer than a step of that history.
const WHILE: Duration = Duration::from_secs(8);

/// The columns and rows of the terminal for `xlb top`, and for `xlb stats`, whose lines are long.
const TOP: (u16, u16) = (110, 20);
const STATS: (u16, u16) = (230, 40);

/// A window of a desk.
const WINDOW: (u32, u32) = (1280, 800);

/// Where pictures go.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// The directory that gets page.svg, top.svg and stats.svg.
    #[arg(value_name = "DIRECTORY")]
    directory: PathBuf,

    /// The program to show; the one beside this one unless given.
    #[arg(long, value_name = "PATH")]
    xlb: Option<PathBuf>,
}

/// Makes all pictures.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let mut scene = Scene::set(options)?;
    let top = terminal(&scene.balancer.xlb, TOP, "exec \"$XLB\" top")?;
    scene.play(&BEFORE)?;
    scene.trouble()?;
    top.press(&["Down", "Down"])?;
    scene.play(&AFTER)?;
    let top = picture::of_terminal(&top.coloured_screen()?)?;
    let pictures = [("top", top), ("stats", scene.stats()?), ("page", scene.page()?)];
    for (name, picture) in pictures {
        let path = options.directory.join(name).with_extension("svg");
        fs::write(&path, picture).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// A balancer at work.
struct Scene {
    // Fields are dropped in this order: first who asks, last who answers.
    _traffic: [Traffic; 2],
    balancer: Balancer,
    api: Vec<Option<Nginx>>,
    _ingress: Vec<Nginx>,
    lab: Lab,
}

impl Scene {
    fn set(options: &Options) -> anyhow::Result<Self> {
        let program = crate::program(options.xlb.as_deref())?;
        let lab = Lab::build(TOPOLOGY)?;
        go_by_the_name_of(&lab.balancer)?;
        let serve = |(_, port)| lab.servers.iter().map(move |host| Nginx::start(host, port));
        let api = serve(API).map(|nginx| nginx.map(Some)).collect::<Result<_>>()?;
        let ingress = serve(INGRESS).collect::<Result<_>>()?;
        let config = Config::new("auto").serve(API.0, API.1, &lab).serve(INGRESS.0, INGRESS.1, &lab);
        let page = format!("\n[stats]\nbind = \"0.0.0.0:{STATS_PORT}\"\nhide_version = true\n");
        let balancer = Xlb::new(program, &lab.balancer).start(&(config.to_toml() + &page))?;
        let plan = |(_, port)| traffic::Plan { target: target(&lab, port), interval: INTERVAL, held: HELD };
        let traffic = [API, INGRESS].map(|frontend| Traffic::start(lab.clients(), plan(frontend)));
        Ok(Self { _traffic: traffic, balancer, api, _ingress: ingress, lab })
    }

    /// Lets time pass, with more or less to do.
    fn play(&self, rates: &[(u32, u32)]) -> Result<()> {
        let load =
            |(_, port), rate| Load::start(self.lab.clients(), load::Plan::new(target(&self.lab, port), rate));
        for (api, ingress) in rates {
            let load = [load(API, *api)?, load(INGRESS, *ingress)?];
            thread::sleep(WHILE);
            drop(load);
        }
        Ok(())
    }

    /// One server fails, and another is drained.
    fn trouble(&mut self) -> Result<()> {
        let drained = format!("{}/{}", INGRESS.0, self.lab.servers[DRAINED]);
        self.balancer.xlb.output(["server", &drained, "drain"])?;
        self.api[FAILING].take().map_or(Ok(()), Nginx::kill)
    }

    fn stats(&self) -> anyhow::Result<String> {
        let show = "printf '$ xlb stats\\n'; \"$XLB\" stats; printf '\\n'; exec cat";
        let terminal = terminal(&self.balancer.xlb, STATS, show)?;
        terminal.wait_for("all of it", |screen| screen.contains("OUTCOME"))?;
        picture::of_terminal(&terminal.coloured_screen()?)
    }

    fn page(&self) -> anyhow::Result<String> {
        let host: &Host = &self.lab.lan_clients[0];
        let mut browser = Browser::start(host)?;
        browser.resize(WINDOW, false)?;
        browser.prefer(Scheme::Light)?;
        browser.open(&format!("http://{}:{STATS_PORT}/stats", self.lab.balancer.address()))?;
        picture::of_page(host, &mut browser)
    }
}

fn target(lab: &Lab, port: u16) -> SocketAddr {
    SocketAddr::new(lab.balancer.address().into(), port)
}

/// Gives this thread, and what it starts, a host's name; namespaces of networks have none.
fn go_by_the_name_of(host: &Host) -> Result<()> {
    let cannot = || Error::io("take a host's name");
    unshare(CloneFlags::CLONE_NEWUTS).map_err(cannot())?;
    sethostname(host.name()).map_err(cannot())
}

/// A terminal on the balancer, in which a shell's command runs the program as `$XLB`.
fn terminal(xlb: &Xlb, size: (u16, u16), script: &str) -> Result<Terminal> {
    let environment = [
        ("XLB", xlb.program().display().to_string()),
        ("XLB_PINS", xlb.pins().display().to_string()),
        ("XLB_SOCKET", xlb.socket().display().to_string()),
    ];
    Terminal::open(xlb.host(), size, &environment, script)
}
