//! Numbers of the house: what it did, how long that took, and how much there is. For metrics.
use super::House;
use crate::ledger;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant as Tick};

/// Numbers of the house, for metrics.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "the metrics say what each is")]
pub struct Measures {
    pub reads: u64,
    pub read_waited: f64,
    pub read_took: f64,
    pub writes: u64,
    pub write_took: f64,
    pub writing: i64,
    /// Entries of all ledgers; `None` where the database does not answer.
    pub entries: Option<i64>,
    /// Files and bytes of the object store.
    pub content: Option<(u64, u64)>,
}

/// How long a look through the object store is good for metrics.
const LOOKED: Duration = Duration::from_secs(600);

impl House {
    /// What the house did so far, and what is in it.
    pub async fn measures(&self) -> Measures {
        let (spent, seconds) = (self.database.spent(), |nanos: &AtomicU64| {
            nanos.load(Ordering::Relaxed) as f64 / 1e9
        });
        let entries = self.database.read(ledger::read::entries).await;
        Measures {
            reads: spent.reads.load(Ordering::Relaxed),
            read_waited: seconds(&spent.waited),
            read_took: seconds(&spent.took),
            writes: self.writes.done.load(Ordering::Relaxed),
            write_took: seconds(&self.writes.took),
            writing: self.writes.in_progress.load(Ordering::Relaxed),
            entries: entries.ok(),
            content: self.content().await,
        }
    }
    async fn content(&self) -> Option<(u64, u64)> {
        let known = *self.content.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, found)) = known.filter(|(at, _)| at.elapsed() < LOOKED) {
            return found;
        }
        let files = self.files.clone();
        let found = actix_web::web::block(move || files.size()).await.ok()?.ok();
        *self.content.lock().unwrap_or_else(PoisonError::into_inner) = Some((Tick::now(), found));
        found
    }
}
