//! `xlb top`, as a person at a terminal sees and uses it.

use std::fs;
use std::process::Stdio;

use lb_lab::http::Session;
use lb_lab::{Error, Result, Terminal, Topology, Xlb, wait};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::stage::{Stage, WEB, xlb};

/// The smallest terminal that it is made for, and a large one.
const SMALL: (u16, u16) = (80, 24);
const LARGE: (u16, u16) = (140, 40);

/// Runs it twice, and says each time whether the terminal is as it was before.
const TWICE: &str = r#"
before=$(stty -g)
for run in first second; do
    "$XLB" top
    [ "$(stty -g)" = "$before" ] && echo "$run: restored" || echo "$run: spoiled"
done
exec cat"#;

fn open(xlb: &Xlb) -> Result<Terminal> {
    let environment = [
        ("XLB", xlb.program().display().to_string()),
        ("XLB_PINS", xlb.pins().display().to_string()),
        ("XLB_SOCKET", xlb.socket().display().to_string()),
    ];
    Terminal::open(xlb.host(), SMALL, &environment, TWICE)
}

/// Whether a line of the screen has all these words.
fn has(screen: &str, words: &[&str]) -> bool {
    screen.lines().any(|line| words.iter().all(|word| line.contains(word)))
}

#[test]
fn servers_are_watched_and_drained_by_a_key() -> Result<()> {
    let mut stage = Stage::set(Topology::default(), "native")?;
    let xlb = xlb(&stage.lab);
    let terminal = open(&xlb)?;
    for server in ["bettley", "fenn", "gardener"] {
        terminal
            .wait_for(&format!("{server} on the screen"), |screen| has(screen, &[server, "UP", "L4OK"]))?;
    }
    let web = stage.web();
    let _open = stage.lab.lan_clients[0].inside(|| Session::open(web)).map_err(Error::io("connect"))?;
    terminal.wait_for("the connection", |screen| has(screen, &["xlb on eth0 (native)", " 1 open"]))?;

    // The first server of the first backend is selected at the beginning.
    terminal.press(&["Down", "d"])?;
    terminal.wait_for("fenn to be drained", |screen| has(screen, &["fenn", "DRAIN"]))?;
    assert_eq!(stage.server("fenn")?.state, "DRAIN");
    terminal.press(&["r"])?;
    terminal.wait_for("fenn to be ready", |screen| has(screen, &[&format!("{WEB}: 3 of 3 usable")]))?;
    terminal.press(&["m"])?;
    terminal.wait_for("the question", |screen| has(screen, &["into maintenance?"]))?;
    terminal.press(&["n"])?;
    terminal.wait_for("the answer", |screen| has(screen, &[&format!("{WEB}/fenn stays as it is")]))?;
    assert_eq!(stage.server("fenn")?.state, "UP");

    terminal.press(&["/"])?;
    terminal.press(&["-l", "gard"])?;
    terminal.wait_for("the filter", |screen| has(screen, &["gardener"]) && !has(screen, &["bettley"]))?;
    terminal.press(&["Enter", "Escape"])?;
    terminal.wait_for("all servers", |screen| has(screen, &["bettley"]))?;
    terminal.resize(LARGE)?;
    // Drawn anew, that is, to its last line: what is pressed while the program hears of the size, crossterm reads only
    // with the next key.
    terminal.wait_for("the large screen", |screen| {
        let last = screen.lines().nth(usize::from(LARGE.1) - 1);
        last.is_some_and(|line| line.starts_with("q quit")) && has(screen, &["bettley", "UP"])
    })?;
    terminal.press(&["?"])?;
    terminal.wait_for("help", |screen| has(screen, &["Any key closes this"]))?;
    terminal.press(&["q"])?;
    terminal.wait_for("the terminal as it was", |screen| has(screen, &["first: restored"]))?;

    without_an_agent(&mut stage, &terminal)
}

/// The second run, after the agent was killed; a signal ends it.
fn without_an_agent(stage: &mut Stage, terminal: &Terminal) -> Result<()> {
    stage.take_balancer().kill()?;
    terminal.wait_for("the agent to be missed", |screen| has(screen, &["agent not running"]))?;
    assert!(terminal.is_taken()?);
    terminal.press(&["d"])?;
    terminal.wait_for("why nothing is done", |screen| has(screen, &["no agent runs"]))?;
    let shell = terminal.shell()?;
    let children = format!("/proc/{shell}/task/{shell}/children");
    let children = fs::read_to_string(children).map_err(Error::io("list the shell's children"))?;
    let top = children.split_whitespace().next().and_then(|pid| pid.parse().ok()).expect("it runs");
    kill(Pid::from_raw(top), Signal::SIGTERM).map_err(Error::io("send SIGTERM"))?;
    terminal.wait_for("the terminal as it was", |screen| has(screen, &["second: restored"]))?;
    wait::until("the screen to be given back", || (!terminal.is_taken().ok()?).then_some(()))
}

#[test]
fn without_a_terminal_it_names_what_works() -> Result<()> {
    let stage = Stage::set(Topology { routed_clients: 0, ..Topology::default() }, "native")?;
    let mut command = xlb(&stage.lab).command(["top"]);
    let output = command.stdin(Stdio::null()).output().map_err(Error::io("run `xlb top`"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("needs a terminal; `xlb stats --watch`"), "{said}");
    assert_eq!((output.status.code(), output.stdout.len()), (Some(3), 0));
    Ok(())
}
