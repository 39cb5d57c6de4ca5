//! What holds for every register; each law is written once.
mod access;
mod archived;
mod browser;
mod bulk;
mod concurrency;
mod filters;
mod idempotency;
mod ledger;
mod limits;
mod paging;
mod past;
mod record;
mod stored;
mod versions;
mod wall;
mod wire;
