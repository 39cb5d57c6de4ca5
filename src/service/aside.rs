//! Work that takes a while and asks no database (reading large bodies): on a few threads of its
//! own, so that neither the workers nor the readers wait for it.
use crate::core::{Code, Problem, Result};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::oneshot;

/// Threads: one is left for the rest on the smallest machine.
const THREADS: usize = 2;
/// Works that wait.
const WAITING: usize = 64;
/// Bytes that are read at once where they came in.
pub const SMALL: usize = 32 * 1024;

type Work = Box<dyn FnOnce() + Send>;

/// The threads, and what waits for them. They end when nobody can give them more work.
#[derive(Debug, Clone)]
pub struct Aside(SyncSender<Work>);

impl Default for Aside {
    fn default() -> Self {
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
        Aside(send)
    }
}

impl Aside {
    /// Does `work` aside; 503 when too much of it waits.
    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        let run = move || {
            // Whoever asked may have gone meanwhile.
            if !reply.is_closed() {
                drop(reply.send(catch_unwind(AssertUnwindSafe(work))));
            }
        };
        let words = "Too many large bodies are being read. Try again.";
        let full = |_| Problem::new(Code::Unavailable, words);
        self.0.try_send(Box::new(run)).map_err(full)?;
        let done = answer.await.map_err(Problem::internal)?;
        done.map_err(|_| Problem::internal("reading a body panicked"))
    }
    /// Does `work` here when it is small, else aside.
    pub async fn by_size<T: Send + 'static>(
        &self,
        bytes: usize,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T> {
        if bytes <= SMALL {
            Ok(work())
        } else {
            self.run(work).await
        }
    }
}
