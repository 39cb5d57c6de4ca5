//! Work that takes a while and asks no database (reading large bodies): on a few threads of its
//! own, so that neither the workers nor the readers wait for it.
use crate::core::{Code, Problem, Result};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use tokio::sync::oneshot;

/// Threads: one is left for the rest on the smallest machine.
const THREADS: usize = 2;
/// Works that wait.
const WAITING: usize = 64;
/// Bytes that are read at once where they came in.
pub const SMALL: usize = 32 * 1024;

type Work = Box<dyn FnOnce() + Send>;

static POOL: LazyLock<SyncSender<Work>> = LazyLock::new(|| {
    let (send, queue) = sync_channel::<Work>(WAITING);
    let queue = Arc::new(Mutex::new(queue));
    for _ in 0..THREADS {
        let queue = queue.clone();
        let run = move || {
            loop {
                let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
                match next {
                    Ok(work) => work(),
                    Err(_) => break,
                }
            }
        };
        if let Err(error) = std::thread::Builder::new().name("aside".into()).spawn(run) {
            log::error!("cannot start a thread for large bodies: {error}");
        }
    }
    send
});

/// Does `work` aside; 503 when too much of it waits.
pub async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    let (reply, answer) = oneshot::channel();
    let run = move || {
        // Whoever asked may have gone meanwhile.
        if !reply.is_closed() {
            drop(reply.send(catch_unwind(AssertUnwindSafe(work))));
        }
    };
    let full = |_| {
        Problem::new(
            Code::Unavailable,
            "Too many large bodies are being read. Try again.",
        )
    };
    POOL.try_send(Box::new(run)).map_err(full)?;
    answer
        .await
        .map_err(Problem::internal)?
        .map_err(|_| Problem::internal("reading a body panicked"))
}

/// Does `work` here when it is small, else aside.
pub async fn by_size<T: Send + 'static>(
    bytes: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T> {
    if bytes <= SMALL {
        Ok(work())
    } else {
        aside(work).await
    }
}
