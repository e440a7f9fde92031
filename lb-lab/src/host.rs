//! A host of the lab: a network namespace with an address.

use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use nix::sched::{CloneFlags, setns};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal};

use crate::process::{self, Process};
use crate::sandbox::{Sandbox, on_thread};
use crate::{Error, Result};

/// The interface that connects a host to the network.
pub const INTERFACE: &str = "eth0";

/// Prefix length of all networks.
pub(crate) const PREFIX: u8 = 24;

/// A host of the lab: a network namespace with an address.
///
/// Clones are the same host.
#[derive(Debug, Clone)]
pub struct Host {
    name: Arc<str>,
    address: Ipv4Addr,
    sandbox: Arc<Sandbox>,
    network: Arc<File>,
}

/// A hardware address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

impl Host {
    /// Makes a host without any wires.
    pub(crate) fn create(sandbox: &Arc<Sandbox>, name: &str, address: Ipv4Addr) -> Result<Self> {
        let network = Arc::new(sandbox.network(name)?);
        Ok(Self { name: name.into(), address, sandbox: Arc::clone(sandbox), network })
    }

    /// The host's name, also the name of its port on the switch.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The host's IPv4 address.
    #[must_use]
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// The host's IPv6 address: subnet and host number as in the IPv4 one.
    #[must_use]
    pub fn address6(&self) -> Ipv6Addr {
        let [_, _, subnet, number] = self.address.octets();
        Ipv6Addr::new(0x2001, 2, 0, subnet.into(), 0, 0, 0, number.into())
    }

    /// The hardware address of the host's interface: the IPv4 address, locally administered.
    #[must_use]
    pub fn mac(&self) -> Mac {
        let [a, b, c, d] = self.address.octets();
        Mac([2, 0, a, b, c, d])
    }

    /// The lab's own files, where this host's programs find them.
    #[must_use]
    pub fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    /// A command that will run on this host, and end when the thread that started it does.
    ///
    /// It sees the lab's mounts; its working directory is the root directory.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let host = self.clone();
        let parent = nix::unistd::getpid();
        let prepare = move || {
            // Which signals the caller takes as events is no concern of the program.
            SigSet::empty().thread_set_mask()?;
            prctl::set_pdeathsig(Signal::SIGKILL)?;
            if nix::unistd::getppid() != parent {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            host.enter()
        };
        let mut command = Command::new(program);
        // A group of its own keeps the terminal's Ctrl-C from it: the lab decides when it ends.
        command.process_group(0);
        // SAFETY: between fork and exec only system calls run; nothing allocates or takes a lock.
        unsafe { command.pre_exec(prepare) };
        command
    }

    /// Has one CPU handle what comes to an interface, wherever it was sent from (RPS).
    ///
    /// Otherwise that is the sender's CPU, which changes: packets of one connection overtake each other, and are
    /// handled at once by several CPUs, which no network card does to them.
    pub fn handle_on(&self, interface: &str, cpu: usize) -> Result<()> {
        let mask = 1_u64 << cpu;
        let script = format!("echo {mask:x} > /sys/class/net/{interface}/queues/rx-0/rps_cpus");
        // Only `ip` shows a network's own interfaces there.
        self.run("ip", &["netns", "exec", self.name(), "sh", "-c", &script]).map(drop)
    }

    /// Runs a program to its end and returns what it wrote to stdout; a failure is an error.
    pub fn run(&self, program: &str, arguments: &[&str]) -> Result<String> {
        process::output(self.command(program).args(arguments))
    }

    /// Starts a program that goes on by itself.
    ///
    /// It ends with the thread that started it, so start it from one that lives long enough.
    pub fn spawn(&self, program: impl AsRef<OsStr>, arguments: &[&str]) -> Result<Process> {
        Process::spawn(self.command(program).args(arguments))
    }

    /// Does a piece of work on a thread of its own on this host.
    ///
    /// Sockets opened there belong to the host for good, wherever they are used afterwards.
    ///
    /// # Panics
    ///
    /// When the work does.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        on_thread(|| {
            self.settle();
            work()
        })
    }

    /// Starts a thread on this host that goes on by itself.
    pub fn thread<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        let host = self.clone();
        thread::spawn(move || {
            host.settle();
            work()
        })
    }

    /// Gives the host's interface one more IPv4 address in its network, by the host number there.
    pub fn add_address(&self, number: u8) -> Result<Ipv4Addr> {
        let [a, b, c, _] = self.address.octets();
        let address = Ipv4Addr::new(a, b, c, number);
        let with_prefix = format!("{address}/{PREFIX}");
        self.run("ip", &["address", "add", &with_prefix, "dev", INTERFACE])?;
        Ok(address)
    }

    /// Sets a kernel parameter of this host's network, such as `net/ipv4/ip_forward`.
    pub fn sysctl(&self, name: &str, value: &str) -> Result<()> {
        let path = format!("/proc/sys/{name}");
        self.inside(|| std::fs::write(&path, value)).map_err(Error::io(format!("set {name} of {self}")))
    }

    /// Moves the calling thread to this host for good.
    fn settle(&self) {
        self.enter().expect("root can enter a namespace that it holds");
    }

    /// Moves the calling thread to this host. Async-signal-safe.
    fn enter(&self) -> io::Result<()> {
        self.sandbox.enter()?;
        setns(&*self.network, CloneFlags::CLONE_NEWNET)?;
        Ok(())
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.0.map(|byte| format!("{byte:02x}"));
        f.write_str(&bytes.join(":"))
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
