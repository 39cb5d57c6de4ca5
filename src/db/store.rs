//! The pool of readers, and the migrations.
use super::opening::Opening;
use super::{Conn, Manager};
use crate::core::{Code, Problem, Result};
use diesel::connection::SimpleConnection;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Readers, and the way to open one more connection for a writer.
#[derive(Clone)]
pub struct Database {
    pool: r2d2::Pool<Manager>,
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
            .connection_timeout(Duration::from_secs(5))
            .build(manager.clone())?;
        Ok(Database {
            pool,
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
    /// Runs `work` on a reader over one state of the database, off the worker threads.
    pub async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Conn) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (work, mut found) = kept(work);
        self.look(work).await?;
        found.try_recv().map_err(Problem::internal)
    }
    /// The same for work of a bounded size (a record by its key): on this very thread where the
    /// database is embedded and a reader is free.
    pub async fn glance<T: Send + 'static>(
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
            None => self.look(work).await?,
        }
        found.try_recv().map_err(Problem::internal)
    }
    async fn look(&self, work: Look) -> Result<()> {
        let (pool, spent, asked) = (self.pool.clone(), self.spent.clone(), Instant::now());
        let job = move || {
            let mut conn = pool
                .get()
                .map_err(|_| Problem::new(Code::Unavailable, "No reader is free."))?;
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
