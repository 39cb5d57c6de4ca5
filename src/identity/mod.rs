//! Floor 6: who may come in: logins, users, keys, and the founding of an organization.
pub mod accounts;
pub mod admin;
pub mod attempts;
pub mod auth;
pub mod credential;
pub mod founding;
pub mod key;
pub mod key_rules;
pub mod me;
pub mod secrets;
pub mod setup;
pub mod user;

use crate::http::Api;
use crate::records::rebuild::Replay;

/// The kinds that are kept here: accounts are records, so that what happens to them stands in the
/// ledger.
pub const KINDS: &[Replay] = &[Replay::of::<user::User>(), Replay::of::<key::ApiKey>()];

/// Mounts logins and accounts.
pub fn mount(api: &mut Api<'_>) {
    auth::mount(api);
    setup::mount(api);
    me::mount(api);
    user::mount(api);
    key::mount(api);
}
