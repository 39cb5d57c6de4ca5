//! What is derived from a version: its row on the spine, its links, its row in the table of its
//! kind.
use super::links::{Links, cited_since};
use super::record::members;
use super::rows::{Own, Rows, VersionRow};
use super::{Record, Resource, Stored};
use crate::core::{Result, VersionKey, text::folded};
use crate::db::Conn;
use crate::db::ending::{Turn, Which};
use crate::ledger::TOGETHER;
use diesel::QueryResult;
use serde_json::{Map, Value};
use std::any::Any;

impl Rows {
    /// Adds what a version with an entry at `seq`, in this schema, has on the spine, and its links.
    pub fn version<R: Resource>(
        &mut self,
        record: &Record<R>,
        before: Option<&Record<R>>,
        seq: i64,
        schema: i16,
    ) -> Result<()> {
        let (id, none) = (record.spine.id, Links::default());
        self.versions.push(VersionRow::of(record, seq, schema)?);
        let linked = record
            .links
            .since(before.map_or(&none, |before| &before.links));
        let old = before.map_or(&[][..], |before| before.own.requirements());
        let cited = cited_since(record.own.requirements(), old);
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

impl VersionRow {
    /// Of the version whose image is written at `seq` in `schema`.
    pub fn of<R: Resource>(record: &Record<R>, seq: i64, schema: i16) -> Result<Self> {
        let (spine, common) = (&record.spine, &record.common);
        let own = members(&record.own)?;
        let tags = if common.tags.is_empty() {
            String::new()
        } else {
            format!("\n{}\n", common.tags.join("\n"))
        };
        Ok(VersionRow {
            id: spine.id,
            kind: R::KIND.name,
            number: spine.number,
            version: spine.version,
            external_ref: common.external_ref.clone(),
            name: common.name.clone(),
            status: spine.status.clone(),
            owner_id: record.links.one("owner_id"),
            due_on: common.due_on,
            review_due_on: common.review_due_on,
            rank: R::rank(record),
            tags,
            words: words(record, &own),
            at: (spine.created_at, spine.updated_at, spine.archived_at),
            seq,
            schema,
        })
    }
}

/// What `q` searches in an image: code, name and what the kind names.
fn words<R: Resource>(record: &Record<R>, own: &Map<String, Value>) -> String {
    let described = R::KIND
        .searched
        .iter()
        .filter_map(|name| own.get(*name)?.as_str());
    let texts = [record.spine.code.as_str(), record.common.name.as_str()]
        .into_iter()
        .chain(described);
    texts.map(|text| format!(" {}", folded(text))).collect()
}
