//! The pool of readers, and the migrations.
use super::opening::Opening;
use super::{Conn, Manager};
use crate::core::{Code, Problem, Result};
use diesel::connection::SimpleConnection;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, oneshot};

/// Readers, and the way to open one more connection for a writer.
#[derive(Clone)]
pub struct Database {
    pool: r2d2::Pool<Manager>,
    /// Turns of questions of any size. Fewer than there are readers: the rest is for records.
    turns: Arc<Semaphore>,
    manager: Manager,
    spent: Arc<Spent>,
}

/// What reading took: for metrics.
#[derive(Debug, Default)]
pub struct Spent {
    /// How many reads there were.
    pub reads: AtomicU64,
    /// Nanoseconds that they waited for a reader.
    pub waited: AtomicU64,
    /// Nanoseconds that they took then.
    pub took: AtomicU64,
}
impl Spent {
    fn add(&self, waited: Duration, took: Duration) {
        let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or_default();
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.waited.fetch_add(nanos(waited), Ordering::Relaxed);
        self.took.fetch_add(nanos(took), Ordering::Relaxed);
    }
}

/// How long a question may take on PostgreSQL; then its reader is free again.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a question waits for a reader.
const WAIT: Duration = Duration::from_secs(5);

/// Of so many readers, those that are kept for questions of a bounded size.
fn kept_free(readers: u32) -> u32 {
    if readers > 1 { (readers / 4).max(1) } else { 0 }
}

/// Bounds the questions of readers.
#[derive(Debug)]
struct Bounded;
impl r2d2::CustomizeConnection<Conn, diesel::r2d2::Error> for Bounded {
    fn on_acquire(&self, conn: &mut Conn) -> std::result::Result<(), diesel::r2d2::Error> {
        match conn {
            Conn::Pg(pg) => pg
                .batch_execute(&format!("SET statement_timeout = {}", PATIENCE.as_millis()))
                .map_err(diesel::r2d2::Error::QueryError),
            Conn::Sqlite(_) => Ok(()),
        }
    }
}

impl Database {
    /// Brings the schema up to date and connects up to `readers` readers.
    pub fn open(url: &str, readers: u32) -> Opening<Self> {
        let manager = Manager::new(url)?;
        super::migrate::migrate(&manager)?;
        let builder = r2d2::Pool::builder()
            .max_size(readers)
            .min_idle(Some(1))
            .test_on_check_out(matches!(manager, Manager::Pg(_)));
        let pool = builder
            .connection_customizer(Box::new(Bounded))
            .connection_timeout(WAIT)
            .build(manager.clone())?;
        let turns = readers - kept_free(readers);
        Ok(Database {
            pool,
            turns: Arc::new(Semaphore::new(usize::try_from(turns)?)),
            manager,
            spent: Arc::default(),
        })
    }
    /// What reading took so far.
    pub fn spent(&self) -> &Spent {
        &self.spent
    }
    /// A connection of its own, outside the pool.
    pub fn connect(&self) -> Result<Conn> {
        r2d2::ManageConnection::connect(&self.manager).map_err(|e| {
            log::error!("connect: {e}");
            Problem::new(Code::Unavailable, "The database cannot be reached.")
        })
    }
    /// Is it in this process (one writer, reads without a round trip)?
    pub fn embedded(&self) -> bool {
        matches!(self.manager, Manager::Sqlite(_))
    }
    /// Runs `work` on a reader over one state of the database, off the worker threads. However
    /// many ask, some readers stay free for [`Database::read_one`].
    pub async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Conn) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (work, mut found) = kept(work);
        let asked = Instant::now();
        let turn = tokio::time::timeout(WAIT, self.turns.clone().acquire_owned()).await;
        let turn = turn.map_err(|_| no_reader())?.map_err(Problem::internal)?;
        self.look(asked, work, Some(turn)).await?;
        found.try_recv().map_err(Problem::internal)
    }
    /// The same for work of a bounded size (a record by its key): on this very thread where the
    /// database is embedded and a reader is free.
    pub async fn read_one<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Conn) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (work, mut found) = kept(work);
        match self.embedded().then(|| self.pool.try_get()).flatten() {
            Some(mut conn) => {
                let began = Instant::now();
                let done = conn.snapshot(work);
                self.spent.add(Duration::ZERO, began.elapsed());
                done?;
            }
            None => self.look(Instant::now(), work, None).await?,
        }
        found.try_recv().map_err(Problem::internal)
    }
    /// Off the worker threads; the turn ends with the work, though nobody may wait for it any more.
    async fn look(&self, asked: Instant, work: Look, turn: Option<Turn>) -> Result<()> {
        let (pool, spent) = (self.pool.clone(), self.spent.clone());
        let job = move || {
            let _turn = turn;
            let mut conn = pool.get().map_err(|_| no_reader())?;
            let (waited, began) = (asked.elapsed(), Instant::now());
            let done = conn.snapshot(work);
            spent.add(waited, began.elapsed());
            done
        };
        actix_web::web::block(job)
            .await
            .map_err(Problem::internal)?
    }
}

type Turn = tokio::sync::OwnedSemaphorePermit;

fn no_reader() -> Problem {
    let words = "Too many questions are being answered. Try again in a moment.";
    Problem::new(Code::Unavailable, words)
}

/// A question to a reader. It has one type, whatever it finds, so that what runs it is compiled
/// once.
type Look = Box<dyn FnOnce(&mut Conn) -> Result<()> + Send>;

/// The question that keeps what it finds for the one who asked.
fn kept<T: Send + 'static>(
    work: impl FnOnce(&mut Conn) -> Result<T> + Send + 'static,
) -> (Look, oneshot::Receiver<T>) {
    let (tell, found) = oneshot::channel();
    let look = move |conn: &mut Conn| {
        // Whoever asked may have gone, before it begins or meanwhile.
        if tell.is_closed() {
            return Ok(());
        }
        let _gone = tell.send(work(conn)?);
        Ok(())
    };
    (Box::new(look), found)
}

/// Brings the schema up to date; says which migrations ran.
pub fn migrate(url: &str) -> Opening<Vec<String>> {
    super::migrate::migrate(&Manager::new(url)?)
}
