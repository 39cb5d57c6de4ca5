//! Floor 3: what a record is and how it is kept; written once, for every register.
pub mod about;
pub mod accounts;
pub mod ask;
pub mod body;
pub mod frameworks;
pub mod history;
pub mod kind;
pub mod links;
pub mod list;
pub mod order;
pub mod reader;
pub mod record;
pub mod several;
pub mod sight;
pub mod spine;
pub mod tx;

pub use about::About;
pub use ask::Ask;
pub use body::{Draft, MergePatch, read_part};
pub use kind::{Comment, Kind, Relation, Transition};
pub use reader::{Reader, Settings};
pub use record::{Condition, Record, Resource, Row, Shown, Stateless, Stored, unasked, unasked_flag};
pub use several::Upserted;
pub use spine::{Common, Selector};
pub use tx::{Covers, Known, Tx};
