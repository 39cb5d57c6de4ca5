//! The store of sessions: refresh tokens and counted attempts, worked off by one thread on a
//! connection of its own. Beside an embedded database it is a file with its own write lock, so
//! that no login waits for a change of records.
use super::{Conn, Database, Manager};
use crate::core::{Code, Problem, Result};
use diesel::connection::SimpleConnection;
use diesel::r2d2::R2D2Connection;
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use tokio::sync::oneshot;

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations/sessions");

/// The file beside an embedded database.
pub const FILE: &str = "sessions.db";

/// Pieces of work that wait for their turn.
const QUEUE: usize = 1024;

/// A lost session only asks for another login, so a commit need not wait for the disk.
const PRAGMAS: &str = "PRAGMA synchronous = NORMAL; PRAGMA busy_timeout = 1000;";

type Work = Box<dyn FnOnce(&mut Conn) + Send>;

/// The queue of the thread.
pub struct Sessions(SyncSender<Work>);

impl Sessions {
    /// Opens the store and starts its thread. `folder` holds the file where the database is
    /// embedded.
    pub fn open(database: &Database, folder: &Path) -> super::opening::Opening<Self> {
        let file = Manager::Sqlite(folder.join(FILE).display().to_string());
        let (database, embedded) = (database.clone(), database.embedded());
        let connect = move || {
            if embedded {
                own(&file)
            } else {
                database.connect()
            }
        };
        let mut conn = connect()?;
        if let Conn::Sqlite(file) = &mut conn {
            file.run_pending_migrations(MIGRATIONS)?;
        }
        let (send, queue) = sync_channel(QUEUE);
        let name = std::thread::Builder::new().name("sessions".into());
        name.spawn(move || work_off(conn, &connect, &queue))?;
        Ok(Sessions(send))
    }
    /// Runs `work` in a write transaction, after what was asked before it.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Conn) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        let job = move |conn: &mut Conn| {
            let run = catch_unwind(AssertUnwindSafe(|| conn.writing(work)));
            let panicked = |_| Err(Problem::internal("work on sessions panicked"));
            drop(reply.send(run.unwrap_or_else(panicked)));
        };
        self.0.try_send(Box::new(job)).map_err(|_| busy())?;
        answer.await.map_err(|_| busy())?
    }
}

fn busy() -> Problem {
    Problem::new(
        Code::Unavailable,
        "Too many logins at once; try again shortly.",
    )
}

fn own(file: &Manager) -> Result<Conn> {
    let mut conn = r2d2::ManageConnection::connect(file).map_err(|e| {
        log::error!("{FILE}: {e}");
        Problem::new(Code::Unavailable, "The store of sessions cannot be opened.")
    })?;
    conn.batch_execute(PRAGMAS)?;
    Ok(conn)
}

fn work_off(mut conn: Conn, connect: &dyn Fn() -> Result<Conn>, queue: &Receiver<Work>) {
    while let Ok(work) = queue.recv() {
        if conn.is_broken() {
            match connect() {
                Ok(fresh) => conn = fresh,
                Err(why) => {
                    // Whoever asked hears that the store is not there.
                    log::error!("sessions: {why}");
                    continue;
                }
            }
        }
        work(&mut conn);
    }
}
