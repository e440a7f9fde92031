//! The configuration of the demonstration: the user's own, imported from `HAProxy` and moved to the lab.

use lb_lab::host::INTERFACE;
use lb_lab::{Result, Xlb};
use toml_edit::{DocumentMut, value};

/// What the user runs today.
const HAPROXY: &str = include_str!("../../../../lb-userspace/tests/data/haproxy.cfg");
/// The name of the frontend in it.
pub const FRONTEND: &str = "k8s-api-server";
/// The port of the frontend, and of its servers.
pub const PORT: u16 = 6443;
/// The user's network and the lab's: the hosts' numbers are the same.
const NETWORKS: [&str; 2] = ["10.4.0.", "198.18.0."];

/// Imports the configuration by the program itself, and moves it to the lab.
pub fn config(xlb: &Xlb, mode: &str) -> anyhow::Result<String> {
    let [from, to] = NETWORKS;
    let mut config: DocumentMut = import(xlb)?.replace(from, to).parse()?;
    config["mode"] = value(mode);
    Ok(config.to_string())
}

fn import(xlb: &Xlb) -> Result<String> {
    let path = xlb.host().sandbox().write("haproxy.cfg", HAPROXY)?;
    xlb.output(["import", "--interface", INTERFACE, &path.to_string_lossy()])
}
