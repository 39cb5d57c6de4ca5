//! What opening a database can end in, and what is asked of SQLite first.
use diesel::sql_types::{Integer, Text};
use diesel::{QueryableByName, RunQueryDsl};

/// A database, or why it cannot be opened.
pub type Opening<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[derive(QueryableByName)]
struct Library {
    #[diesel(sql_type = Text)]
    version: String,
    #[diesel(sql_type = Integer)]
    stable_plans: i32,
}

/// SQLite before 3.51.3 can corrupt a WAL file; without QPSG it prepares statements again at each
/// use.
pub(super) fn new_enough(conn: &mut diesel::SqliteConnection) -> Opening<()> {
    let ask = "SELECT sqlite_version() AS version, sqlite_compileoption_used('ENABLE_QPSG') AS \
        stable_plans";
    let library: Library = diesel::sql_query(ask).get_result(conn)?;
    let parts: Vec<u32> = library
        .version
        .split('.')
        .filter_map(|part| part.parse().ok())
        .collect();
    if parts.as_slice() < [3, 51, 3].as_slice() {
        return Err(format!("SQLite {} is too old: 3.51.3 is required", library.version).into());
    }
    if library.stable_plans != 1 {
        log::warn!(
            "this SQLite was built without ENABLE_QPSG (see .cargo/config.toml): lists will cost \
                more"
        );
    }
    Ok(())
}
