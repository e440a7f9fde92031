//! A program that is measured.

use anyhow::{Context, Result, bail, ensure};
use aya::Ebpf;
use aya::programs::{Program, TestRun, TestRunOptions};

/// `linux/bpf.h`.
pub const XDP_PASS: u32 = 2;
pub const XDP_TX: u32 = 3;
/// `linux/pkt_cls.h`.
pub const TC_ACT_REDIRECT: u32 = 7;

/// How many packets have taken the path until now.
pub type Proof = Box<dyn Fn() -> Result<u64>>;

/// A loaded program and what it is given.
pub struct Subject {
    pub ebpf: Ebpf,
    pub program: &'static str,
    pub frame: Vec<u8>,
    /// Packets in one turn.
    pub repeat: u32,
    /// How each of them has to end; the kernel tells of the last.
    pub verdict: u32,
    /// None where the verdict of the last packet is that of all.
    pub proof: Option<Proof>,
    pub samples: Vec<f64>,
}

impl Subject {
    /// A program that transmits, until said otherwise.
    pub fn new(ebpf: Ebpf, program: &'static str, frame: Vec<u8>) -> Self {
        let (repeat, verdict) = (1_000_000, XDP_TX);
        Self { ebpf, program, frame, repeat, verdict, proof: None, samples: Vec::new() }
    }

    /// Takes one turn.
    pub fn measure(&mut self) -> Result<()> {
        let before = self.proven()?;
        let ran = run(&self.ebpf, self.program, &self.frame, self.repeat)?;
        ran.expect(self.verdict).context(self.program)?;
        if let (Some(before), Some(after)) = (before, self.proven()?) {
            let (counted, repeat) = (after - before, self.repeat);
            ensure!(counted == u64::from(repeat), "{}: {counted} of {repeat} took the path", self.program);
        }
        self.samples.push(ran.ns);
        Ok(())
    }

    fn proven(&self) -> Result<Option<u64>> {
        self.proof.as_ref().map(|proof| proof()).transpose()
    }
}

/// What came of a run.
pub struct Ran {
    /// Nanoseconds that each packet took, which the kernel rounds down to whole ones.
    pub ns: f64,
    /// How the last one ended.
    pub verdict: u32,
    /// And what it was then.
    pub frame: Vec<u8>,
}

impl Ran {
    /// Fails if the last packet has ended otherwise.
    pub fn expect(&self, verdict: u32) -> Result<()> {
        ensure!(self.verdict == verdict, "a packet ended with verdict {}, not {verdict}", self.verdict);
        Ok(())
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
