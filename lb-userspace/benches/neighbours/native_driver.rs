//! Frames as drivers with native XDP hand them over.

use anyhow::{Context, Result};
use aya::Ebpf;
use aya::programs::{Xdp, XdpMode};
use lb_lab::Host;
use xlb::dataplane::object::{self, Sizes};

/// xlb's program; without any frontend it lets all frames pass.
const PROGRAM: &str = "xlb_xdp";
/// Makes a port of the switch copy what comes from its host, by a program in native mode that lets all pass,
/// while what this returns lives.
///
/// A local sender keeps what it sends, in case it has to send it again, and so a veth in native mode copies
/// each frame to where a program may change it. What was copied before belongs to nobody else and has room
/// in front, as on a driver's own pages, and is not copied again.
pub fn pretend(switch: &Host, port: &str) -> Result<Ebpf> {
    let mut ebpf = object::load(object::XLB, Sizes::SMALLEST)?;
    let program: &mut Xdp = object::program(&mut ebpf, PROGRAM)?.try_into()?;
    program.load()?;
    switch.inside(|| program.attach(port, XdpMode::Driver)).with_context(|| format!("attach to {port}"))?;
    Ok(ebpf)
}
