//! Work that takes long and needs no connection, such as reading a scanner's report: on threads of
//! its own, two at once, so that those of requests stay free. What waits is bounded, in all and for
//! each account; more is 503.
use crate::core::{Code, Id, Problem, Result};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{Semaphore, oneshot};

/// Jobs that run at once.
const AT_ONCE: usize = 2;
/// Jobs that wait or run, their bodies among them.
const PLACES: usize = 16;
/// Of these, those of one account.
const EACH: usize = 4;
/// Seconds after which it is worth asking again.
const WAIT: u64 = 5;

/// Threads for long work.
#[derive(Debug, Clone)]
pub struct Pool {
    turns: Arc<Semaphore>,
    taken: Arc<Mutex<HashMap<Id, usize>>>,
}

/// A place in the queue; it is free again when this goes.
#[derive(Debug)]
pub struct Place {
    pool: Pool,
    account: Id,
}

impl Default for Pool {
    fn default() -> Self {
        Pool {
            turns: Arc::new(Semaphore::new(AT_ONCE)),
            taken: Arc::default(),
        }
    }
}

impl Pool {
    /// A place for a job of this account; 503 when there is none.
    pub fn place(&self, account: Id) -> Result<Place> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let (all, own) = (
            taken.values().sum::<usize>(),
            taken.get(&account).copied().unwrap_or_default(),
        );
        if all >= PLACES || own >= EACH {
            let detail = "Too many reports are being processed. Send yours again in a moment.";
            return Err(Problem::new(Code::Unavailable, detail).retry_after(WAIT));
        }
        taken.insert(account, own + 1);
        Ok(Place {
            pool: self.clone(),
            account,
        })
    }
}

impl Place {
    /// Runs a job when its turn comes. It keeps its place until it has ended, though nobody may
    /// wait for it any more.
    pub async fn run<T: Send + 'static>(
        self,
        job: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let turn = self
            .pool
            .turns
            .clone()
            .acquire_owned()
            .await
            .map_err(Problem::internal)?;
        let (tell, told) = oneshot::channel();
        let work = move || {
            let done = job();
            drop((turn, self));
            let _gone = tell.send(done);
        };
        std::thread::Builder::new()
            .name("report".into())
            .spawn(work)
            .map_err(Problem::internal)?;
        told.await.map_err(Problem::internal)?
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self
            .pool
            .taken
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = taken.get_mut(&self.account) {
            *own = own.saturating_sub(1);
        }
        taken.retain(|_, own| *own > 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    #[test]
    fn places_are_few_and_shared() {
        let (pool, one) = (Pool::default(), Id::new());
        let mine: Vec<Place> = (0..EACH)
            .map(|_| pool.place(one).unwrap_or_else(|e| panic!("{e}")))
            .collect();
        assert!(
            pool.place(one)
                .is_err_and(|full| full.is(Code::Unavailable))
        );
        let others: Vec<Place> = (EACH..PLACES)
            .map(|_| pool.place(Id::new()).unwrap_or_else(|e| panic!("{e}")))
            .collect();
        assert!(pool.place(Id::new()).is_err());
        drop(mine);
        assert!(pool.place(one).is_ok());
        drop(others);
        assert!(pool.taken.lock().is_ok_and(|taken| taken.is_empty()));
    }

    #[actix_web::test]
    async fn two_run_at_once() {
        let (pool, running, most) = (
            Pool::default(),
            Arc::new(AtomicUsize::new(0)),
            Arc::new(AtomicUsize::new(0)),
        );
        let jobs = (0..PLACES).map(|_| {
            let (running, most) = (running.clone(), most.clone());
            let place = pool.place(Id::new()).unwrap_or_else(|e| panic!("{e}"));
            place.run(move || {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                std::thread::sleep(Duration::from_millis(5));
                running.fetch_sub(1, Ordering::SeqCst);
                Ok(())
            })
        });
        let done = futures_util::future::join_all(jobs).await;
        assert!(done.iter().all(Result::is_ok));
        assert_eq!(most.load(Ordering::SeqCst), AT_ONCE);
        let place = pool.place(Id::new()).unwrap_or_else(|e| panic!("{e}"));
        let broken = place
            .run(|| -> Result<()> { panic!("a job that breaks") })
            .await;
        assert!(broken.is_err_and(|fault| fault.is(Code::Internal)));
        assert!(
            pool.taken.lock().is_ok_and(|taken| taken.is_empty()),
            "its place is free again"
        );
    }
}
