//! Whether a data plane that runs can do what a configuration wants, or only a new one can.

use std::fmt;
use std::net::Ipv4Addr;

use crate::config::Config;
use crate::dataplane::attach::{Mode, WantedMode};
use crate::dataplane::object::Sizes;
use crate::plan;

/// What cannot be changed in a data plane that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running {
    /// The interface that its program is attached to.
    pub interface: String,
    /// How it is attached, if it is.
    pub mode: Option<Mode>,
    /// The sizes of its maps.
    pub sizes: Sizes,
}

/// A data plane that runs cannot do what the configuration wants.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the running data plane cannot take this configuration: {list}; set this back, or start a new data \
     plane, which ends the connections of the running one: stop the agent and give `xlb run --fresh`",
    list = .0.iter().map(ToString::to_string).collect::<Vec<_>>().join(", and ")
)]
pub struct Incompatible(pub Vec<Difference>);

/// A setting that a running data plane has otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The key in the configuration.
    pub key: &'static str,
    /// What it is in the running data plane.
    pub running: String,
    /// What the configuration wants.
    pub wanted: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is {} there and {} in the configuration", self.key, self.running, self.wanted)
    }
}

/// The NAT addresses in an order of their own: which has which number, only the maps have to know.
fn addresses(sizes: Sizes) -> String {
    let mut addresses: Vec<Ipv4Addr> = sizes.nat_addrs.iter().map(Into::into).collect();
    addresses.sort();
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Fails with everything that is different.
pub fn check(running: &Running, config: &Config) -> Result<(), Incompatible> {
    let sizes = plan::sizes(config);
    let last = |sizes: Sizes| u32::from(sizes.nat_first) + u32::from(sizes.nat_ports) - 1;
    let ports = |sizes: Sizes| format!("{}-{}", sizes.nat_first, last(sizes));
    let mode_fits = match (plan::mode(config), running.mode) {
        (WantedMode::Auto, _) | (_, None) => true,
        (WantedMode::Only(wanted), Some(mode)) => wanted == mode,
    };
    let mode = running.mode.map_or(String::new(), |mode| mode.to_string());
    let settings = [
        ("interface", running.interface.clone(), config.interface.clone()),
        ("mode", if mode_fits { config.mode.to_string() } else { mode }, config.mode.to_string()),
        ("max_servers", running.sizes.max_servers.to_string(), sizes.max_servers.to_string()),
        ("nat_ports", ports(running.sizes), ports(sizes)),
        ("nat_addresses", addresses(running.sizes), addresses(sizes)),
    ];
    let different = settings.into_iter().filter(|(_, running, wanted)| running != wanted);
    let differences: Vec<_> =
        different.map(|(key, running, wanted)| Difference { key, running, wanted }).collect();
    if differences.is_empty() { Ok(()) } else { Err(Incompatible(differences)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::model;
    use crate::config::tests::one_server as config;

    fn running() -> Running {
        let config = config("");
        Running { interface: config.interface.clone(), mode: Some(Mode::Native), sizes: plan::sizes(&config) }
    }

    #[test]
    fn the_same_is_compatible() {
        assert_eq!(check(&running(), &config("")), Ok(()));
        let detached = Running { mode: None, ..running() };
        assert_eq!(check(&detached, &config("")), Ok(()));
    }

    #[test]
    fn the_order_of_nat_addresses_does_not_matter() {
        let addresses = |list: &str| config(&format!("nat_addresses = [{list}]\n"));
        let (some, turned) = (r#""198.18.0.9", "198.18.0.10""#, r#""198.18.0.10", "198.18.0.9""#);
        let running = Running { sizes: plan::sizes(&addresses(some)), ..running() };
        assert_eq!(check(&running, &addresses(turned)), Ok(()));
        let one_less = check(&running, &addresses(r#""198.18.0.9""#)).unwrap_err().to_string();
        let difference =
            "`nat_addresses` is 198.18.0.9, 198.18.0.10 there and 198.18.0.9 in the configuration";
        assert!(one_less.contains(difference), "{one_less}");
    }

    #[test]
    fn whatever_was_chosen_is_auto() {
        let auto = Config { mode: model::Mode::Auto, ..config("") };
        for mode in Mode::ALL {
            assert_eq!(check(&Running { mode: Some(mode), ..running() }, &auto), Ok(()));
        }
    }

    #[test]
    fn every_difference_is_named_with_both_values() {
        let running = Running {
            interface: "eth1".into(),
            mode: Some(Mode::Generic),
            sizes: plan::sizes(&config("nat_addresses = [\"198.18.0.9\"]\n")),
        };
        let wanted = config("max_servers = 32\nnat_ports = \"20000-29999\"\n");
        assert_eq!(
            check(&running, &wanted).unwrap_err().to_string(),
            "the running data plane cannot take this configuration: \
             `interface` is eth1 there and eth0 in the configuration, and \
             `mode` is generic there and native in the configuration, and \
             `max_servers` is 16 there and 32 in the configuration, and \
             `nat_ports` is 10240-32767 there and 20000-29999 in the configuration, and \
             `nat_addresses` is 198.18.0.9 there and 198.18.0.10 in the configuration; set this back, \
             or start a new data plane, which ends the connections of the running one: stop the agent \
             and give `xlb run --fresh`"
        );
    }
}
