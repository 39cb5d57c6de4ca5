//! Migrations: forwards only, by one process at a time, and never by an executable that is older
//! than the database.
use super::opening::{Opening, new_enough};
use super::{Conn, Manager};
use diesel::RunQueryDsl;
use diesel::connection::SimpleConnection;
use diesel::migration::{Migration, MigrationSource};
use diesel::sql_types::Text;
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

const SQLITE: EmbeddedMigrations = embed_migrations!("migrations/sqlite");
const POSTGRESQL: EmbeddedMigrations = embed_migrations!("migrations/postgresql");

/// How long a process waits for another one that migrates.
const PATIENCE: Duration = Duration::from_secs(120);
/// The key of the lock that migrations of one PostgreSQL database hold: "isms" and a number.
const LOCK: i64 = 0x6973_6d73_0001;

#[derive(diesel::QueryableByName)]
struct Applied {
    #[diesel(sql_type = Text)]
    version: String,
}

/// Brings the schema up to date; says which migrations ran. All of them run or none.
pub fn migrate(manager: &Manager) -> Opening<Vec<String>> {
    let mut conn = connect(manager)?;
    if let Conn::Sqlite(sqlite) = &mut conn {
        new_enough(sqlite)?;
    }
    if pending(&mut conn)?.is_empty() {
        return Ok(vec![]);
    }
    // Alone from here on, until the end of the transaction; what another process did meanwhile is
    // seen.
    conn.batch_execute(&match conn {
        Conn::Sqlite(_) => format!("PRAGMA busy_timeout = {}", PATIENCE.as_millis()),
        Conn::Pg(_) => format!("SET lock_timeout = '{}s'", PATIENCE.as_secs()),
    })?;
    conn.writing(|conn| -> Opening<Vec<String>> {
        if let Conn::Pg(_) = conn {
            let alone = conn.batch_execute(&format!("SELECT pg_advisory_xact_lock({LOCK})"));
            alone.map_err(|e| {
                format!("another process is migrating this database, or holds its lock: {e}")
            })?;
        }
        if pending(conn)?.is_empty() {
            return Ok(vec![]);
        }
        let ran = match conn {
            Conn::Sqlite(c) => c.run_pending_migrations(SQLITE)?,
            Conn::Pg(c) => c.run_pending_migrations(POSTGRESQL)?,
        };
        Ok(ran.iter().map(ToString::to_string).collect())
    })
}

/// Two processes that make one file at the same moment are in each other's way for an instant.
fn connect(manager: &Manager) -> Opening<Conn> {
    let began = Instant::now();
    loop {
        match r2d2::ManageConnection::connect(manager) {
            Err(why)
                if why.to_string().contains("database is locked") && began.elapsed() < PATIENCE =>
            {
                std::thread::sleep(Duration::from_millis(50));
            }
            done => {
                return done
                    .map_err(|why| format!("the database {}: {why}", manager.place()).into());
            }
        }
    }
}

/// The migrations that this executable has and the database has not; an error when the database has
/// others.
fn pending(conn: &mut Conn) -> Opening<BTreeSet<String>> {
    let known = match conn {
        Conn::Sqlite(_) => versions::<diesel::sqlite::Sqlite>(&SQLITE)?,
        Conn::Pg(_) => versions::<diesel::pg::Pg>(&POSTGRESQL)?,
    };
    let applied = applied(conn)?;
    let newer: Vec<&str> = applied.difference(&known).map(String::as_str).collect();
    if !newer.is_empty() {
        return Err(format!(
            "this database was written by a newer version of isms (its schema has {}; this is \
                {}). Start that version, or restore the backup that \
             was made before the upgrade",
            newer.join(", "),
            env!("CARGO_PKG_VERSION")
        )
        .into());
    }
    Ok(known.difference(&applied).cloned().collect())
}

fn versions<DB: diesel::backend::Backend>(source: &EmbeddedMigrations) -> Opening<BTreeSet<String>>
where
    EmbeddedMigrations: MigrationSource<DB>,
{
    let all: Vec<Box<dyn Migration<DB>>> = source.migrations()?;
    Ok(all
        .iter()
        .map(|migration| migration.name().version().to_string())
        .collect())
}

/// The migrations that the database has; none where it is empty.
fn applied(conn: &mut Conn) -> Opening<BTreeSet<String>> {
    let there = match conn {
        Conn::Sqlite(_) => {
            "SELECT name AS version FROM sqlite_schema WHERE type = 'table' AND name = \
                '__diesel_schema_migrations'"
        }
        Conn::Pg(_) => {
            "SELECT c.relname::text AS version FROM pg_class c WHERE c.oid = \
                to_regclass('__diesel_schema_migrations')"
        }
    };
    let all = "SELECT version FROM __diesel_schema_migrations";
    let ask = |conn: &mut Conn, sql: &str| -> diesel::QueryResult<Vec<Applied>> {
        crate::each!(conn, |c| diesel::sql_query(sql).load(c))
    };
    Ok(match ask(conn, there)?.is_empty() {
        true => BTreeSet::new(),
        false => ask(conn, all)?.into_iter().map(|row| row.version).collect(),
    })
}

/// An error when the database has been migrated by a newer version since it was opened.
pub fn current(conn: &mut Conn) -> Result<(), String> {
    pending(conn).map(drop).map_err(|why| why.to_string())
}
