//! One binary: laws that hold for every register, and what is particular to each room; on both
//! databases.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test may fail"
)]
mod commands;
mod document;
mod durability;
mod floors;
mod guides;
mod laws;
mod migrations;
mod operations;
mod quick_start;
mod rooms;
mod storm;
mod support;
mod upgrade;
