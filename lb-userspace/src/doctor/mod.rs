//! `xlb doctor`: what of this host keeps xlb from working, or surprises whoever runs it.
//!
//! Each check is a function over facts that were read before; [`privileges`], [`kernel`], [`host`],
//! [`interface`], [`servers`], [`ports`] and [`firewall`] have them by what they are about. [`probe`],
//! [`system`], [`processes`] and [`nft`] read the facts. Nothing is changed: what is loaded to be tried is
//! attached to nothing, or in a network namespace of its own, and gone at once. [`essential`] are those that
//! `xlb run` refuses by, in the same words.

pub mod essential;
mod finding;
mod firewall;
mod host;
pub(crate) mod interface;
mod kernel;
mod nft;
pub(crate) mod ports;
mod privileges;
mod probe;
mod processes;
mod servers;
mod show;
mod site;
mod system;

use std::path::Path;

use crate::config::{self, Config, Loaded, PortRange};
use crate::dataplane;
use crate::dataplane::attach::WantedMode;
use crate::dataplane::object::Sizes;
use crate::dataplane::pins::{Found, Pins};
use crate::neighbours::{self, Interface};
use crate::{plan, process};

pub use finding::{Finding, Severity, worst};
pub use show::{json, table};

use host::Host;
use kernel::Kernel;
use privileges::Privileges;

/// Looks at everything, in an order in which the first finding explains later ones. Without a configuration,
/// at all that is the same for each.
pub async fn examine(config: Option<&Path>, pins: &Pins, object: &[u8]) -> Vec<Finding> {
    let privileges = Privileges::read();
    let mut findings = vec![privileges::check(&privileges)];
    let (loaded, file) = configuration(config);
    let config = loaded.as_ref().map(|loaded| &loaded.config);
    let wanted = config.map_or(WantedMode::Auto, plan::mode);
    findings.extend(kernel_checks(&Kernel::read(object, privileges.suffice(), wanted)));
    let (found, agent) = (pins.find(), agent(pins));
    let is_running = agent.is_some() || matches!(found, Ok(Found::DataPlane));
    findings.extend(host_checks(&Host::read(pins), config, is_running, object));
    if privileges.suffice() && config.is_none_or(|config| config.host_clients) {
        findings.extend(kernel::features(&[probe::host_clients(object)]));
    }
    findings.push(data_plane(found, agent));
    findings.extend(file);
    match &loaded {
        Some(loaded) => findings.extend(site::checks(loaded, pins).await),
        None => findings.extend(candidates(pins).await),
    }
    let (filter, legacy) = nft::read();
    findings.extend(firewall::checks(&filter, &legacy, config));
    findings
}

fn kernel_checks(kernel: &Kernel) -> Vec<Finding> {
    let mut findings = vec![kernel::release(&kernel.release)];
    findings.extend(kernel::features(&kernel.features));
    findings.extend(kernel.programs.as_ref().map(kernel::programs));
    let loaded = kernel.programs.as_ref().and_then(|programs| programs.as_ref().ok());
    findings.push(kernel::jit(kernel.jit, loaded.map(|loaded| loaded.is_compiled)));
    findings.push(kernel::btf(kernel.has_btf));
    findings.push(kernel::page_size(kernel.page_size));
    findings
}

fn host_checks(host: &Host, config: Option<&Config>, is_running: bool, object: &[u8]) -> Vec<Finding> {
    let is_wanted = config.is_none_or(|config| config.host_clients);
    let configured = config.and_then(|config| config.cgroup.as_deref());
    let configured = configured.map(|path| host::Cgroup { path, is_cgroup2: system::is_cgroup2(path) });
    vec![
        host::bpf_file_system(host.no_bpf_file_system.as_ref()),
        essential::memory(host, sizes(config), is_running, object),
        host::files(host.max_files),
        host::clock(host.clock),
        host::forwarding(host.forwards),
        host::cgroup(host.cgroup2.as_deref(), is_wanted, configured),
    ]
}

/// The sizes of a configuration's maps, or those of one that leaves all to the defaults.
fn sizes(config: Option<&Config>) -> Sizes {
    let ports = PortRange::DEFAULT_NAT;
    config.map_or(
        Sizes {
            max_servers: Config::DEFAULT_MAX_SERVERS,
            nat_first: ports.first(),
            nat_ports: ports.count() as u16,
            ..Sizes::SMALLEST
        },
        plan::sizes,
    )
}

/// The configuration, and what is to be said of its file.
fn configuration(path: Option<&Path>) -> (Option<Loaded>, Vec<Finding>) {
    const NAME: &str = "configuration";
    let Some(path) = path else {
        let reason = format!(
            "none was named, and there is none at {}: only what is the same for each was looked at",
            config::DEFAULT_FILE
        );
        return (None, vec![Finding::note(NAME, reason).with_remedy("`xlb doctor --config FILE`")]);
    };
    match Loaded::load(path) {
        Ok(loaded) => {
            let mut findings = vec![Finding::ok(NAME, format!("{} is valid", path.display()))];
            let of = |problem| Finding::of_problem(NAME, Severity::Warning, loaded.file(), problem);
            findings.extend(loaded.warnings.iter().map(of));
            (Some(loaded), findings)
        }
        Err(config::Error::Wrong(problems)) => {
            let of = |problem| Finding::of_problem(NAME, Severity::Fatal, problems.file(), problem);
            (None, problems.iter().map(of).collect())
        }
        Err(error) => (None, vec![Finding::of_error(NAME, Severity::Fatal, &error)]),
    }
}

/// The process of the agent, also of one on trial, if it runs.
fn agent(pins: &Pins) -> Option<u32> {
    let status = pins.open_board().and_then(|board| board.read()).ok()?;
    process::is_running(status.pid, status.started).then_some(status.pid)
}

/// What of xlb is there already.
fn data_plane(found: Result<Found, dataplane::Error>, agent: Option<u32>) -> Finding {
    const NAME: &str = "data-plane";
    match found {
        Err(error) => Finding::of_error(NAME, Severity::Note, &error),
        Ok(Found::Nothing) => Finding::ok(NAME, "none is there yet"),
        Ok(found) => {
            if let Some(pid) = agent {
                return Finding::ok(NAME, format!("an agent runs (process {pid})"));
            }
            match found {
                Found::DataPlane => Finding::warning(
                    NAME,
                    "it forwards without an agent: servers are not checked",
                    "start `xlb run`, which takes it over, or take it down: `xlb detach`",
                ),
                _ => Finding::note(NAME, "a start has left something that did not come to its end")
                    .with_remedy("nothing: the next `xlb run` clears it away"),
            }
        }
    }
}

/// What could be attached to, where no configuration says.
async fn candidates(pins: &Pins) -> Vec<Finding> {
    let names = match neighbours::addressed().await {
        Ok(names) => names,
        Err(error) => return vec![Finding::of_error("interface", Severity::Note, &error)],
    };
    let mut findings = Vec::new();
    for name in names {
        // One that is not of Ethernet is no candidate.
        if let Ok(interface) = Interface::lookup(&name).await {
            findings.push(interface::candidate(&interface));
            findings.push(interface::driver(&interface));
            findings.push(interface::other_xdp(&interface, WantedMode::Auto, &pins.programs()));
        }
    }
    findings
}
