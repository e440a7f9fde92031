//! This process in the place of an agent: what it reads, looks up and loads inside the balancer.

use aya::Ebpf;
use tokio::runtime::{Builder, Runtime};
use xlb::config::{Config, Loaded};
use xlb::dataplane::attach::Mode;
use xlb::dataplane::object::{self, XLB};
use xlb::dataplane::pins::Pins;
use xlb::neighbours::Interface;
use xlb::plan;

pub fn parse(config: &str) -> Config {
    Loaded::parse("xlb.toml", config).expect("is valid").config
}

/// The object over the maps that are pinned, with the program of a mode in the kernel.
pub fn load(pins: &Pins, config: &Config, mode: Mode) -> Ebpf {
    let mut ebpf = pins.load(XLB, plan::sizes(config)).expect("the maps fit");
    object::load_program(&mut ebpf, mode.program()).expect("the verifier takes it");
    ebpf
}

pub fn interface(name: &str) -> Interface {
    runtime().block_on(Interface::lookup(name)).expect("is there")
}

pub fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("builds")
}
