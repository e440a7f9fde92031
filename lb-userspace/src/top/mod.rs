//! What `xlb top` shows, from one look at the data plane to the next.
//!
//! [`Model`] is what there is, [`Screen`] what the user has made of it by keys; [`draw`] puts both on the
//! terminal and decides nothing.

mod draw;
mod list;
mod model;
mod screen;
mod spark;
mod trends;

pub use draw::{Palette, draw};
pub use list::{Name, Order};
pub use model::Model;
pub use screen::{Notice, Screen, Wish};
pub use trends::{Rates, Trend, Trends};
