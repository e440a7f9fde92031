//! What the maps cost.

use lb_common::settings::DEFAULT_NAT_PORTS;
use xlb::config::Config;
use xlb::dataplane::maps::NAMES;
use xlb::dataplane::object::Sizes;

use crate::rig::{Rig, one_address};

/// All maps together, at the defaults.
const LIMIT: u64 = 64 << 20;

#[test]
fn the_maps_of_the_defaults_are_small_enough() {
    let (nat_first, nat_last) = DEFAULT_NAT_PORTS;
    let rig = Rig::with(|wanted| {
        let ports = one_address(nat_last - nat_first + 1);
        wanted.sizes = Sizes { max_servers: Config::DEFAULT_MAX_SERVERS, nat_first, ..ports };
    });
    let memory = rig.control.maps().memory();
    assert_eq!(memory.len(), NAMES.len());
    let sum: u64 = memory.iter().map(|(_, bytes)| bytes).sum();
    assert!(sum <= LIMIT, "{sum} bytes: {memory:?}");
}
