//! Floor 3: what a record is and how it is kept; written once, for every register.
pub mod about;
pub mod accounts;
pub mod ask;
pub mod body;
pub mod duties;
pub mod frameworks;
pub mod history;
pub mod kind;
pub mod known;
pub mod limit;
pub mod links;
pub mod list;
pub mod names;
pub mod order;
pub mod query;
pub mod reader;
pub mod rebuild;
pub mod record;
pub mod replay;
pub mod several;
pub mod shape;
pub mod sight;
pub mod spine;
pub mod tx;
pub mod veil;
mod writing;

pub use about::About;
pub use ask::Ask;
pub use body::{Body, Draft, MergePatch, Patch, read_part};
pub use duties::Deed;
pub use kind::{Comment, Kind, Part, Relation, Transition};
pub use known::Known;
pub use limit::{By, Limit, SCOPED};
pub use reader::{Reader, Settings};
pub use record::{
    Condition, Record, Resource, Row, Shown, Stateless, Stored, unasked, unasked_flag,
};
pub use several::{Upsert, Upserted};
pub use spine::{Common, Selector};
pub use tx::{Covers, Tx};
pub use writing::Writing;
