//! The connections of this host's clients.

use std::collections::{BTreeSet, HashMap};

use lb_common::local::LocalSocket;
use lb_common::net::socket_addr;

use super::sock_diag::{HostSocket, SockDiag};
use crate::dataplane::Error;
use crate::dataplane::maps::Maps;

/// A connection that came by a frontend.
pub(crate) struct Connection {
    /// What the kernel tells of its socket.
    pub socket: HostSocket,
    /// What the programs have remembered.
    pub turned: LocalSocket,
}

/// All of them in the calling thread's network namespace; those of containers with a network of their
/// own are not seen, and none where the kernel does not tell of sockets (`CONFIG_INET_DIAG`).
pub(crate) fn connections(maps: &Maps) -> Result<Vec<Connection>, Error> {
    let turned: HashMap<u64, LocalSocket> = maps.local_sockets.all()?.into_iter().collect();
    let servers: BTreeSet<_> =
        turned.values().map(|turned| socket_addr(turned.server_addr, turned.server_port)).collect();
    let Ok(diag) = SockDiag::open() else { return Ok(Vec::new()) };
    let sockets = servers.into_iter().flat_map(|server| diag.connected_to(server).unwrap_or_default());
    let connection = |socket: HostSocket| {
        let turned = *turned.get(&socket.cookie())?;
        Some(Connection { socket, turned })
    };
    Ok(sockets.filter_map(connection).collect())
}
