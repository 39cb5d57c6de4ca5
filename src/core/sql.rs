//! SQL types whose physical form differs: only their names; how each database writes them is in
//! `db::types`.
use diesel::query_builder::QueryId;
use diesel::sql_types::{SqlOrd, SqlType};

/// `UUID` or `BLOB(16)`.
#[derive(Debug, Clone, Copy, SqlType, QueryId)]
#[diesel(
    postgres_type(oid = 2950, array_oid = 2951),
    sqlite_type(name = "Binary")
)]
pub struct DbUuid;

/// `TIMESTAMPTZ` or `INTEGER` milliseconds since 1970.
#[derive(Debug, Clone, Copy, SqlType, QueryId)]
#[diesel(
    postgres_type(oid = 1184, array_oid = 1185),
    sqlite_type(name = "Long")
)]
pub struct DbInstant;

impl SqlOrd for DbUuid {}
impl SqlOrd for DbInstant {}
