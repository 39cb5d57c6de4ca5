//! Floor 1: the only place that knows there are two databases.
pub mod address;
pub mod among;
pub mod connection;
pub mod derived;
pub mod dialect;
pub mod ending;
pub mod files;
pub mod migrate;
pub mod modes;
pub mod opening;
pub mod own;
pub mod schema;
pub mod sessions;
pub mod store;
pub mod types;
pub mod walk;

pub use connection::{Conn, Manager, MultiBackend as Backend};
pub use files::Files;
pub use sessions::Sessions;
pub use store::Database;
