//! Floor 4: the service, whatever door one comes through. A [`Session`] is a caller at it: there
//! permission, limits, retries and reasons are decided.
pub mod answer;
pub mod aside;
mod callers;
mod directory;
pub mod house;
mod kept;
pub mod limit;
pub mod logins;
pub mod measures;
pub mod permission;
pub mod polls;
pub mod pool;
pub mod retry;
pub mod session;
pub mod source;
mod upkeep;
mod writes;

pub use answer::Answer;
pub use house::House;
pub use permission::*;
pub use session::{Cause, Session};
pub use source::Source;
