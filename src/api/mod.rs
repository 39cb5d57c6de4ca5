//! Floor 8: the front door.
pub mod app;
pub mod complete;
pub mod contract;
pub mod demo;
pub mod docs;
pub mod document;
pub mod example;
pub mod frame;
pub mod lines;
pub mod metrics;
mod published;
pub mod reach;
pub mod rooms;
pub mod server;

use crate::records::rebuild::Replay;
use crate::records::{Kind, kind};

/// Every kind of record of the product.
pub fn kinds() -> impl Iterator<Item = Kind> {
    replays().map(|replay| replay.kind)
}

/// How each kind's derived tables are filled from the ledger.
pub fn replays() -> impl Iterator<Item = Replay> {
    crate::registers::ROOMS
        .iter()
        .map(|room| room.replay)
        .chain(crate::identity::KINDS.iter().copied())
}

/// Makes the kinds known; before anything is read or written.
pub fn introduce() {
    kind::introduce(kinds());
}
