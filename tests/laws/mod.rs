//! What holds for every register; each law is written once.
mod wall;
