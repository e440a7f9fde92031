//! Everything that the agent tells the packet path, in one map value.
//!
//! One lookup finds it all: each lookup costs the program the registers that it has in use. The
//! agent maps the value into its own memory and changes it word by word while packets pass.

use core::ops::Range;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::endpoint::Endpoints;
use crate::frontend::{Frontend, MAX_FRONTENDS, PortEntry};
use crate::net::{Addr, Port};
use crate::server::{MAX_SERVERS, Server};
use crate::settings::Settings;
use crate::slot::Ends;

/// The one value of the `SETUP` map.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Setup {
    /// What is to be known of the host.
    pub settings: Settings,
    /// By frontend number.
    pub frontends: [Frontend; MAX_FRONTENDS as usize],
    /// By server number.
    pub servers: [Server; MAX_SERVERS as usize],
    /// From a server's address to its number.
    pub endpoints: Endpoints,
    /// What each port means: one look ends the host's own traffic. By the port's half-word as it
    /// stands in a packet: the verifier of Linux 6.1 knows no bounds of a number whose bytes were
    /// swapped.
    ports: [PortEntry; 1 << 16],
}

impl Setup {
    /// What a port means.
    #[inline(always)]
    #[must_use]
    pub const fn port(&self, port: Port) -> PortEntry {
        self.ports[port.wire() as usize]
    }

    /// The same, to change it.
    #[must_use]
    pub const fn port_mut(&mut self, port: Port) -> &mut PortEntry {
        &mut self.ports[port.wire() as usize]
    }

    /// A frontend by number; numbers that cannot be are taken modulo [`MAX_FRONTENDS`].
    #[inline(always)]
    #[must_use]
    pub const fn frontend(&self, number: u16) -> &Frontend {
        &self.frontends[(number as u32 % MAX_FRONTENDS) as usize]
    }

    /// A server by number; numbers that cannot be are taken modulo [`MAX_SERVERS`].
    #[inline(always)]
    #[must_use]
    pub const fn server(&self, number: u16) -> &Server {
        &self.servers[(number as u32 % MAX_SERVERS) as usize]
    }

    /// The numbers of a server's slots.
    #[must_use]
    pub const fn slots_of(&self, server: u16) -> Range<u32> {
        let first = self.server(server).first_slot;
        first..first + self.settings.slots_of_server()
    }

    /// The address and port of ours that a slot's server sees its connection come from.
    #[inline(always)]
    #[must_use]
    pub const fn nat_endpoint(&self, slot: u32, ends: Ends) -> (Addr, Port) {
        let place = slot.wrapping_sub(self.server(ends.server()).first_slot);
        self.settings.nat_endpoint(place, ends)
    }
}
