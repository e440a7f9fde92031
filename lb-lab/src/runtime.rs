//! What many connections at once need of this process.

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::runtime::{Builder, Runtime};

use crate::{Error, Result};

/// A runtime on the thread that uses it.
pub(crate) fn new() -> Result<Runtime> {
    Builder::new_current_thread().enable_all().build().map_err(Error::io("make a runtime"))
}

/// Lets this process, and what it starts, have as many files open as it is allowed to ask for.
pub(crate) fn allow_many_files() -> Result<()> {
    let cannot = || Error::io("raise the limit of open files");
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).map_err(cannot())?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most).map_err(cannot())
}
