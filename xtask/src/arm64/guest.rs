//! The emulated machine: boots, and says line by line what it prints.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
};

use anyhow::{Context, Result};

/// The Raspberry Pi 4's processor.
pub const PROCESSOR: &str = "cortex-a72";
/// A guest that hangs does not hang who waits for it.
const LIMIT: &str = "60m";
const MEMORY: &str = "4096";
/// As many as a Pi has, or as this machine has to give.
const PROCESSORS: usize = 4;

/// A machine that is on.
pub struct Guest {
    qemu: Child,
    console: BufReader<ChildStdout>,
}

impl Guest {
    /// Boots a kernel with an initial file system. It has no network but its own.
    pub fn boot(kernel: &Path, image: &Path, processor: &str) -> Result<Self> {
        let mut qemu = Command::new("timeout");
        qemu.args(["--foreground", LIMIT, "setpriv", "--pdeathsig", "KILL", "qemu-system-aarch64"]);
        qemu.args(["-machine", "virt", "-cpu", processor, "-m", MEMORY, "-nic", "none"]);
        qemu.args(["-smp", &processors().to_string(), "-nographic", "-no-reboot"]);
        qemu.args(["-append", "console=ttyAMA0 loglevel=1 panic=-1"]);
        qemu.arg("-kernel").arg(kernel).arg("-initrd").arg(image);
        let mut qemu = qemu.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("cannot run QEMU")?;
        let console = BufReader::new(qemu.stdout.take().context("a pipe")?);
        Ok(Self { qemu, console })
    }

    /// The next line that it prints; none when it is off.
    pub fn line(&mut self) -> Result<Option<String>> {
        let mut line = Vec::new();
        let length = self.console.read_until(b'\n', &mut line).context("cannot read the guest's console")?;
        Ok((length > 0).then(|| String::from_utf8_lossy(&line).trim_end().to_owned()))
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        // It may be off already.
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(PROCESSORS)
}
