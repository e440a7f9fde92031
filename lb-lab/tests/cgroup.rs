//! The lab's hosts see no cgroup of the machine's, and of the lab's own nothing stays behind.

mod support;

use std::path::{Path, PathBuf};

use lb_lab::{Cgroup, Lab, Process, Result, Topology};
use support::lab;

/// The cgroup2 mounts that a host sees: the root of each, and where it is.
fn mounts(lab: &Lab) -> Result<Vec<(String, PathBuf)>> {
    let mounts = lab.balancer.run("cat", &["/proc/self/mountinfo"])?;
    let cgroups = mounts.lines().filter(|line| line.contains(" - cgroup2 "));
    let fields = cgroups.map(|line| line.split(' ').collect::<Vec<_>>());
    Ok(fields.map(|fields| (fields[3].to_owned(), fields[4].into())).collect())
}

/// The cgroup that a process in it sees itself in, from the root of cgroup2.
fn own(lab: &Lab, cgroup: &Cgroup) -> String {
    let mut command = lab.balancer.command("cat");
    let output = cgroup.adopt(command.arg("/proc/self/cgroup")).output().expect("cat is everywhere");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().find_map(|line| line.strip_prefix("0::"));
    line.unwrap_or_else(|| panic!("no cgroup2 in {text}")).to_owned()
}

#[test]
fn only_the_labs_own_cgroup_is_visible_and_processes_join_it() -> Result<()> {
    let lab = lab(Topology::default());
    assert_eq!(mounts(&lab)?, []);
    let cgroup = Cgroup::create(&lab.balancer)?;
    let name = own(&lab, &cgroup);
    assert!(name.starts_with("/xlb-lab-"), "{name}");
    assert_eq!(mounts(&lab)?, [(name, cgroup.path().to_owned())]);
    Ok(())
}

#[test]
fn a_dropped_cgroup_is_removed_with_its_processes() -> Result<()> {
    let lab = lab(Topology::default());
    let cgroup = Cgroup::create(&lab.balancer)?;
    let name = own(&lab, &cgroup);
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("proc is mounted");
    let mount = mounts.lines().find(|line| line.contains(" - cgroup2 ")).expect("the lab has found it");
    let directory = Path::new(mount.split(' ').nth(4).expect("a mount point")).join(&name[1..]);
    assert!(directory.is_dir(), "{}", directory.display());

    let mut command = lab.balancer.command("sleep");
    let mut sleeper = Process::spawn(cgroup.adopt(command.arg("1d")))?;
    drop(cgroup);
    assert!(!directory.exists(), "{}", directory.display());
    assert!(!sleeper.is_running());
    Ok(())
}
