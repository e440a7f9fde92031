//! What has to be so before anything is changed on the host: the [doctor](crate::doctor)'s fatal findings.

use crate::config::Config;
use crate::dataplane::pins::{Claim, Found, Pins};
use crate::doctor::{Finding, essential};
use crate::neighbours::Interface;
use crate::plan;

/// The environment is not fit to run in; nothing has been changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The doctor finds something fatal.
    #[error("{}", lines(.0))]
    Unfit(Vec<Finding>),
    /// The host does not tell its addresses and ports.
    #[error("cannot ask the host for its addresses and ports: {0}; is /proc mounted?")]
    Facts(#[source] std::io::Error),
    /// The pins cannot be looked at.
    #[error(transparent)]
    Pins(#[from] crate::dataplane::Error),
}

/// The environment is fit to run in.
#[derive(Debug)]
pub struct Fit {
    /// The interface.
    pub interface: Interface,
    /// The right to change what is pinned.
    pub claim: Claim,
}

/// Looks at everything, in the order in which a person would want to know.
pub async fn check(config: &Config, pins: &Pins, object: &[u8]) -> Result<Fit, Error> {
    refuse_by(essential::of_host(pins))?;
    let claim = pins.claim()?;
    if pins.find()? != Found::DataPlane {
        refuse_by(essential::of_sizes(plan::sizes(config), pins, object))?;
    }
    let interface = interface(config).await?;
    refuse_by(essential::of_interface(&interface, plan::mode(config), pins))?;
    Ok(Fit { interface, claim })
}

/// The configured interface.
pub async fn interface(config: &Config) -> Result<Interface, Error> {
    let found = Interface::lookup(&config.interface).await;
    found.map_err(|error| Error::Unfit(vec![essential::no_interface(&error)]))
}

fn refuse_by(findings: Vec<Finding>) -> Result<(), Error> {
    if findings.is_empty() { Ok(()) } else { Err(Error::Unfit(findings)) }
}

fn lines(findings: &[Finding]) -> String {
    findings.iter().map(Finding::to_string).collect::<Vec<_>>().join("\n")
}
