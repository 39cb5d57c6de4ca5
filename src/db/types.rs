//! How each database writes the SQL types of `core::sql`.
use super::connection::MultiBackend;
use crate::core::{Id, Instant, TenantId, sql::*};
use diesel::backend::Backend;
use diesel::deserialize::{self, FromSql};
use diesel::pg::Pg;
use diesel::serialize::{self, IsNull, Output, ToSql};
use diesel::sql_types::{self as st, HasSqlType};
use diesel::sqlite::Sqlite;
use uuid::Uuid;

/// `multi!(DbUuid => Id)`: the SQL type exists for the multi-backend, which hands the value through
/// to the backend it is.
macro_rules! multi {
    ($sql:ident => $rust:ty) => {
        impl FromSql<$sql, MultiBackend> for $rust {
            fn from_sql(raw: <MultiBackend as Backend>::RawValue<'_>) -> deserialize::Result<Self> {
                raw.from_sql::<$rust, $sql>()
            }
        }
        impl ToSql<$sql, MultiBackend> for $rust {
            fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, MultiBackend>) -> serialize::Result {
                out.set_value(($sql, self));
                Ok(IsNull::No)
            }
        }
    };
}
macro_rules! known {
    ($($sql:ident),+) => { $(impl HasSqlType<$sql> for MultiBackend {
        fn metadata(lookup: &mut Self::MetadataLookup) -> Self::TypeMetadata { MultiBackend::lookup_sql_type::<$sql>(lookup) }
    })+ };
}
macro_rules! uuid {
    ($($rust:ident),+) => { $(
        multi!(DbUuid => $rust);
        impl ToSql<DbUuid, Pg> for $rust {
            fn to_sql<'b>(&'b self, out: &mut Output<'b, '_,
                Pg>) -> serialize::Result { ToSql::<st::Uuid, Pg>::to_sql(&self.0, out) }
        }
        impl FromSql<DbUuid, Pg> for $rust {
            fn from_sql(raw: <Pg as Backend>::RawValue<'_>) -> deserialize::Result<Self> { FromSql::<st::Uuid, Pg>::from_sql(raw).map($rust) }
        }
        impl ToSql<DbUuid, Sqlite> for $rust {
            fn to_sql<'b>(&'b self, out: &mut Output<'b, '_,
                Sqlite>) -> serialize::Result { out.set_value(&self.0.as_bytes()[..]); Ok(IsNull::No) }
        }
        impl FromSql<DbUuid, Sqlite> for $rust {
            fn from_sql(mut raw: <Sqlite as Backend>::RawValue<'_>) -> deserialize::Result<Self> { Ok($rust(Uuid::from_slice(raw.read_blob())?)) }
        }
    )+ };
}
known!(DbUuid, DbInstant);
uuid!(Id, TenantId);
multi!(DbInstant => Instant);

impl ToSql<DbInstant, Pg> for Instant {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        ToSql::<st::Timestamptz, Pg>::to_sql(&self.utc(), &mut out.reborrow())
    }
}
impl FromSql<DbInstant, Pg> for Instant {
    fn from_sql(raw: <Pg as Backend>::RawValue<'_>) -> deserialize::Result<Self> {
        FromSql::<st::Timestamptz, Pg>::from_sql(raw).map(Instant::new)
    }
}
impl ToSql<DbInstant, Sqlite> for Instant {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> serialize::Result {
        out.set_value(self.millis());
        Ok(IsNull::No)
    }
}
impl FromSql<DbInstant, Sqlite> for Instant {
    fn from_sql(mut raw: <Sqlite as Backend>::RawValue<'_>) -> deserialize::Result<Self> {
        Instant::from_millis(raw.read_long()).ok_or_else(|| "not an instant".into())
    }
}
