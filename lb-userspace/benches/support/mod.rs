//! What the benches in the lab share: the programs that make load, and the processors' time.

pub mod cpu;
pub mod tools;
