//! What runs in the guest, in which order.

use std::slice;

use anyhow::{Context, Result};
use lb_toolchain::Build;

use crate::{cargo, test::Layer};

/// The end-to-end tests that say something about a kernel. The others are about the agent, which is the same
/// program on all of them.
const END_TO_END: [&str; 19] = [
    "agent::an_agent_that_is_asked_to_end",
    "agent::what_a_killed_agent_has_left_is_adopted",
    "confirmation::",
    "doctor::",
    "every_client::every_kind_of_client_is_balanced_at_once_in_tc",
    "failover::a_server_that_refuses_costs_no_connection_in_tc",
    "health::",
    "limits::only_those_on_the_list",
    "local_clients::clients_on_the_host_are_balanced",
    "local_clients::idle_connections_of_the_host",
    "mtu::a_narrow_link_is_crossed",
    "nat::two_addresses_carry_what_one_has_no_ports_for_in_tc",
    "offloads::what_is_left_to_be_filled_in",
    "other_traffic::",
    "resets::maintenance_resets_at_once",
    "runtime::servers_and_frontends_come_and_go",
    "servers::without_a_usable_server",
    "trace::both_sides",
    "transfers::",
];

/// The words for whether the program sees the kernel's types.
pub const WITH_BTF: &str = "btf";
const WITHOUT_BTF: &str = "no-btf";

/// A run of one test program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// What is tested.
    pub layer: Layer,
    /// Whether the program sees the kernel's types. The kernels of a Raspberry Pi have none.
    pub btf: bool,
}

impl Step {
    /// All of them. The kernel's types are hidden once, and stay so.
    pub const ALL: [Self; 4] = [
        Self { layer: Layer::Packets, btf: true },
        Self { layer: Layer::PacketsTc, btf: false },
        Self { layer: Layer::Neighbours, btf: false },
        Self { layer: Layer::EndToEnd, btf: false },
    ];

    /// What the names of its tests have in them; all of the program's where this is empty.
    pub fn tests(self) -> &'static [&'static str] {
        if self.layer == Layer::EndToEnd { &END_TO_END } else { self.layer.tests() }
    }

    /// The line that tells the guest's first program; only of tests that have this in their names, if one is
    /// given.
    pub fn line(self, build: &Build, only: Option<&str>) -> Result<String> {
        let Self { layer, btf } = self;
        let target = layer.root_target().context("a layer without a test program")?;
        let variables = layer.variables().map(|(name, value)| format!("{name}={value} "));
        let tests = only.as_ref().map_or(self.tests(), slice::from_ref);
        Ok(format!(
            "{layer} {} {}{} {} {}\n",
            if btf { WITH_BTF } else { WITHOUT_BTF },
            variables.unwrap_or_default(),
            cargo::program(build, target)?.display(),
            layer.arguments().join(" "),
            tests.join(" "),
        ))
    }
}
