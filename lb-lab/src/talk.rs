//! Conversations by a control socket, xlb's or HAProxy's.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use crate::wait::PATIENCE;
use crate::{Error, Host, Result};

/// Connects to a socket that `host` sees.
pub fn connect(host: &Host, socket: &Path) -> Result<UnixStream> {
    let connect = || -> io::Result<UnixStream> {
        let stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(stream)
    };
    host.inside(connect).map_err(Error::io(format!("connect to {}", socket.display())))
}

/// Says a line, and returns all that is answered until the other side has ended the conversation.
pub fn ask(host: &Host, socket: &Path, line: &str) -> Result<String> {
    let mut stream = connect(host, socket)?;
    let mut answer = String::new();
    stream
        .write_all(format!("{line}\n").as_bytes())
        .and_then(|()| stream.read_to_string(&mut answer))
        .map_err(Error::io(format!("ask {} for `{line}`", socket.display())))?;
    Ok(answer)
}
