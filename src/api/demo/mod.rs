//! `isms demo`.
use super::server::{self, Outcome};
use crate::config::Config;
use crate::core::Clock;

/// Serves.
pub async fn run(config: &Config) -> Outcome<()> {
    server::serve(config, server::house(config, Clock::system())?, |_| {}).await
}
