//! What time it is for the packet path.
//!
//! It counts in jiffies, which no system call tells; a program beside it does.

use aya::programs::{TestRun, TestRunOptions, Xdp};
use aya_obj::programs::XdpAttachType;
use lb_common::time::Tick;

use super::Error;

/// The program's name in the object.
pub const PROGRAM: &str = "xlb_clock";

/// The least that a test run takes as a packet: an Ethernet header.
const PACKET: usize = 14;

/// Tells the data plane's time.
pub struct Ticker {
    program: Xdp,
}

impl Ticker {
    /// Opens the pinned program.
    pub(super) fn open(path: &std::path::Path) -> Result<Self, Error> {
        let program = Xdp::from_pin(path, XdpAttachType::Interface);
        Ok(Self { program: program.map_err(|source| Error::Program { name: PROGRAM, source })? })
    }

    /// Now.
    pub fn now(&self) -> Result<Tick, Error> {
        let mut answer = [0; PACKET];
        let question = TestRunOptions {
            data_in: Some(&[0; PACKET]),
            data_out: Some(&mut answer),
            ..TestRunOptions::new()
        };
        self.program.test_run(question).map_err(|source| Error::Program { name: PROGRAM, source })?;
        let [a, b, c, d, e, f, g, h, ..] = answer;
        Ok(Tick::from_jiffies(u64::from_ne_bytes([a, b, c, d, e, f, g, h])))
    }
}
