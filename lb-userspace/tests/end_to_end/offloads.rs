//! Frames as peers on the same machine send them: checksums not filled in, and longer than any wire
//! carries. TC takes them whole; XDP cannot, and says so.

use std::thread;

use lb_lab::capture::{Capture, Frame};
use lb_lab::lab::ETHERNET_MTU;
use lb_lab::{Result, Topology, curl, echo, size};

use crate::stage::{EQUAL, Stage, assert_shares, config, lab, programs, xlb};

const TOPOLOGY: Topology = Topology { offloads: true, ..Topology::DEFAULT };
const CONNECTIONS: usize = 60;
/// As much of a transfer as is captured.
const SAMPLE: usize = 500_000;
/// Why it takes TC by itself.
const REASON: &str = "checksums may come to eth0 (veth) left to be filled in";
/// What the agent says where it cannot forward such frames right.
const WARNING: &str = "checksums that peers on this machine leave to be filled in stay wrong";

#[test]
fn what_is_left_to_be_filled_in_and_cut_is_forwarded_in_tc() -> Result<()> {
    let stage = Stage::set(TOPOLOGY, "tc")?;
    let capture = Capture::start(&stage.lab.switch, &stage.lab.balancer, "port 7000")?;
    transfer_at_once(&stage, SAMPLE);
    let frames = capture.stop()?;
    let sent = |frame: &&Frame| frame.source_mac == stage.lab.balancer.mac();
    let of_all: [Vec<&Frame>; 2] =
        [frames.iter().filter(sent).collect(), frames.iter().filter(|frame| !sent(frame)).collect()];
    for frames in of_all {
        let long = frames.iter().filter(|frame| frame.length > usize::from(ETHERNET_MTU) + 14).count();
        let unfinished = frames.iter().filter(|frame| !frame.checksums_valid).count();
        assert!(long > 0 && unfinished > 0, "{long} long and {unfinished} unfinished of {}", frames.len());
    }

    transfer_at_once(&stage, size::or_less(50_000_000));
    let answers = curl::tally(curl::fetch(&stage.lab.routed_clients[0], stage.web(), CONNECTIONS)?);
    assert_shares(&answers, &EQUAL);
    assert!(!stage.balancer().log().text().contains(WARNING));
    Ok(())
}

/// Sends as many bytes from each client at once, and gets them back.
fn transfer_at_once(stage: &Stage, length: usize) {
    thread::scope(|scope| {
        for (client, seed) in stage.lab.clients().zip(1..) {
            scope.spawn(move || {
                let transfer = client.inside(|| echo::transfer(stage.echo(), length, seed));
                transfer.unwrap_or_else(|error| panic!("{client} did not get its bytes back: {error}"));
            });
        }
    });
}

#[test]
fn xdp_says_that_it_cannot() -> Result<()> {
    for mode in ["native", "generic"] {
        let stage = Stage::set(TOPOLOGY, mode)?;
        let log = stage.balancer().log().text();
        assert!(log.contains(WARNING) && log.contains("set `mode = \"tc\"`"), "{mode}: {log}");
    }
    Ok(())
}

#[test]
fn auto_takes_tc_there_and_says_why() -> Result<()> {
    let lab = lab(TOPOLOGY);
    let (xlb, config) = (xlb(&lab), config(&lab, "auto"));
    let path = xlb.configure(&config.to_toml())?;
    let explained = xlb.output(["run", "--explain-mode", "--config", &path.to_string_lossy()])?;
    assert!(explained.starts_with(&format!("mode tc: {REASON}")), "{explained}");
    assert!(programs(&lab.balancer).is_empty(), "nothing is attached for that");

    let agent = xlb.start(&config.to_toml())?;
    assert!(agent.log().text().contains(&format!("mode tc: {REASON}")), "{}", agent.log().text());
    let stats = xlb.stats()?;
    assert_eq!((stats.mode.as_str(), stats.mode_reason.as_str()), ("tc", REASON));
    assert!(xlb.output(["stats"])?.contains(&format!("mode tc: {REASON}")));
    agent.kill()?;
    // Whoever takes over keeps the mode, and knows why it was chosen.
    let _adopter = xlb.start(&config.to_toml())?;
    assert_eq!(xlb.stats()?.mode_reason, REASON);
    Ok(())
}
