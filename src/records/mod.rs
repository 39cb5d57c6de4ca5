//! Floor 3: what a record is and how it is kept; written once, for every register.
//!
//! A line uses those before it:
//!
//! - the words of a register: [`limit`], [`kind`]
//! - what every record has: [`spine`], [`links`], [`record`]
//! - one state to read, and what a caller sees of it: [`reader`], [`names`], [`veil`], [`sight`]
//! - a write: `rows`, `memory`, `writing`
//! - a register and its records: `resource`, [`columns`], [`body`]
//! - what is read of them (`reading`, [`list`], [`history`]) and written (`drafts`, `change`)
pub mod about;
pub mod accounts;
mod ahead;
pub mod ask;
pub mod body;
mod change;
mod checks;
pub mod columns;
mod derived;
mod drafts;
pub mod duties;
mod filter;
pub mod frameworks;
pub mod history;
pub mod kind;
pub mod known;
pub mod limit;
pub mod links;
pub mod list;
mod memory;
pub mod model;
mod models;
pub mod named;
pub mod names;
pub mod order;
pub mod query;
pub mod reader;
mod reading;
pub mod rebuild;
pub mod record;
pub mod replay;
mod resource;
mod rows;
mod several;
pub mod sight;
pub mod spine;
pub mod tx;
mod upsert;
pub mod veil;
mod writing;

pub use about::About;
pub use ahead::Ahead;
pub use ask::ListQuery;
pub use body::{Body, Patch, Sound, read_as, read_part};
pub use columns::NoFilter;
pub use duties::Deed;
pub use kind::{CommentRule, Kind, Kinds, Part, Relation, Transition};
pub use known::IfMatch;
pub use limit::{By, Condition, Limit, PERIOD, SCOPED};
pub use model::Model;
pub use reader::{Reader, Settings};
pub use record::{RenderedRecord, Row};
pub use resource::{Again, Draft, NoState, Record, Resource, Stored};
pub use spine::{Common, Selector};
pub use tx::{Covers, Tx};
pub use upsert::{Upsert, Upserted};
pub use writing::Writing;
