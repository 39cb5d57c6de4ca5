//! Group commit: writes are commands on a queue. A writer takes what is there, gives each its own savepoint, commits once, and
//! only then answers each. One writer on SQLite; a few on PostgreSQL, an organisation always with the same one.
use super::{Head, Positions, Recorded};
use crate::core::{Code, Problem, Result, TenantId};
use crate::db::{Conn, Database};
use diesel::{Connection, r2d2::R2D2Connection, result::Error as Db};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use tokio::sync::oneshot;

const QUEUE: usize = 4096;
const BATCH: usize = 256;
/// Writers on PostgreSQL.
const LANES: usize = 4;

/// The queues of the writers.
pub struct Writer {
    lanes: Vec<SyncSender<Box<dyn Command>>>,
    positions: Arc<Positions>,
}

impl Writer {
    /// Starts the writers.
    pub fn start(database: &Database) -> Result<Self> {
        let positions = Arc::<Positions>::default();
        let lanes = (0..if database.embedded() { 1 } else { LANES }).map(|_| {
            let (send, queue) = sync_channel(QUEUE);
            let (conn, database, positions) = (database.connect()?, database.clone(), positions.clone());
            let name = std::thread::Builder::new().name("writer".into());
            name.spawn(move || work_off(conn, &database, &queue, &positions)).map_err(Problem::internal)?;
            Ok(send)
        });
        let lanes = lanes.collect::<Result<_>>()?;
        Ok(Writer { lanes, positions })
    }
    /// What is committed, by organization.
    pub fn positions(&self) -> &Positions {
        &self.positions
    }
    /// Queues `work` and waits until it is durable, or refused.
    pub async fn submit<T, F>(&self, tenant: TenantId, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Conn, &mut Head) -> Result<Recorded<T>> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job = Job { tenant, work: Some(work), outcome: Err(Problem::new(Code::Unavailable, "Not tried.")), reply };
        let lane = BuildHasherDefault::<DefaultHasher>::default().hash_one(tenant) as usize % self.lanes.len().max(1);
        let queue = self.lanes.get(lane).ok_or_else(|| Problem::internal("no writer"))?;
        queue.try_send(Box::new(job)).map_err(|_| Problem::new(Code::Unavailable, "The write queue is full."))?;
        answer.await.map_err(Problem::internal)?
    }
}

/// A queued write, whatever its answer is.
trait Command: Send {
    fn tenant(&self) -> TenantId;
    /// Runs inside its own savepoint; an error undoes that savepoint only.
    fn attempt(&mut self, conn: &mut Conn, head: &mut Head) -> Result<(), Db>;
    /// Answers, after the commit.
    fn settle(self: Box<Self>, committed: bool);
}

struct Job<T, F> {
    tenant: TenantId,
    work: Option<F>,
    outcome: Result<Recorded<T>>,
    reply: oneshot::Sender<Result<T>>,
}

impl<T, F> Command for Job<T, F>
where
    T: Send,
    F: FnOnce(&mut Conn, &mut Head) -> Result<Recorded<T>> + Send,
{
    fn tenant(&self) -> TenantId {
        self.tenant
    }
    fn attempt(&mut self, conn: &mut Conn, head: &mut Head) -> Result<(), Db> {
        let Some(work) = self.work.take() else { return Ok(()) };
        let run = catch_unwind(AssertUnwindSafe(|| work(conn, head)));
        self.outcome = run.unwrap_or_else(|_| Err(Problem::internal("a command panicked")));
        self.outcome.as_ref().map(drop).map_err(|_| Db::RollbackTransaction)
    }
    fn settle(self: Box<Self>, committed: bool) {
        let lost = || Problem::new(Code::Unavailable, "The write was not committed.");
        let answer = if committed || self.outcome.is_err() { self.outcome.map(Recorded::open) } else { Err(lost()) };
        drop(self.reply.send(answer));
    }
}

fn work_off(mut conn: Conn, database: &Database, queue: &Receiver<Box<dyn Command>>, positions: &Positions) {
    while let Ok(first) = queue.recv() {
        let mut batch = vec![first];
        batch.extend(queue.try_iter().take(BATCH - 1));
        batch.sort_by_key(|command| command.tenant()); // stable: the order within an organisation stays
        // PostgreSQL: one organisation per transaction, so that two nodes never wait for each other in a circle.
        let together = matches!(conn, Conn::Sqlite(_));
        while !batch.is_empty() {
            let tenant = batch.first().map(|c| c.tenant());
            let end = if together { batch.len() } else { batch.partition_point(|c| Some(c.tenant()) <= tenant) };
            let mut group: Vec<_> = batch.drain(..end).collect();
            let ends = conn.writing(|conn| commit(conn, &mut group)).inspect_err(|e| log::error!("batch: {e}"));
            let committed = ends.is_ok();
            ends.into_iter().flatten().for_each(|(tenant, last)| positions.publish(tenant, last));
            group.into_iter().for_each(|command| command.settle(committed));
        }
        if conn.is_broken() {
            match database.connect() {
                Ok(fresh) => conn = fresh,
                Err(error) => log::error!("writer: {error}"),
            }
        }
    }
}

/// Runs a batch; tells where the ledger of each organization ends then.
fn commit(conn: &mut Conn, batch: &mut [Box<dyn Command>]) -> Result<Vec<(TenantId, i64)>> {
    let mut ends = Vec::new();
    for of_one in batch.chunk_by_mut(|a, b| a.tenant() == b.tenant()) {
        let Some(tenant) = of_one.first().map(|command| command.tenant()) else { continue };
        let mut head = Head::lock(conn, tenant)?;
        for command in of_one {
            let before = head.clone();
            if let Err(error) = conn.transaction(|conn| command.attempt(conn, &mut head)) {
                head = before;
                if error != Db::RollbackTransaction {
                    return Err(error.into()); // the savepoint itself failed: nothing of this batch is certain
                }
            }
        }
        head.save(conn)?;
        ends.push((tenant, head.next() - 1));
    }
    Ok(ends)
}
