//! What logins need besides records: sessions, the hashing of passwords, and a bucket of their own
//! for requests, so that a flood of them delays nobody else.
use super::client::client_address;
use crate::access::password::Passwords;
use crate::core::{Code, Problem, Result};
use crate::db::store::Opening;
use crate::db::{Database, Sessions};
use actix_web::HttpRequest;
use governor::clock::{Clock, DefaultClock};
use governor::state::keyed::DefaultKeyedStateStore;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::path::Path;

type Each = RateLimiter<u128, DefaultKeyedStateStore<u128>, DefaultClock>;
type All = RateLimiter<NotKeyed, InMemoryState, DefaultClock>;

/// Requests without a credential that one source may send to `/v1/auth/` at once, and how many a
/// second it gets back.
const SOURCE: (u32, u32) = (30, 1);
/// The same for all sources.
const TOGETHER: (u32, u32) = (60, 20);
/// Sources that are kept before those are forgotten whose buckets are full again.
const SOURCES: usize = 10_000;

/// Sessions, passwords, buckets.
pub struct Logins {
    sessions: Sessions,
    passwords: Passwords,
    buckets: Option<(Each, All)>,
}

impl Logins {
    /// Opens the store of sessions; `limited` says whether requests are counted.
    pub(super) fn open(database: &Database, folder: &Path, limited: bool) -> Opening<Self> {
        let quota = |(most, again): (u32, u32)| {
            let [most, again] = [most, again].map(|n| NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN));
            Quota::per_second(again).allow_burst(most)
        };
        let buckets = || (RateLimiter::keyed(quota(SOURCE)), RateLimiter::direct(quota(TOGETHER)));
        let sessions = Sessions::open(database, folder)?;
        Ok(Logins { sessions, passwords: Passwords::default(), buckets: limited.then(buckets) })
    }
    /// Refresh tokens and counted attempts.
    pub fn sessions(&self) -> &Sessions {
        &self.sessions
    }
    /// Hashes and checks passwords.
    pub fn passwords(&self) -> &Passwords {
        &self.passwords
    }
    /// Counts one request to `/v1/auth/`: 429 when its source, or all together, sent too many.
    pub fn count(&self, request: &HttpRequest) -> Result<()> {
        let Some((each, all)) = &self.buckets else { return Ok(()) };
        let (source, now) = (network(client_address(request)), DefaultClock::default().now());
        let refused = |wait: std::time::Duration| {
            let detail = "Too many logins for now; wait as long as Retry-After says.";
            Problem::new(Code::RateLimited, detail).retry_after(wait.as_secs() + 1)
        };
        let counted = each.check_key(&source).map_err(|why| refused(why.wait_time_from(now)));
        if each.len() > SOURCES && source.is_multiple_of(64) {
            each.retain_recent();
        }
        counted?;
        all.check().map_err(|why| refused(why.wait_time_from(now)))
    }
}

/// What counts as one source: an IPv4 address, or the /64 that one host has of IPv6.
pub fn network(address: IpAddr) -> u128 {
    match address.to_canonical() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().to_bits(),
        IpAddr::V6(ip) => ip.to_bits() >> 64 << 64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_host_is_one_source() {
        let source = |text: &str| network(text.parse().unwrap_or(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED)));
        assert_eq!(source("192.0.2.1"), source("::ffff:192.0.2.1"));
        assert_ne!(source("192.0.2.1"), source("192.0.2.2"));
        assert_eq!(source("2001:db8::1"), source("2001:db8::ffff:1"));
        assert_ne!(source("2001:db8::1"), source("2001:db8:0:1::1"));
    }
}
