//! Floor 2: the append-only log of each organization, an RFC 6962 Merkle tree; the only way to
//! write.
pub mod append;
pub mod merkle;
pub mod position;
pub mod queue;
pub mod read;
pub mod writer;

pub(crate) use append::kept;
pub use append::{Change, Entry, Head, Recorded, Stamp, TOGETHER, append, found, store, unchanged};
pub use position::Positions;
pub use read::{AsOf, Moment};
pub use writer::{Writer, in_time};
