//! Floor 6: who may come in: logins, users, keys, and the founding of an organization.
pub mod admin;
pub mod attempts;
pub mod auth;
pub mod credential;
pub mod event;
pub mod founding;
pub mod key;
pub mod me;
pub mod setup;
pub mod user;

use crate::http::Api;
use crate::records::{Kind, Resource};

/// The kinds that are kept here: accounts are records, so that what happens to them stands in the ledger.
pub const KINDS: &[Kind] = &[user::User::KIND, key::ApiKey::KIND];

/// Mounts logins and accounts.
pub fn mount(api: &mut Api<'_>) {
    auth::mount(api);
    user::mount(api);
    key::mount(api);
}
