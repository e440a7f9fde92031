//! Where frames enter the program: in XDP or in TC.
//!
//! All tests are for both. A run is for one of them, XDP if nothing else is said.

use std::cell::OnceCell;
use std::env;

use lb_lab::loopback;

use crate::frame::{IP_AT, TCP_AT};
use crate::rig::{OUR_MAC, Verdict};

/// The environment variable that asks for TC, by the value `tc`.
const VARIABLE: &str = "XLB_ENTRY";

/// One of the program's entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    Xdp,
    Tc,
}

impl Entry {
    /// The one of this run.
    pub fn chosen() -> Self {
        if env::var(VARIABLE).is_ok_and(|entry| entry == "tc") { Self::Tc } else { Self::Xdp }
    }

    /// Its program's name in the object.
    pub const fn program(self) -> &'static str {
        match self {
            Self::Xdp => "xlb_xdp",
            Self::Tc => "xlb_tc",
        }
    }

    /// The length of the shortest frame that the kernel takes in a test run: Ethernet, and for a socket
    /// buffer IP.
    pub const fn shortest(self) -> usize {
        match self {
            Self::Xdp => IP_AT,
            Self::Tc => TCP_AT,
        }
    }

    /// What a test run's return value says.
    pub fn verdict(self, value: u32) -> Verdict {
        const TC_ACT_UNSPEC: u32 = u32::MAX;
        match (self, value) {
            (Self::Xdp, 1) | (Self::Tc, 2) => Verdict::Drop,
            (Self::Xdp, 2) | (Self::Tc, TC_ACT_UNSPEC) => Verdict::Pass,
            (Self::Xdp, 3) | (Self::Tc, 7) => Verdict::Transmit,
            (_, other) => panic!("unknown verdict {other}"),
        }
    }

    /// Makes the frames of test runs in this thread frames to this host.
    pub fn prepare(self) {
        thread_local!(static NETWORK: OnceCell<()> = const { OnceCell::new() });
        if self == Self::Tc {
            let make = || loopback::own(OUR_MAC.0).expect("a network of its own needs root");
            NETWORK.with(|network| *network.get_or_init(make));
        }
    }
}
