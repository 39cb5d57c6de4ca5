//! The rows of writes, put together: those of several are stored in a few statements.
use super::spine::{self, VersionRow};
use super::{Record, Resource, Stored, links};
use crate::core::{Id, Problem, Result, TenantId, VersionKey};
use crate::db::Conn;
use crate::db::ending::{self, Turn, Which};
use crate::ledger::{self, Entry, Head, TOGETHER};
use diesel::QueryResult;
use std::any::Any;

/// Rows that are to be stored.
#[derive(Default)]
pub struct Rows {
    versions: Vec<VersionRow>,
    own: Vec<Box<dyn Own>>,
    begun: Vec<Turn>,
    ended: Vec<Turn>,
    /// The entries that they are derived from.
    pub entries: Vec<Entry>,
}

impl Rows {
    /// Adds what a version with an entry at `seq`, in this schema, has on the spine, and its links.
    pub fn version<R: Resource>(
        &mut self,
        record: &Record<R>,
        before: Option<&Record<R>>,
        seq: i64,
        schema: i16,
    ) -> Result<()> {
        let (id, none) = (record.spine.id, spine::no_links());
        self.versions.push(VersionRow::of(record, seq, schema)?);
        let linked = record
            .links
            .since(before.map_or(&none, |before| &before.links));
        let old = before.map_or(&[][..], |before| before.own.requirements());
        let cited = links::cited_since(record.own.requirements(), old);
        let turn = |which| Turn { id, which, seq };
        let began = linked.0.into_iter().chain(cited.0);
        self.begun.extend(began.map(turn));
        let version = record.spine.version - 1;
        let version = (version > 0).then_some(Which::Version(version));
        let ended = version.into_iter().chain(linked.1).chain(cited.1);
        self.ended.extend(ended.map(turn));
        Ok(())
    }
    /// Adds the row in the table of its kind.
    pub fn own<R: Resource>(&mut self, key: VersionKey, record: Record<R>) {
        for own in &mut self.own {
            let own: &mut dyn Any = &mut **own;
            if let Some(OwnRows(rows)) = own.downcast_mut::<OwnRows<R>>() {
                return rows.push((key, record));
            }
        }
        self.own.push(Box::new(OwnRows(vec![(key, record)])));
    }
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
        spine::identify(conn, tenant, begin)?;
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
        spine::insert(conn, tenant, &self.versions)?;
        for own in self.own {
            own.insert(conn)?;
        }
        ending::end(conn, tenant, &links)?;
        ending::end(conn, tenant, &requirements)?;
        Ok(links::insert(conn, tenant, &self.begun)?)
    }
}

/// Rows of the own table of a kind.
trait Own: Any {
    fn insert(&self, conn: &mut Conn) -> QueryResult<()>;
    fn append_to(self: Box<Self>, rows: &mut Rows);
}

struct OwnRows<R: Resource>(Vec<(VersionKey, Record<R>)>);

impl<R: Resource> Own for OwnRows<R> {
    fn insert(&self, conn: &mut Conn) -> QueryResult<()> {
        let mut some = self.0.chunks(TOGETHER);
        some.try_for_each(|some| <R as Stored>::insert(some, conn))
    }
    fn append_to(self: Box<Self>, rows: &mut Rows) {
        for (key, record) in self.0 {
            rows.own(key, record);
        }
    }
}
