//! Rate limits per key, as the IETF draft on RateLimit headers describes them.
use crate::core::Id;
use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DefaultKeyedStateStore;
use governor::{Quota, RateLimiter};
use std::net::IpAddr;
use std::num::NonZeroU32;

type Buckets = RateLimiter<Id, DefaultKeyedStateStore<Id>, DefaultClock, StateInformationMiddleware>;

/// One bucket for each key (and each address that comes without one), filled evenly over the minute.
pub struct Limiter {
    buckets: Option<Buckets>,
    limit: u32,
}

/// Where a key stands.
#[derive(Debug, Clone, Copy)]
pub struct Standing {
    /// Requests a minute.
    pub limit: u32,
    /// Requests left at once.
    pub remaining: u32,
    /// Seconds until a refused request may come again.
    pub retry_after: Option<u64>,
}

impl Limiter {
    /// So many requests a minute and key; 0 is no limit.
    pub fn new(limit: u32) -> Self {
        let buckets = NonZeroU32::new(limit).map(|n| RateLimiter::keyed(Quota::per_minute(n)).with_middleware());
        Limiter { buckets, limit }
    }
    /// Counts one request without a credential, by the address that it comes from.
    pub fn take_from(&self, peer: Option<IpAddr>) -> Option<Standing> {
        let bits = match peer {
            Some(IpAddr::V4(ip)) => ip.to_ipv6_mapped().to_bits(),
            Some(IpAddr::V6(ip)) => ip.to_bits(),
            None => 0,
        };
        self.take(Id(uuid::Uuid::from_u128(bits)))
    }
    /// Counts one request; `None` when there is no limit.
    pub fn take(&self, key: Id) -> Option<Standing> {
        let buckets = self.buckets.as_ref()?;
        let (remaining, retry_after) = match buckets.check_key(&key) {
            Ok(state) => (state.remaining_burst_capacity(), None),
            Err(refused) => (0, Some(refused.wait_time_from(DefaultClock::default().now()).as_secs() + 1)),
        };
        if buckets.len() > 10_000 {
            buckets.retain_recent();
        }
        Some(Standing { limit: self.limit, remaining, retry_after })
    }
}
