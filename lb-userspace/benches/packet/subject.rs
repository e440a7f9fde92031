//! A program that is measured.

use anyhow::{Context, Result, ensure};
use aya::Ebpf;

use crate::test_run::{self, XDP_TX};

/// `linux/bpf.h`.
pub const XDP_PASS: u32 = 2;
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
        let ran = test_run::run(&self.ebpf, self.program, &self.frame, self.repeat)?;
        let (ns, _) = ran.expect(self.verdict).context(self.program)?;
        if let (Some(before), Some(after)) = (before, self.proven()?) {
            let (counted, repeat) = (after - before, self.repeat);
            ensure!(counted == u64::from(repeat), "{}: {counted} of {repeat} took the path", self.program);
        }
        self.samples.push(ns);
        Ok(())
    }

    fn proven(&self) -> Result<Option<u64>> {
        self.proof.as_ref().map(|proof| proof()).transpose()
    }
}
