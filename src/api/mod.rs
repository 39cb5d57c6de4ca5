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

use crate::identity;
use crate::records::rebuild::Replay;
use crate::records::{Kind, Kinds};
use crate::registers::REGISTERS;

/// Every kind of record of the product.
pub const KINDS: Kinds = Kinds::of(&ALL);
/// Those of the registers, then those of accounts.
static ALL: [Kind; REGISTERS.len() + identity::KINDS.len()] = {
    let mut all = [Kind::PLAIN; REGISTERS.len() + identity::KINDS.len()];
    let (mut rooms, mut accounts, mut left) = (REGISTERS, identity::KINDS, all.as_mut_slice());
    while let [next, rest @ ..] = left {
        if let [room, more @ ..] = rooms {
            (*next, rooms) = (room.kind, more);
        } else if let [account, more @ ..] = accounts {
            (*next, accounts) = (account.kind, more);
        }
        left = rest;
    }
    all
};

/// How each kind's derived tables are filled from the ledger.
pub fn replays() -> impl Iterator<Item = Replay> {
    REGISTERS
        .iter()
        .map(|room| room.replay)
        .chain(identity::KINDS.iter().copied())
}
