//! Requests that wait: how many may, and what wakes them.
use crate::core::{Code, Id, Problem, Result, TenantId};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant as Tick};

/// Requests of one account or key that wait at once.
pub const OF_ONE: usize = 10;
/// Requests that wait at once in all.
pub const ALL: usize = 1000;
/// How often another process's writes are looked for, once for all who wait.
pub(super) const LOOK: Duration = Duration::from_secs(1);

/// Who waits, and when each organization was last looked at.
#[derive(Debug, Default)]
pub struct Polls(Arc<Mutex<Waiting>>);

#[derive(Debug, Default)]
struct Waiting {
    of: HashMap<Id, usize>,
    all: usize,
    looked: HashMap<TenantId, Tick>,
}

/// A request that waits; it is counted until it is dropped.
#[derive(Debug)]
pub struct Poll(Arc<Mutex<Waiting>>, Id);

impl Polls {
    fn waiting(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// Begins to wait: 429 when this caller has as many waiting as it may, 503 when too many wait
    /// in all.
    pub fn begin(&self, caller: Id) -> Result<Poll> {
        let mut waiting = self.waiting();
        if waiting.all >= ALL {
            return Err(Problem::new(
                Code::Unavailable,
                "Too many requests are waiting for changes. Ask without `wait`, or try again.",
            ));
        }
        let own = waiting.of.entry(caller).or_default();
        if *own >= OF_ONE {
            let words = format!(
                "{OF_ONE} requests of this key are already waiting for changes. End one of them \
                    first."
            );
            return Err(Problem::new(Code::RateLimited, words));
        }
        *own += 1;
        waiting.all += 1;
        Ok(Poll(self.0.clone(), caller))
    }
    /// Is it time to look at an organization again?
    pub(super) fn looks(&self, tenant: TenantId) -> bool {
        let mut waiting = self.waiting();
        let due = waiting
            .looked
            .get(&tenant)
            .is_none_or(|last| last.elapsed() >= LOOK);
        if due {
            waiting.looked.retain(|_, last| last.elapsed() < 10 * LOOK);
            waiting.looked.insert(tenant, Tick::now());
        }
        due
    }
}
impl Drop for Poll {
    fn drop(&mut self) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.all = waiting.all.saturating_sub(1);
        if let Some(own) = waiting.of.get_mut(&self.1) {
            *own -= 1;
            if *own == 0 {
                waiting.of.remove(&self.1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_is_counted_for_each_and_for_all() {
        let (polls, one) = (Polls::default(), Id::new());
        let mut held: Vec<Poll> = (0..OF_ONE).filter_map(|_| polls.begin(one).ok()).collect();
        assert_eq!(held.len(), OF_ONE);
        assert!(
            polls
                .begin(one)
                .is_err_and(|problem| problem.is(Code::RateLimited))
        );
        held.pop();
        held.extend(polls.begin(one));
        while let Ok(poll) = polls.begin(Id::new()) {
            held.push(poll);
        }
        assert_eq!(held.len(), ALL);
        assert!(
            polls
                .begin(Id::new())
                .is_err_and(|problem| problem.is(Code::Unavailable))
        );
        held.clear();
        let waiting = polls.waiting();
        assert_eq!((waiting.all, waiting.of.len()), (0, 0));
    }

    #[test]
    fn one_looks_for_all() {
        let (polls, tenant) = (Polls::default(), TenantId(uuid::Uuid::from_u128(1)));
        assert_eq!(
            (
                polls.looks(tenant),
                polls.looks(tenant),
                polls.looks(TenantId(uuid::Uuid::from_u128(2)))
            ),
            (true, false, true)
        );
    }
}
