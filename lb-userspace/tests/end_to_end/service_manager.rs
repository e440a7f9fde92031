//! What systemd is told of an agent that it has started.

use std::os::unix::net::UnixDatagram;

use lb_lab::wait::PATIENCE;
use lb_lab::{Process, Result, Topology};
use nix::sys::signal::Signal;

use crate::stage::{config, lab, programs, xlb};

#[test]
fn systemd_hears_when_it_forwards_goes_on_reloads_and_ends() -> Result<()> {
    let lab = lab(Topology::default());
    let (host, xlb) = (&lab.balancer, xlb(&lab));
    let path = host.sandbox().file("notify.sock");
    let systemd = host.inside(|| UnixDatagram::bind(&path)).expect("there is room for a socket");
    systemd.set_read_timeout(Some(PATIENCE)).expect("can be set");
    let mut agent = xlb.agent(&config(&lab, "tc").to_toml())?;
    let agent = Process::spawn(agent.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "30000000"))?;

    let ready = hear(&systemd, "READY=1");
    assert_eq!(programs(host).len(), 1, "it is ready once it is attached");
    assert!(ready.contains("STATUS=forwarding on eth0 (tc); 6 of 6 servers usable"), "{ready}");
    // None of them is there.
    hear(&systemd, "STATUS=forwarding on eth0 (tc); 0 of 6 servers usable");
    hear(&systemd, "WATCHDOG=1");
    agent.signal(Signal::SIGHUP)?;
    let reloading = hear(&systemd, "RELOADING=1");
    assert!(reloading.contains("MONOTONIC_USEC="), "{reloading}");
    hear(&systemd, "READY=1");
    assert!(agent.stop()?.success());
    hear(&systemd, "STOPPING=1");
    Ok(())
}

/// The next message that has this line.
fn hear(systemd: &UnixDatagram, line: &str) -> String {
    let mut bytes = [0; 1024];
    loop {
        let length = systemd.recv(&mut bytes).unwrap_or_else(|error| panic!("no {line}: {error}"));
        let message = String::from_utf8_lossy(&bytes[..length]);
        if message.lines().any(|said| said == line) {
            return message.into_owned();
        }
    }
}
