//! What the tests of the lab share.

use lb_lab::{Lab, Topology};

/// Builds a lab, or fails with the reason in plain words.
pub fn lab(topology: Topology) -> Lab {
    Lab::build(topology).unwrap_or_else(|error| panic!("{error}"))
}
