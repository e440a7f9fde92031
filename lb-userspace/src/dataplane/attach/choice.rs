//! Which mode `auto` takes, and why.

use std::collections::BTreeSet;
use std::fmt;

use super::{Mode, WantedMode};
use crate::neighbours::Interface;

/// What is tried first, what after it, and why in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The best mode.
    pub first: Mode,
    /// What is taken if that cannot be, best first.
    pub others: &'static [Mode],
    /// Why the first one.
    pub reason: String,
}

impl Choice {
    /// The programs of all these modes.
    pub(super) fn programs(&self) -> BTreeSet<&'static str> {
        [&self.first].into_iter().chain(self.others).map(|mode| mode.program()).collect()
    }
}

/// Chooses the mode for an interface.
///
/// Without a wish: TC, where frames may come with checksums that are left to be filled in, as over a veth: XDP would
/// forward them wrong. Native XDP, where the driver takes it; else TC, which spares the host's other
/// traffic what generic XDP costs it: a copy of each packet, and GRO.
#[must_use]
pub fn choose(wanted: WantedMode, interface: &Interface) -> Choice {
    let name = &interface.name;
    let driver = interface.driver.as_deref().unwrap_or("unknown driver");
    match wanted {
        WantedMode::Only(mode) => {
            Choice { first: mode, others: &[], reason: "the configuration says so".to_owned() }
        }
        WantedMode::Auto if interface.leaves_checksums() => Choice {
            first: Mode::Tc,
            others: &[Mode::Generic],
            reason: format!("checksums may come to {name} ({driver}) left to be filled in"),
        },
        WantedMode::Auto if interface.has_native_xdp == Some(false) => Choice {
            first: Mode::Tc,
            others: &[Mode::Generic],
            reason: format!("the driver of {name} ({driver}) has no native XDP"),
        },
        WantedMode::Auto => Choice {
            first: Mode::Native,
            others: &[Mode::Tc, Mode::Generic],
            reason: match interface.has_native_xdp {
                Some(_) => format!("the driver of {name} ({driver}) takes it, and checksums come filled in"),
                // Before Linux 6.3.
                None => format!(
                    "checksums come filled in to {name} ({driver}), and only an attempt tells whether its \
                     driver takes native XDP"
                ),
            },
        },
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mode {}: {}", self.first, self.reason)?;
        match self.others.first() {
            Some(second) => write!(f, "; where that cannot be attached, {second}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use lb_common::net::Mac;

    use super::*;

    fn choice(driver: &str, has_native_xdp: Option<bool>) -> String {
        let interface = Interface {
            index: 2,
            name: "eth0".into(),
            mac: Mac([2, 0, 0, 0, 0, 1]),
            mtu: 1500,
            addresses: vec![],
            is_up: true,
            has_carrier: true,
            driver: Some(driver.into()),
            has_native_xdp,
            xdp: None,
        };
        choose(WantedMode::Auto, &interface).to_string()
    }

    #[test]
    fn auto_follows_from_driver_and_kernel() {
        assert_eq!(
            choice("igb", Some(true)),
            "mode native: the driver of eth0 (igb) takes it, and checksums come filled in; \
             where that cannot be attached, tc"
        );
        assert_eq!(
            choice("bcmgenet", None),
            "mode native: checksums come filled in to eth0 (bcmgenet), and only an attempt tells whether its \
             driver takes native XDP; where that cannot be attached, tc"
        );
        assert_eq!(
            choice("bcmgenet", Some(false)),
            "mode tc: the driver of eth0 (bcmgenet) has no native XDP; where that cannot be attached, generic"
        );
        for native in [None, Some(true), Some(false)] {
            assert_eq!(
                choice("virtio_net", native),
                "mode tc: checksums may come to eth0 (virtio_net) left to be filled in; \
                 where that cannot be attached, generic"
            );
        }
    }
}
