//! Floor 4: how a record meets the wire.
pub mod answer;
pub mod asked;
pub mod bulk;
pub mod collection;
pub mod cors;
pub mod describe;
pub mod directory;
pub mod document;
pub mod format;
pub mod guard;
pub mod handlers;
pub mod house;
pub mod idempotency;
pub mod input;
pub mod limit;
mod paged;
pub mod pool;
pub mod responses;
pub mod transit;

pub use answer::Answer;
pub use collection::{Collection, Operations};
pub use describe::Changed;
pub use document::{Api, Described, Document};
pub use guard::*;
pub use house::House;
pub use input::{At, Input, Then};
pub use transit::{Because, transit};
