//! Floor 2: who may do what.
pub mod actor;
pub mod api_key;
pub mod guessable;
pub mod names;
pub mod password;
pub mod policy;
pub mod token;

pub use actor::{Actor, ActorKind, Caller, Limits};
pub use names::{KnownNames, Names};
pub use policy::{Role, allowed, allows};
