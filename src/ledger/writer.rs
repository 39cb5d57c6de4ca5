//! Group commit: writes are commands on a queue. A writer takes them in turn, gives each its own
//! savepoint, commits once, and only then answers each. One writer on SQLite; a few on PostgreSQL,
//! an organization always with the same one.
use super::queue::{Full, Queue};
use super::{Head, Positions, Recorded};
use crate::core::{Code, Problem, Result, TenantId};
use crate::db::{Conn, Database};
use diesel::connection::{AnsiTransactionManager, TransactionManager};
use diesel::{Connection, connection::SimpleConnection, r2d2::R2D2Connection, result::Error as Db};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant as Tick};
use tokio::sync::oneshot;

/// Commands of one commit.
const BATCH: usize = 256;
/// How long commands are gathered before a commit: who is done does not wait much longer for
/// others.
const GATHER: Duration = Duration::from_millis(50);
/// Writers on PostgreSQL.
const LANES: usize = 4;
/// How long one write may take, where all organizations share a writer and where they do not. (A
/// build for tests is many times slower.)
const PATIENCE: Duration = Duration::from_secs(if cfg!(debug_assertions) { 40 } else { 5 });
const PATIENCE_APART: Duration = Duration::from_secs(if cfg!(debug_assertions) { 60 } else { 30 });

thread_local! {
    /// Until when the write that this thread works on may go on.
    static UNTIL: Cell<Option<Tick>> = const { Cell::new(None) };
}

/// 503 when the write that is being worked on has had its time: it is undone, and the writer goes
/// on with the others. Asked between statements.
pub fn in_time() -> Result<()> {
    match UNTIL.get() {
        Some(until) if Tick::now() > until => Err(Problem::new(
            Code::Unavailable,
            "The write took too long and was undone. Send it again in smaller parts.",
        )
        .retry_after(5)),
        _ => Ok(()),
    }
}

type Line = Queue<Box<dyn Command>>;

/// The queues of the writers.
pub struct Writer {
    lanes: Vec<Arc<Line>>,
    positions: Arc<Positions>,
}

impl Writer {
    /// Starts the writers.
    pub fn start(database: &Database) -> Result<Self> {
        let positions = Arc::<Positions>::default();
        let lanes = (0..if database.embedded() { 1 } else { LANES }).map(|_| {
            let queue = Arc::<Line>::default();
            let (conn, database, positions, line) = (
                connect(database)?,
                database.clone(),
                positions.clone(),
                queue.clone(),
            );
            let name = std::thread::Builder::new().name("writer".into());
            name.spawn(move || work_off(conn, &database, &line, &positions))
                .map_err(Problem::internal)?;
            Ok(queue)
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
        let job = Job {
            work: Some(work),
            outcome: Err(Problem::new(Code::Unavailable, "Not tried.")),
            reply,
        };
        let lane = BuildHasherDefault::<DefaultHasher>::default().hash_one(tenant) as usize
            % self.lanes.len().max(1);
        let queue = self
            .lanes
            .get(lane)
            .ok_or_else(|| Problem::internal("no writer"))?;
        queue.push(tenant, Box::new(job)).map_err(|full| {
            let words = match full {
                Full::OfOne => "Too many writes of your organization are waiting. Try again.",
                Full::All => "The write queue is full. Try again.",
            };
            Problem::new(Code::Unavailable, words)
        })?;
        answer.await.map_err(Problem::internal)?
    }
}
impl Drop for Writer {
    fn drop(&mut self) {
        self.lanes.iter().for_each(|lane| lane.close());
    }
}

/// A connection for writing: on PostgreSQL no statement outlives the time of a write.
fn connect(database: &Database) -> Result<Conn> {
    let mut conn = database.connect()?;
    if let Conn::Pg(pg) = &mut conn {
        pg.batch_execute(&format!(
            "SET statement_timeout = {}",
            PATIENCE_APART.as_millis()
        ))?;
    }
    Ok(conn)
}

/// What became of a transaction.
#[derive(Debug, Clone)]
enum End {
    /// It is durable.
    Committed,
    /// Nothing of it is stored.
    Undone(Problem),
    /// The database went away while it was told to commit.
    Unknown,
}

/// A queued write, whatever its answer is.
trait Command: Send {
    /// Runs inside its own savepoint; an error undoes that savepoint only.
    fn attempt(&mut self, conn: &mut Conn, head: &mut Head) -> Result<(), Db>;
    /// It is refused without being tried.
    fn refuse(&mut self, problem: Problem);
    /// Answers, after the commit.
    fn settle(self: Box<Self>, end: &End);
}

struct Job<T, F> {
    work: Option<F>,
    outcome: Result<Recorded<T>>,
    reply: oneshot::Sender<Result<T>>,
}

impl<T, F> Command for Job<T, F>
where
    T: Send,
    F: FnOnce(&mut Conn, &mut Head) -> Result<Recorded<T>> + Send,
{
    fn attempt(&mut self, conn: &mut Conn, head: &mut Head) -> Result<(), Db> {
        let Some(work) = self.work.take() else {
            return Ok(());
        };
        // Whoever asked has gone: nothing was promised yet.
        if self.reply.is_closed() {
            return Err(Db::RollbackTransaction);
        }
        let run = catch_unwind(AssertUnwindSafe(|| work(conn, head)));
        self.outcome = run.unwrap_or_else(|_| Err(Problem::internal("a command panicked")));
        self.outcome
            .as_ref()
            .map(drop)
            .map_err(|_| Db::RollbackTransaction)
    }
    fn refuse(&mut self, problem: Problem) {
        (self.work, self.outcome) = (None, Err(problem));
    }
    fn settle(self: Box<Self>, end: &End) {
        let answer = match (self.outcome, end) {
            (Err(problem), _) => Err(problem),
            (Ok(recorded), End::Committed) => Ok(recorded.open()),
            (Ok(_), End::Undone(problem)) => Err(problem.clone()),
            (Ok(_), End::Unknown) => {
                let words = "It is unknown whether this was stored. Send it again with the same \
                    `Idempotency-Key`, or read the record.";
                Err(Problem::new(Code::Unavailable, words))
            }
        };
        drop(self.reply.send(answer));
    }
}

fn work_off(mut conn: Conn, database: &Database, queue: &Line, positions: &Positions) {
    while let Some(first) = queue.next() {
        let (mut done, mut ends) = (Vec::new(), BTreeMap::new());
        let end = commit(&mut conn, queue, first, &mut done, &mut ends);
        if let End::Committed = end {
            ends.into_iter()
                .for_each(|(tenant, last)| positions.publish(tenant, last));
        }
        done.into_iter()
            .for_each(|command: Box<dyn Command>| command.settle(&end));
        if conn.is_broken() {
            match connect(database) {
                Ok(fresh) => conn = fresh,
                Err(error) => log::error!("writer: {error}"),
            }
        }
    }
}

/// Works off what waits, in one transaction; tells where the ledger of each organization ends then.
fn commit(
    conn: &mut Conn,
    queue: &Line,
    first: (TenantId, Box<dyn Command>),
    done: &mut Vec<Box<dyn Command>>,
    ends: &mut BTreeMap<TenantId, i64>,
) -> End {
    let undone = |problem: Problem| {
        log::error!("batch: {problem}");
        End::Undone(problem)
    };
    let begun = match conn {
        Conn::Sqlite(c) => AnsiTransactionManager::begin_transaction_sql(c, "BEGIN IMMEDIATE"),
        Conn::Pg(c) => {
            AnsiTransactionManager::begin_transaction_sql(c, "BEGIN ISOLATION LEVEL READ COMMITTED")
        }
    };
    if let Err(error) = begun {
        let problem = Problem::from(error);
        let (_, mut command) = first;
        command.refuse(problem.clone());
        done.push(command);
        return undone(problem);
    }
    let worked = work(conn, queue, first, done, ends);
    type Manager = <Conn as Connection>::TransactionManager;
    match worked {
        Err(problem) => {
            if let Err(also) = Manager::rollback_transaction(conn) {
                log::error!("rollback: {also}");
            }
            undone(problem)
        }
        Ok(()) => match Manager::commit_transaction(conn) {
            Ok(()) => End::Committed,
            // SQLite tells whether it committed; a server that went away does not.
            Err(error) if matches!(conn, Conn::Sqlite(_)) => undone(error.into()),
            Err(error) => {
                log::error!("commit: {error}");
                End::Unknown
            }
        },
    }
}

/// The head of an organization in this transaction; where it cannot be read, that organization's
/// commands alone are refused.
type Heads = BTreeMap<TenantId, Result<Head>>;

fn work(
    conn: &mut Conn,
    queue: &Line,
    first: (TenantId, Box<dyn Command>),
    done: &mut Vec<Box<dyn Command>>,
    ends: &mut BTreeMap<TenantId, i64>,
) -> Result<()> {
    // PostgreSQL: one organization per transaction, so that two nodes never wait for each other in
    // a circle.
    let (together, began, only) = (matches!(conn, Conn::Sqlite(_)), Tick::now(), first.0);
    let (mut heads, mut next) = (Heads::new(), Some(first));
    while let Some((tenant, mut command)) = next {
        let tried = one(
            conn,
            &mut heads,
            tenant,
            command.as_mut(),
            if together { PATIENCE } else { PATIENCE_APART },
        );
        done.push(command);
        tried?;
        next = match done.len() < BATCH && began.elapsed() < GATHER {
            true if together => queue.try_next(),
            true => queue.try_next_of(only).map(|command| (only, command)),
            false => None,
        };
    }
    for (tenant, head) in heads {
        if let Ok(head) = head {
            head.save(conn)?;
            ends.insert(tenant, head.next() - 1);
        }
    }
    Ok(())
}

/// Runs one command in its savepoint. An error here is of the transaction: nothing of it is
/// certain.
fn one(
    conn: &mut Conn,
    heads: &mut Heads,
    tenant: TenantId,
    command: &mut dyn Command,
    patience: Duration,
) -> Result<()> {
    let head = match heads
        .entry(tenant)
        .or_insert_with(|| Head::lock(conn, tenant))
    {
        Ok(head) => head,
        Err(problem) => {
            command.refuse(problem.clone());
            // PostgreSQL takes no more statements after an error; its transaction is of this
            // organization alone.
            return if matches!(conn, Conn::Sqlite(_)) {
                Ok(())
            } else {
                Err(problem.clone())
            };
        }
    };
    let before = head.clone();
    UNTIL.set(Some(Tick::now() + patience));
    let tried = conn.transaction(|conn| command.attempt(conn, head));
    UNTIL.set(None);
    match tried {
        Ok(()) => Ok(()),
        Err(error) => {
            *head = before;
            if error == Db::RollbackTransaction {
                Ok(())
            } else {
                Err(error.into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_that_takes_too_long_is_undone() {
        assert!(in_time().is_ok(), "outside of a write there is no limit");
        UNTIL.set(Some(Tick::now() + Duration::from_secs(60)));
        assert!(in_time().is_ok());
        UNTIL.set(Some(Tick::now() - Duration::from_millis(1)));
        let late = in_time().err();
        UNTIL.set(None);
        assert!(late.is_some_and(|problem| problem.is(Code::Unavailable)));
    }
}
