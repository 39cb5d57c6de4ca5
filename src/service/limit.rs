//! Rate limits per key and per source, as the IETF draft on RateLimit headers describes them.
use super::source::network;
use crate::core::Id;
use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

const SECOND: u64 = 1_000_000_000;
/// Parts of the memory, each with a lock of its own.
const SHARDS: usize = 16;
/// Buckets that a part remembers. What comes when all are in use shares one: the memory has an end,
/// whoever counts through their addresses.
const MOST: usize = 8192;
/// The bucket that the others share then.
const CROWD: u128 = u128::MAX;

/// One bucket for each key and each source, filled evenly over a span of time.
pub struct Limiter {
    shards: Vec<Mutex<Shard>>,
    /// Requests that a full bucket holds.
    limit: u32,
    /// Nanoseconds until an empty bucket is full.
    span: u64,
    began: Instant,
}

/// When each bucket will be full (GCRA's theoretical arrival time). A bucket that is full is
/// forgotten.
#[derive(Default)]
struct Shard {
    full_at: HashMap<u128, u64>,
    sweep_at: usize,
    swept: u64,
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
    /// So many requests in so many seconds; 0 requests are no limit.
    pub fn new(limit: u32, seconds: u32) -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Limiter {
            shards,
            limit,
            span: u64::from(seconds) * SECOND,
            began: Instant::now(),
        }
    }
    /// Counts one request by the source that it comes from.
    pub fn take_from(&self, client: IpAddr) -> Option<Standing> {
        self.count(network(client), true)
    }
    /// Whether this source has requests left, without counting one.
    pub fn look_at(&self, client: IpAddr) -> Option<Standing> {
        self.count(network(client), false)
    }
    /// Counts one request of a bucket that all share.
    pub fn take_together(&self) -> Option<Standing> {
        self.count(CROWD, true)
    }
    /// Counts one request; `None` when there is no limit.
    pub fn take(&self, key: Id) -> Option<Standing> {
        self.count(key.0.as_u128(), true)
    }
    fn count(&self, key: u128, take: bool) -> Option<Standing> {
        let cost = self.span.checked_div(u64::from(self.limit))?.max(1);
        let now = u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let place = BuildHasherDefault::<DefaultHasher>::default().hash_one(key) as usize % SHARDS;
        let mut shard = self
            .shards
            .get(place)?
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let key = if take { shard.room_for(key, now) } else { key };
        let after = shard
            .full_at
            .get(&key)
            .map_or(0, |full_at| full_at.saturating_sub(now))
            + cost;
        if after > self.span {
            return Some(Standing {
                limit: self.limit,
                remaining: 0,
                retry_after: Some((after - self.span).div_ceil(SECOND)),
            });
        }
        if take {
            shard.full_at.insert(key, now + after);
        }
        let remaining = u32::try_from((self.span - after) / cost).unwrap_or(u32::MAX);
        Some(Standing {
            limit: self.limit,
            remaining,
            retry_after: None,
        })
    }
    /// Buckets in memory.
    #[cfg(test)]
    fn size(&self) -> usize {
        self.shards
            .iter()
            .map(|shard| {
                shard
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .full_at
                    .len()
            })
            .sum()
    }
}

impl Shard {
    /// The bucket of a key. Full ones are swept out when their number has doubled since, and once a
    /// second at the most where the memory is used up: a request costs the same however many there
    /// are.
    fn room_for(&mut self, key: u128, now: u64) -> u128 {
        if self.full_at.contains_key(&key) {
            return key;
        }
        let size = self.full_at.len();
        if size >= self.sweep_at.max(256)
            && (size < MOST || now.saturating_sub(self.swept) > SECOND)
        {
            self.full_at.retain(|_, full_at| *full_at > now);
            self.sweep_at = (2 * self.full_at.len()).clamp(256, MOST);
            self.swept = now;
        }
        if self.full_at.len() < MOST {
            key
        } else {
            CROWD
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, Ipv6Addr};

    fn refused(limiter: &Limiter, client: IpAddr) -> bool {
        limiter
            .take_from(client)
            .is_some_and(|standing| standing.retry_after.is_some())
    }

    #[test]
    fn so_many_at_once_and_no_more() {
        let (limiter, client) = (Limiter::new(7, 60), IpAddr::V4(Ipv4Addr::LOCALHOST));
        assert_eq!(
            limiter.look_at(client).map(|standing| standing.remaining),
            Some(6)
        );
        let left: Vec<u32> = (0..7)
            .filter_map(|_| limiter.take_from(client))
            .map(|standing| standing.remaining)
            .collect();
        assert_eq!(left, [6, 5, 4, 3, 2, 1, 0]);
        assert!(
            limiter
                .look_at(client)
                .is_some_and(|standing| standing.retry_after.is_some())
        );
        assert_eq!(
            limiter
                .take_from(client)
                .and_then(|standing| standing.retry_after),
            Some(9)
        );
        assert!(Limiter::new(0, 60).take_from(client).is_none());
        assert!(!refused(&limiter, IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2))));
    }

    #[test]
    fn what_all_share_fills_again() {
        let limiter = Limiter::new(2, 1);
        let refused = || {
            limiter
                .take_together()
                .is_some_and(|standing| standing.retry_after.is_some())
        };
        assert_eq!([refused(), refused(), refused()], [false, false, true]);
        std::thread::sleep(std::time::Duration::from_millis(600));
        assert_eq!([refused(), refused()], [false, true]);
    }

    #[test]
    fn a_host_has_one_bucket_whatever_of_its_addresses_it_takes() {
        let limiter = Limiter::new(3, 60);
        let host = |n: u16| IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 1, 2, n, n, n, n));
        assert_eq!((0..9).filter(|n| refused(&limiter, host(*n))).count(), 6);
        assert!(
            !refused(
                &limiter,
                IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 1, 3, 0, 0, 0, 1))
            ),
            "the next network"
        );
        assert!(
            (0..3)
                .filter(|_| refused(&limiter, IpAddr::V4(Ipv4Addr::LOCALHOST)))
                .count()
                == 0
        );
        let mapped = IpAddr::V6(Ipv4Addr::LOCALHOST.to_ipv6_mapped());
        assert!(refused(&limiter, mapped), "the same host, written as IPv6");
    }

    #[test]
    fn the_memory_has_an_end_and_a_request_costs_the_same() {
        // One request a minute: no bucket fills again while this runs.
        let (limiter, began) = (Limiter::new(1, 60), Instant::now());
        for n in 0..400_000_u32 {
            limiter.take_from(IpAddr::V4(Ipv4Addr::from_bits(n)));
        }
        assert!(limiter.size() <= SHARDS * (MOST + 1), "{}", limiter.size());
        assert!(
            refused(&limiter, IpAddr::V4(Ipv4Addr::from_bits(7))),
            "who came early is still counted"
        );
        assert!(
            refused(&limiter, IpAddr::V4(Ipv4Addr::new(200, 0, 0, 1))),
            "who comes when all is full shares a bucket"
        );
        assert!(began.elapsed().as_secs() < 60, "{:?}", began.elapsed());
        // Where they fill again at once, they are forgotten.
        let limiter = Limiter::new(100_000_000, 60);
        for n in 0..400_000_u32 {
            limiter.take_from(IpAddr::V4(Ipv4Addr::from_bits(n)));
        }
        assert!(limiter.size() <= SHARDS * 512, "{}", limiter.size());
    }
}
