//! What `xlb trace` follows: packets, as they came and as they left, and what became of them.
//!
//! [`Tracer`] has the program report them and reads the reports; [`Packet`] is one in words; [`Capture`]
//! writes a file of them.

mod capture;
mod names;
mod packet;
mod tracer;

pub use capture::Capture;
pub use names::Names;
pub use packet::Packet;
pub use tracer::{Error, Tracer, Wanted};

/// A packet as one line of JSON.
pub(crate) fn json(packet: &Packet) -> String {
    serde_json::to_string(packet).expect("strings as keys, and nothing that can fail to serialize")
}
