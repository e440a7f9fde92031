//! Whose sockets listen.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::Path;

use super::ports::Listener;
use crate::local::sock_diag::SockDiag;

/// All that listens for IPv4 connections on this host (in this network namespace).
pub(super) fn listeners() -> io::Result<Vec<Listener>> {
    let sockets = SockDiag::open()?.listeners()?;
    let owners = owners();
    let listener = |socket: &crate::local::sock_diag::HostSocket| {
        Some(Listener { address: socket.listens_on()?, owner: owners.get(&socket.inode()).cloned() })
    };
    Ok(sockets.iter().filter_map(listener).collect())
}

/// Who has each socket open, by its inode, as far as this process may see that.
fn owners() -> HashMap<u32, String> {
    let mut owners = HashMap::new();
    for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let name = process.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        for inode in sockets_of(&process.path()) {
            owners.entry(inode).or_insert_with(|| {
                let command = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
                format!("{} (process {pid})", command.trim_end())
            });
        }
    }
    owners
}

/// The inodes of the sockets that a process has open.
fn sockets_of(process: &Path) -> impl Iterator<Item = u32> {
    let files = fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
    files.filter_map(|file| inode(fs::read_link(file.path()).ok()?.to_str()?))
}

/// `socket:[4711]`
fn inode(link: &str) -> Option<u32> {
    link.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr, TcpListener};

    use super::*;

    #[test]
    fn this_process_is_found_by_what_it_listens_on() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has ports");
        let SocketAddr::V4(address) = listener.local_addr().expect("it is bound") else { unreachable!() };
        let found = listeners().expect("sockets can be listed");
        let found = found.into_iter().find(|found| found.address == address).expect("it listens");
        let owner = found.owner.expect("it is our own");
        assert!(owner.ends_with(&format!("(process {})", std::process::id())), "{owner}");
    }

    #[test]
    fn only_sockets_have_these_inodes() {
        assert_eq!(inode("socket:[4711]"), Some(4711));
        assert_eq!(inode("pipe:[4711]"), None);
        assert_eq!(inode("/dev/null"), None);
    }
}
