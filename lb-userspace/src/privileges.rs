//! The rights that a running agent keeps. It has given up all others of root's once it has started, whoever
//! started it: what could be made of a flaw in it ends there.
//!
//! The kernel counts rights by thread (capabilities(7)). One that starts later gets what the thread has that starts it.

use std::io;

use caps::{CapSet, Capability, CapsHashSet};
use nix::sys::prctl;

/// What a running agent may have to do, and what that takes; `docs/service.md` has the same list.
const KEPT: [Capability; 5] = [
    // Loads the programs again, for an interface that was made anew.
    Capability::CAP_BPF,
    // Without it the verifier takes loops and pointers of strangers, and not such as our program's.
    Capability::CAP_PERFMON,
    // Attaches programs, follows next hops, ends connections of this host's clients.
    Capability::CAP_NET_ADMIN,
    // A reload may move statistics to a port below 1024.
    Capability::CAP_NET_BIND_SERVICE,
    // A reload reads configuration, key and certificates where they are, such as in the home of who uses sudo.
    Capability::CAP_DAC_READ_SEARCH,
];

/// Rights cannot be given up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Capabilities.
    #[error("cannot give up capabilities: {0}")]
    Capabilities(#[from] caps::errors::CapsError),
    /// The way back to them.
    #[error("cannot rule out that they come back: {0}")]
    NoNewPrivileges(#[source] io::Error),
}

/// Gives up what a running agent does not need, in the calling thread and those that it will start. What is kept is at most
/// what there is: whoever started the agent may have taken some away.
pub fn keep_needed() -> Result<(), Error> {
    let permitted = caps::read(None, CapSet::Permitted)?;
    let kept = &CapsHashSet::from(KEPT) & &permitted;
    // Without this right the set stays as it was; with the flag at the end, no program can use what it has.
    if permitted.contains(&Capability::CAP_SETPCAP) {
        for capability in &caps::read(None, CapSet::Bounding)? - &kept {
            caps::drop(None, CapSet::Bounding, capability)?;
        }
    }
    caps::clear(None, CapSet::Ambient)?;
    caps::clear(None, CapSet::Inheritable)?;
    caps::set(None, CapSet::Effective, &kept)?;
    caps::set(None, CapSet::Permitted, &kept)?;
    prctl::set_no_new_privs().map_err(|errno| Error::NoNewPrivileges(errno.into()))
}
