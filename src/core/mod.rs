//! Floor 0: words that everyone uses; no I/O.
pub mod catalogue;
pub mod clock;
pub mod code;
mod database;
mod faults;
pub mod id;
pub mod json;
pub mod merge;
pub mod packed;
pub mod problem;
pub mod schema;
pub mod sql;
pub mod text;

pub use clock::{Clock, Instant};
pub use code::Code;
pub use id::{Id, TenantId, VersionKey};
pub use problem::{Invalid, Problem, Result};
pub use schema::Schemas;
