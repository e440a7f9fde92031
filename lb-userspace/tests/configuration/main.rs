//! The configuration file and the translation of `HAProxy`'s, from text to messages.

mod arbitrary;
mod coming;
mod haproxy;
mod host;
mod valid;
mod wrong;

/// A good file, of which each test changes a little.
const GOOD: &str = r#"interface = "eth0"
mode = "auto"
nat_ports = "10240-32767"

[[frontend]]
name = "k8s-api-server"
bind = "10.4.0.10:6443"
backend = "k8s-api-server"

[[backend]]
name = "k8s-api-server"

[backend.timeouts]
connect = "10s"
idle = "86400s"

[backend.check]
interval = "2s"
fall = 3
rise = 2

[[backend.server]]
name = "bettley"
address = "10.4.0.11:6443"
weight = 1

[[backend.server]]
name = "fenn"
address = "10.4.0.15:6443"
"#;
