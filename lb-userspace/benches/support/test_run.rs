//! Runs of the bench object's programs in the kernel.

use anyhow::{Context, Result, bail, ensure};
use aya::Ebpf;
use aya::programs::{Program, TestRun, TestRunOptions};

/// A floor to compare with, a prototype, and the product's core behind entries that vary the packet.
pub static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/bench.bpf.o"));

/// The program that is the floor, and the one whose packets are each of another flow.
pub const FLOOR: &str = "floor";
pub const NEXT_FLOW: &str = "next_flow";
/// The one that takes a packet as it is.
pub const PLAIN: &str = "plain";

/// `linux/bpf.h`.
pub const XDP_TX: u32 = 3;

/// What came of a run.
pub struct Ran {
    ns: f64,
    verdict: u32,
    frame: Vec<u8>,
}

impl Ran {
    /// Fails if the last packet has ended otherwise. Returns the nanoseconds that each packet took, which the
    /// kernel rounds down to whole ones, and what the last one was in the end.
    pub fn expect(self, verdict: u32) -> Result<(f64, Vec<u8>)> {
        ensure!(self.verdict == verdict, "a packet ended with verdict {}, not {verdict}", self.verdict);
        Ok((self.ns, self.frame))
    }
}

/// Runs a frame `repeat` times.
pub fn run(ebpf: &Ebpf, program: &str, frame: &[u8], repeat: u32) -> Result<Ran> {
    let mut out = vec![0; frame.len()];
    let options =
        TestRunOptions { data_in: Some(frame), data_out: Some(&mut out), repeat, ..TestRunOptions::new() };
    let result = match ebpf.program(program).context("the object has the program")? {
        Program::Xdp(program) => program.test_run(options)?,
        Program::SchedClassifier(program) => program.test_run(options)?,
        _ => bail!("{program} is a program of another kind"),
    };
    Ok(Ran { ns: result.duration.as_nanos() as f64, verdict: result.return_value, frame: out })
}
