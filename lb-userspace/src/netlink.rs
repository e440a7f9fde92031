//! A line to the kernel by netlink, for who asks and waits for nobody but the kernel.

use std::io;

use rtnetlink::packet_core::{
    NLM_F_REQUEST, NetlinkDeserializable, NetlinkHeader, NetlinkMessage, NetlinkPayload, NetlinkSerializable,
};
use rtnetlink::sys::{Socket, SocketAddr};

/// A line to one of the kernel's netlink protocols.
pub(crate) struct Line {
    socket: Socket,
}

impl Line {
    /// Opens one in the calling thread's network namespace.
    pub fn open(protocol: isize) -> io::Result<Self> {
        let socket = Socket::new(protocol)?;
        socket.connect(&SocketAddr::new(0, 0))?;
        Ok(Self { socket })
    }

    /// Sends a request.
    pub fn send<T: NetlinkSerializable>(&self, message: T, flags: u16) -> io::Result<()>
    where
        NetlinkPayload<T>: From<T>,
    {
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | flags;
        let mut message = NetlinkMessage::new(header, NetlinkPayload::from(message));
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        self.socket.send(&bytes, 0).map(drop)
    }

    /// Takes answers until the kernel has said all.
    pub fn receive<T: NetlinkDeserializable>(&self, mut on_message: impl FnMut(T)) -> io::Result<()> {
        loop {
            let (bytes, _) = self.socket.recv_from_full()?;
            let mut rest = bytes.as_slice();
            while let Ok(length) = length(rest) {
                // A message of a kind that this version does not know is no reason to miss others.
                match NetlinkMessage::<T>::deserialize(&rest[..length]).map(|message| message.payload) {
                    Ok(NetlinkPayload::InnerMessage(message)) => on_message(message),
                    Ok(NetlinkPayload::Error(error)) if error.code.is_some() => return Err(error.to_io()),
                    Ok(NetlinkPayload::Done(_) | NetlinkPayload::Error(_)) => return Ok(()),
                    _ => {}
                }
                rest = rest.get(length.next_multiple_of(ALIGNMENT)..).unwrap_or_default();
            }
        }
    }
}

/// Netlink messages begin at multiples of this.
const ALIGNMENT: usize = 4;

/// The length of the first message among these bytes.
fn length(bytes: &[u8]) -> Result<usize, ()> {
    const HEADER: usize = 16;
    let (length, _) = bytes.split_first_chunk().ok_or(())?;
    let length = u32::from_ne_bytes(*length) as usize;
    if (HEADER..=bytes.len()).contains(&length) { Ok(length) } else { Err(()) }
}
