//! An information security management system (ISO/IEC 27001:2022) as one service: one crate, one
//! executable, two databases.
//!
//! Floors; a file uses only lower floors and its own room:
//!
//! 0 [`core`] · 1 [`db`] · 2 [`access`], [`ledger`] · 3 [`records`] · 4 [`service`] · 5 [`http`]
//! · 6 [`registers`] · 7 [`insight`], [`identity`] · 8 [`api`], [`config`]
pub mod access;
pub mod api;
pub mod config;
pub mod core;
pub mod db;
pub mod http;
pub mod identity;
pub mod insight;
pub mod ledger;
pub mod records;
pub mod registers;
pub mod service;
