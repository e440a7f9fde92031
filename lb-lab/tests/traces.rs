//! A lab leaves nothing behind, however it ends.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use lb_lab::echo::Echo;
use lb_lab::{Host, Nginx, Result, Topology, wait};
use support::lab;

const PORT: u16 = 6443;
/// What the victim of the kill prints before the facts about its lab.
const FACT: &str = "fact: ";

/// The network namespaces and process numbers of a lab, as `/proc` shows them.
fn facts(hosts: &[Host], nginx: &Nginx) -> BTreeSet<String> {
    let namespace = |host: &Host| host.inside(|| link("/proc/thread-self/ns/net".into()));
    hosts.iter().filter_map(namespace).chain([nginx.id().to_string()]).collect()
}

/// Which of the facts are still true of any process or thread on the machine.
fn remaining(facts: &BTreeSet<String>) -> Vec<String> {
    let processes = fs::read_dir("/proc").expect("/proc can be read").flatten().map(|entry| entry.path());
    let threads =
        processes.flat_map(|process| fs::read_dir(process.join("task")).into_iter().flatten().flatten());
    let traces = threads.flat_map(|thread| {
        let number = thread.file_name().into_string().ok();
        [number, link(thread.path().join("ns/net")), link(thread.path().join("ns/mnt"))]
    });
    traces.flatten().filter(|trace| facts.contains(trace)).collect()
}

/// Which of the facts an open file of this process still holds.
fn held(facts: &BTreeSet<String>) -> Vec<String> {
    let files = fs::read_dir("/proc/self/fd").expect("/proc can be read").flatten();
    files.filter_map(|file| link(file.path())).filter(|target| facts.contains(target)).collect()
}

fn link(path: PathBuf) -> Option<String> {
    fs::read_link(path).ok()?.into_os_string().into_string().ok()
}

fn mounts() -> String {
    fs::read_to_string("/proc/self/mounts").expect("/proc can be read")
}

#[test]
fn nothing_is_left_when_a_lab_is_dropped() -> Result<()> {
    let before = mounts();
    let facts = {
        let lab = lab(Topology::default());
        let nginx = Nginx::start(&lab.servers[0], PORT)?;
        let _echo = Echo::start(&lab.servers[1], PORT)?;
        facts(&lab.servers, &nginx)
    };
    assert_eq!(facts.len(), 4);
    assert_eq!(held(&facts), [""; 0]);
    wait::until("the lab's threads to end", || remaining(&facts).is_empty().then_some(()))?;
    assert_eq!(mounts(), before);
    Ok(())
}

#[test]
fn nothing_is_left_when_the_process_is_killed() -> Result<()> {
    let before = mounts();
    let program = std::env::current_exe().expect("a test knows its program");
    let mut victim = Command::new(program)
        .args(["--ignored", "--exact", "victim", "--nocapture"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("a test can run itself");
    let lines = BufReader::new(victim.stdout.take().expect("stdout was asked for")).lines();
    let printed = lines.map_while(std::result::Result::ok).take_while(|line| line != "ready");
    let facts: BTreeSet<_> = printed.filter_map(|line| Some(line.strip_prefix(FACT)?.to_owned())).collect();
    assert_eq!(facts.len(), 4);
    assert!(!remaining(&facts).is_empty(), "the victim's lab should be there before the kill");

    victim.kill().expect("a child can be killed");
    victim.wait().expect("a child can be waited for");
    wait::until("the lab to vanish", || remaining(&facts).is_empty().then_some(()))?;
    assert_eq!(mounts(), before);
    Ok(())
}

#[test]
#[ignore = "the victim of nothing_is_left_when_the_process_is_killed"]
fn victim() -> Result<()> {
    let lab = lab(Topology::default());
    let nginx = Nginx::start(&lab.servers[0], PORT)?;
    for fact in facts(&lab.servers, &nginx) {
        println!("{FACT}{fact}");
    }
    println!("ready");
    loop {
        std::thread::park();
    }
}
