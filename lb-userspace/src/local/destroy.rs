//! Ends the connections of this host's clients to a server.

use std::collections::HashSet;
use std::io;

use lb_common::local::LocalSocket;
use lb_common::net::socket_addr;
use lb_common::server::Server;

use super::Error;
use super::sock_diag::SockDiag;
use crate::dataplane::maps::Maps;

/// Ends connections, as long as the kernel can.
#[derive(Debug, Default)]
pub struct Destroyer {
    is_impossible: bool,
}

impl Destroyer {
    /// Ends all connections that came to a server by a frontend, and returns how many. Their programs
    /// get an error at once (`ECONNABORTED`), also one that is blocked in `read()`.
    ///
    /// Not ended are connections that a program made to the server itself, and those of processes in
    /// other network namespaces, as containers have them: the kernel destroys sockets of one
    /// namespace only, and this is the agent's.
    ///
    /// # Errors
    ///
    /// [`Error::NoDestroy`] the first time; later that is no error, and nothing is ended.
    pub fn destroy(&mut self, maps: &Maps, server: u16) -> Result<usize, Error> {
        let server = maps.setup.get().server(server);
        let ours = sockets_of(maps, server)?;
        if ours.is_empty() || self.is_impossible {
            return Ok(0);
        }
        let outcome = destroy(server, &ours);
        self.is_impossible = matches!(outcome, Err(Error::NoDestroy));
        outcome
    }
}

/// The cookies of the sockets that were turned to a server.
fn sockets_of(maps: &Maps, server: &Server) -> Result<HashSet<u64>, Error> {
    let is_to = |socket: &LocalSocket| socket.server_addr == server.addr && socket.server_port == server.port;
    let sockets = maps.local_sockets.all()?.into_iter();
    Ok(sockets.filter(|(_, socket)| is_to(socket)).map(|(cookie, _)| cookie).collect())
}

fn destroy(server: &Server, ours: &HashSet<u64>) -> Result<usize, Error> {
    let diag = SockDiag::open().map_err(Error::Diag)?;
    let sockets = diag.connected_to(socket_addr(server.addr, server.port)).map_err(Error::Diag)?;
    let mut destroyed = 0;
    for socket in sockets.iter().filter(|socket| ours.contains(&socket.cookie())) {
        match diag.destroy(socket) {
            Ok(()) => destroyed += 1,
            // It has ended by itself meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => return Err(Error::NoDestroy),
            Err(error) => return Err(Error::Diag(error)),
        }
    }
    Ok(destroyed)
}
