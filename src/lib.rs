//! An information security management system (ISO/IEC 27001:2022) as one service: one crate, one executable, two databases.
//!
//! Floors; a file uses only lower floors and its own room:
//!
//! 0 [`core`] · 1 [`db`] · 2 [`access`], [`ledger`] · 3 [`records`]
pub mod access;
pub mod core;
pub mod db;
pub mod ledger;
pub mod records;
