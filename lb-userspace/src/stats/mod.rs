//! What `xlb stats` and `xlb connections` show: plain data, and its rendering as a table for people
//! and as JSON for programs.
//!
//! Nothing here reads a map; tables round where JSON is exact.

mod activity;
mod average;
mod connections;
mod filter;
mod gauges;
pub mod haproxy;
mod histogram;
pub(crate) mod human;
mod idle;
mod json;
mod metrics;
mod outages;
mod rate;
mod snapshot;
mod style;
mod table;
mod timeline;
mod view;

pub use activity::{Activity, Ledger, ServerActivity, Session, Sessions};
pub use average::Average;
pub use connections::{Connection, connections_json, connections_table};
pub use filter::{ClientFilter, Filter, FilterError, parse_state};
pub use gauges::{Gauge, Gauges, Whose};
pub use histogram::Histogram;
pub use idle::Idle;
pub use json::json;
pub(crate) use json::pretty;
pub use metrics::metrics;
pub use outages::{Outage, Outages};
pub(crate) use rate::per_second;
pub use snapshot::{Agent, Check, Frontend, Local, Reason, Server, ServerState, Snapshot, Traffic};
pub use style::Style;
pub(crate) use style::{coloured, render};
pub(crate) use table::last_check;
pub use table::table;
#[cfg(test)]
pub(crate) use table::tests as table_tests;
pub use timeline::{Point, Timeline};
pub use view::{Process, View};
