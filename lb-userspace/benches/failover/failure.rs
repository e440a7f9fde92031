//! The ways in which a server dies.

use std::fmt;

use lb_lab::failure::{self, Silence};
use lb_lab::{Lab, Nginx, Result};

/// A way in which a server dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// Its program is killed, and its host refuses connections.
    Refuses,
    /// Its host answers nothing but ARP.
    FallsSilent,
    /// Its cable is pulled.
    Vanishes,
}

impl Failure {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Refuses, Self::FallsSilent, Self::Vanishes];

    /// Lets the lab's first server die; it stays so while what this returns lives.
    pub fn begin(self, lab: &Lab, server: Nginx) -> Result<Dead> {
        let host = &lab.servers[0];
        match self {
            Self::Refuses => server.kill().map(|()| Dead::Refusing),
            Self::FallsSilent => Ok(Dead::Silent { _silence: Silence::begin(lab, host)?, _server: server }),
            Self::Vanishes => failure::unplug(lab, host).map(|()| Dead::Unplugged { _server: server }),
        }
    }
}

/// A dead server.
pub enum Dead {
    Refusing,
    Silent { _silence: Silence, _server: Nginx },
    Unplugged { _server: Nginx },
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refuses => "refuses",
            Self::FallsSilent => "falls silent",
            Self::Vanishes => "vanishes",
        })
    }
}
