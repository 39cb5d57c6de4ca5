//! Identifiers: UUIDv7 (RFC 9562), so that they sort by the time of their making.
use super::sql::DbUuid;
use diesel::{deserialize::FromSqlRow, expression::AsExpression};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The identity of a record, an account or a request.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    AsExpression,
    FromSqlRow,
)]
#[diesel(sql_type = DbUuid)]
#[serde(transparent)]
pub struct Id(pub Uuid);

impl Id {
    /// A new identity.
    #[expect(
        clippy::new_without_default,
        reason = "a default identity would be a trap"
    )]
    pub fn new() -> Self {
        Id(Uuid::now_v7())
    }
    /// From its text, in the one form that answers have.
    pub fn parse(text: &str) -> Option<Self> {
        (text.len() == 36)
            .then(|| Uuid::try_parse(text).ok())
            .flatten()
            .map(Id)
    }
}
impl std::fmt::Display for Id {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}
impl utoipa::PartialSchema for Id {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        super::text::formatted(
            utoipa::openapi::KnownFormat::Uuid,
            "01936f2e-7a10-7c3b-9d5e-1f2a3b4c5d6e",
        )
    }
}
impl utoipa::ToSchema for Id {}

/// The organization that a row belongs to. Made only from a credential or from a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, AsExpression, FromSqlRow)]
#[diesel(sql_type = DbUuid)]
pub struct TenantId(pub Uuid);

impl TenantId {
    /// The record of the organization itself has its identity.
    pub fn record(self) -> Id {
        Id(self.0)
    }
}

/// Which version of which record of whom: the primary key of every register table.
pub type VersionKey = (TenantId, Id, i32);
