//! What writing took, and when the object store was looked through.
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Instant as Tick;

/// When the object store was looked through, and the files and bytes that were found.
pub(super) type Looked = (Tick, Option<(u64, u64)>);

/// What writing took so far.
#[derive(Debug, Default)]
pub(super) struct Writes {
    pub(super) done: AtomicU64,
    pub(super) took: AtomicU64,
    pub(super) in_progress: AtomicI64,
}
impl Writes {
    /// Counts a write from its queue to its end, whatever that is.
    pub(super) async fn measured<T>(&self, write: impl Future<Output = T>) -> T {
        /// Ends the count, also when the client goes away meanwhile.
        struct Ends<'a>(&'a Writes, Tick);
        impl Drop for Ends<'_> {
            fn drop(&mut self) {
                let took = u64::try_from(self.1.elapsed().as_nanos()).unwrap_or_default();
                self.0.done.fetch_add(1, Ordering::Relaxed);
                self.0.took.fetch_add(took, Ordering::Relaxed);
                self.0.in_progress.fetch_sub(1, Ordering::Relaxed);
            }
        }
        self.in_progress.fetch_add(1, Ordering::Relaxed);
        let _ends = Ends(self, Tick::now());
        write.await
    }
}
