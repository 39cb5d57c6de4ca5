//! The rows of writes: those of several are stored in a few statements.
use super::links;
use crate::core::{Id, Instant, Problem, Result, TenantId};
use crate::db::dialect::OPEN;
use crate::db::ending::{self, Turn, Which};
use crate::db::{Conn, schema::records as r, schema::versions as v};
use crate::ledger::{self, Entry, Head, TOGETHER};
use chrono::NaiveDate;
use diesel::prelude::*;
use std::any::Any;

/// Rows that are to be stored.
#[derive(Default)]
pub struct Rows {
    pub(super) versions: Vec<VersionRow>,
    pub(super) own: Vec<Box<dyn Own>>,
    pub(super) begun: Vec<Turn>,
    pub(super) ended: Vec<Turn>,
    /// The entries that they are derived from.
    pub entries: Vec<Entry>,
}

impl Rows {
    /// Is there nothing to store?
    pub fn is_empty(&self) -> bool {
        self.versions.is_empty()
    }
    /// Is a version of this record to be stored?
    pub fn of(&self, id: Id) -> bool {
        self.versions.iter().any(|row| row.id == id)
    }
    /// Adds what follows these.
    pub fn append(&mut self, mut more: Rows) {
        self.versions.append(&mut more.versions);
        self.begun.append(&mut more.begun);
        self.ended.append(&mut more.ended);
        self.entries.append(&mut more.entries);
        for own in more.own {
            own.append_to(self);
        }
    }
    /// Stores what is new, what is derived, and the entries.
    pub fn store(self, conn: &mut Conn, tenant: TenantId, head: &mut Head) -> Result<()> {
        let begin = self.versions.iter().filter(|row| row.begins());
        identify(conn, tenant, begin)?;
        ledger::store(conn, head, &self.entries)?;
        self.derive(conn, tenant)
    }
    /// Stores what is derived from entries.
    pub fn derive(self, conn: &mut Conn, tenant: TenantId) -> Result<()> {
        let (mut versions, mut links, mut requirements) = (vec![], vec![], vec![]);
        for turn in self.ended {
            match turn.which {
                Which::Version(_) => versions.push(turn),
                Which::Link(..) => links.push(turn),
                Which::Requirement(_) => requirements.push(turn),
            }
        }
        if ending::end(conn, tenant, &versions)? != versions.len() {
            return Err(Problem::internal("a version was lost behind the lock"));
        }
        insert(conn, tenant, &self.versions)?;
        for own in self.own {
            own.insert(conn)?;
        }
        ending::end(conn, tenant, &links)?;
        ending::end(conn, tenant, &requirements)?;
        Ok(links::insert(conn, tenant, &self.begun)?)
    }
}

/// Rows of the own table of a kind.
pub(super) trait Own: Any {
    fn insert(&self, conn: &mut Conn) -> QueryResult<()>;
    fn append_to(self: Box<Self>, rows: &mut Rows);
}

/// The row of a version.
#[derive(Debug)]
pub struct VersionRow {
    pub(super) id: Id,
    pub(super) kind: &'static str,
    pub(super) number: i64,
    pub(super) version: i32,
    pub(super) external_ref: Option<String>,
    pub(super) name: String,
    pub(super) status: String,
    pub(super) owner_id: Option<Id>,
    pub(super) due_on: Option<NaiveDate>,
    pub(super) review_due_on: Option<NaiveDate>,
    pub(super) rank: Option<i32>,
    pub(super) tags: String,
    pub(super) words: String,
    pub(super) at: (Instant, Instant, Option<Instant>),
    pub(super) seq: i64,
    pub(super) schema: i16,
}

impl VersionRow {
    /// Is it the first version of its record?
    pub fn begins(&self) -> bool {
        self.version == 1
    }
}

/// Makes the identities of the records that begin with these versions; they stay for good.
fn identify<'r>(
    conn: &mut Conn,
    tenant: TenantId,
    rows: impl Iterator<Item = &'r VersionRow>,
) -> QueryResult<()> {
    let identity = |row: &VersionRow| {
        (
            r::tenant_id.eq(tenant),
            r::id.eq(row.id),
            r::kind.eq(row.kind),
            r::number.eq(row.number),
        )
    };
    let rows: Vec<_> = rows.map(identity).collect();
    for some in rows.chunks(TOGETHER) {
        // One alone stays prepared.
        match some {
            [one] => diesel::insert_into(r::table).values(*one).execute(conn)?,
            some => crate::each!(conn, |c| diesel::insert_into(r::table)
                .values(some)
                .execute(c))?,
        };
    }
    Ok(())
}

/// Adds the rows of versions.
fn insert(conn: &mut Conn, tenant: TenantId, rows: &[VersionRow]) -> QueryResult<()> {
    let version = |row: &VersionRow| {
        let (created_at, updated_at, archived_at) = row.at;
        (
            (
                v::tenant_id.eq(tenant),
                v::id.eq(row.id),
                v::version.eq(row.version),
                v::kind.eq(row.kind),
                v::number.eq(row.number),
            ),
            (
                v::external_ref.eq(row.external_ref.clone()),
                v::name.eq(row.name.clone()),
                v::status.eq(row.status.clone()),
            ),
            (
                v::owner_id.eq(row.owner_id),
                v::due_on.eq(row.due_on),
                v::review_due_on.eq(row.review_due_on),
            ),
            (
                v::rank.eq(row.rank),
                v::tags.eq(row.tags.clone()),
                v::words.eq(row.words.clone()),
            ),
            (
                v::created_at.eq(created_at),
                v::updated_at.eq(updated_at),
                v::archived_at.eq(archived_at),
            ),
            (
                v::from_seq.eq(row.seq),
                v::to_seq.eq(OPEN),
                v::schema.eq(row.schema),
            ),
        )
    };
    for some in rows.chunks(TOGETHER) {
        if let [one] = some {
            diesel::insert_into(v::table)
                .values(version(one))
                .execute(conn)?;
            continue;
        }
        let rows: Vec<_> = some.iter().map(version).collect();
        crate::each!(conn, |c| diesel::insert_into(v::table)
            .values(rows)
            .execute(c))?;
    }
    Ok(())
}
