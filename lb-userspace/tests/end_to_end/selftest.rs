//! `xlb selftest` says what works, what does not, and what it cannot tell.

use std::process::Output;

use lb_lab::{Result, Topology, wait};
use serde_json::Value;

use crate::local_clients::Theatre;
use crate::stage::xlb;

/// Runs it as a client of the host, or as a process outside the cgroup.
fn selftest(theatre: &Theatre, arguments: &[&str], is_client: bool) -> Output {
    let mut command = xlb(theatre.lab()).command([&["selftest"], arguments].concat());
    if is_client {
        theatre.adopt(&mut command);
    }
    command.output().expect("xlb can be started")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The lines of a report that begin with this result and this area.
fn lines<'t>(text: &'t str, result: &'t str, area: &'t str) -> impl Iterator<Item = &'t str> {
    let begins =
        move |line: &&str| line.strip_prefix(result).is_some_and(|rest| rest.trim_start().starts_with(area));
    text.lines().filter(begins)
}

#[test]
fn a_healthy_balancer_passes_and_names_what_it_cannot_try_in_native_mode() -> Result<()> {
    a_healthy_balancer_passes_and_names_what_it_cannot_try("native", "native XDP")
}

#[test]
fn a_healthy_balancer_passes_and_names_what_it_cannot_try_in_tc() -> Result<()> {
    a_healthy_balancer_passes_and_names_what_it_cannot_try("tc", "TC")
}

fn a_healthy_balancer_passes_and_names_what_it_cannot_try(mode: &str, described: &str) -> Result<()> {
    let theatre = Theatre::open(Topology::default(), mode)?;
    let output = selftest(&theatre, &[], true);
    let text = text(&output);
    assert!(output.status.success(), "{text}");
    assert!(!text.contains('\x1b'), "a pipe gets no colours");
    assert_eq!(lines(&text, "FAILED", "").count(), 0, "{text}");
    // Two frontends, each by a socket of either family; three servers behind each.
    let tried: Vec<_> = lines(&text, "ok", "local client").collect();
    assert_eq!(tried.len(), 4, "{text}");
    assert!(tried.iter().all(|line| line.contains("getpeername tells the frontend")), "{text}");
    assert_eq!(lines(&text, "ok", "to server").count(), 6, "{text}");
    assert_eq!(lines(&text, "note", "elsewhere").count(), 6, "{text}");
    let attached = format!("on eth0, {described}");
    assert!(text.contains(&attached) && text.contains("the one of this version"), "{text}");

    let document: Value =
        serde_json::from_slice(&selftest(&theatre, &["--json"], true).stdout).expect("JSON");
    assert_eq!(document["failed"], 0, "{document}");
    Ok(())
}

#[test]
fn what_does_not_work_is_named_and_fails() -> Result<()> {
    let mut theatre = Theatre::open(Topology::default(), "native")?;
    let outside = text(&selftest(&theatre, &[], false));
    assert_eq!(lines(&outside, "FAILED", "local client").count(), 4, "nobody listens there: {outside}");

    theatre.stage.web[1].take().expect("it was started").stop()?;
    wait::until("fenn to be DOWN", || (theatre.stage.server("fenn").ok()?.state == "DOWN").then_some(()))?;
    theatre.stage.take_balancer().kill()?;
    let output = selftest(&theatre, &[], true);
    let text = text(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    for (area, subject) in [("data plane", "agent"), ("server", "fenn"), ("to server", "fenn")] {
        let failed = lines(&text, "FAILED", area).filter(|line| line.contains(subject)).count();
        assert_eq!(failed, 1, "{area} {subject}: {text}");
    }
    assert_eq!(lines(&text, "ok", "local client").count(), 4, "without an agent too: {text}");

    xlb(theatre.lab()).output(["detach"])?;
    let output = selftest(&theatre, &[], true);
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stderr).contains("xlb is not running"), "{output:?}");
    Ok(())
}
