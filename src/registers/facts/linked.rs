//! What facts have in common: their spines, their links and what they cite.
use super::{Scored, Stub};
use crate::core::{Id, Instant, Problem, Result};
use crate::db::among::among;
use crate::db::dialect::at;
use crate::db::schema::{links as l, requirement_links as rl, versions as v};
use crate::records::Reader;
use chrono::NaiveDate;
use diesel::prelude::*;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Which records are read: all of these registers, or these alone.
#[derive(Clone, Copy)]
pub enum Which<'a> {
    /// All of these registers.
    All(&'a [&'static str]),
    /// These alone.
    These(&'a [Id]),
}

/// What is read of every record.
#[derive(Queryable, Selectable)]
#[diesel(table_name = v)]
pub struct Spine {
    id: Id,
    number: i64,
    version: i32,
    status: String,
    due_on: Option<NaiveDate>,
    review_due_on: Option<NaiveDate>,
    archived_at: Option<Instant>,
    updated_at: Instant,
    rank: Option<i32>,
}

/// The links and citations of the records that are read, taken out as each is made.
#[derive(Default)]
pub struct Linked {
    links: HashMap<Id, Vec<(String, Id)>>,
    cited: HashMap<Id, Vec<String>>,
    words: HashSet<Arc<str>>,
}

/// The members of which views follow the links.
const MEMBERS: [&str; 5] = [
    "scope_ids",
    "control_ids",
    "subject_ids",
    "existing_control_ids",
    "risk_id",
];

impl Linked {
    /// Those of these records.
    pub fn read(reader: &mut Reader<'_>, which: Which<'_>, cites: bool) -> Result<Self> {
        let (tenant, seq) = (reader.tenant(), reader.moment.seq);
        let mut all = Linked::default();
        let own = l::table
            .filter(l::tenant_id.eq(tenant))
            .filter(l::from_seq.le(seq).and(l::to_seq.gt(seq)));
        let columns = (l::from_id, l::relation, l::to_id);
        let links: Vec<(Id, String, Id)> = match which {
            Which::These(ids) => own
                .filter(among(l::from_id, ids))
                .select(columns)
                .load(reader.conn())?,
            Which::All(kinds) => own
                .filter(l::relation.eq_any(MEMBERS))
                .inner_join(v::table.on(v::tenant_id.eq(l::tenant_id).and(v::id.eq(l::from_id))))
                .filter(v::kind.eq_any(kinds.to_vec()))
                .filter(at(seq))
                .select(columns)
                .load(reader.conn())?,
        };
        for (from, member, to) in links {
            all.links.entry(from).or_default().push((member, to));
        }
        if !cites {
            return Ok(all);
        }
        let own = rl::table
            .filter(rl::tenant_id.eq(tenant))
            .filter(rl::from_seq.le(seq).and(rl::to_seq.gt(seq)));
        let columns = (rl::from_id, rl::requirement);
        let cited: Vec<(Id, String)> = match which {
            Which::These(ids) => own
                .filter(among(rl::from_id, ids))
                .select(columns)
                .load(reader.conn())?,
            Which::All(kinds) => own
                .inner_join(v::table.on(v::tenant_id.eq(rl::tenant_id).and(v::id.eq(rl::from_id))))
                .filter(v::kind.eq_any(kinds.to_vec()))
                .filter(at(seq))
                .select(columns)
                .load(reader.conn())?,
        };
        for (from, requirement) in cited {
            all.cited.entry(from).or_default().push(requirement);
        }
        Ok(all)
    }
    /// The records that a member names.
    pub fn many(&self, id: Id, member: &str) -> Box<[Id]> {
        let links = self.links.get(&id).map(Vec::as_slice).unwrap_or_default();
        links
            .iter()
            .filter(|(of, _)| of == member)
            .map(|(_, to)| *to)
            .collect()
    }
    /// The requirements that a record cites.
    pub fn cited(&mut self, id: Id) -> Box<[String]> {
        self.cited.remove(&id).unwrap_or_default().into()
    }
    /// One text for all records that have the same.
    pub fn word(&mut self, word: String) -> Arc<str> {
        if let Some(known) = self.words.get(word.as_str()) {
            return known.clone();
        }
        let word: Arc<str> = word.into();
        self.words.insert(word.clone());
        word
    }
    /// What every record has.
    pub fn stub(&self, statuses: &[&'static str], row: Spine) -> Result<Stub> {
        let known = statuses.iter().find(|known| **known == row.status);
        let unknown = || Problem::internal(format!("no status `{}`", row.status));
        Ok(Stub {
            id: row.id,
            number: row.number,
            version: row.version,
            status: known.ok_or_else(unknown)?,
            due_on: row.due_on,
            review_due_on: row.review_due_on,
            archived: row.archived_at.is_some(),
            rank: row.rank,
            updated_at: row.updated_at,
            scopes: self.many(row.id, "scope_ids"),
        })
    }
    /// A score.
    pub fn scored(&mut self, (likelihood, impact, level): ScoreRow) -> Scored {
        Scored {
            likelihood,
            impact,
            level: level.map(|level| self.word(level)),
        }
    }
}

/// A score, as it is read.
pub type ScoreRow = (Option<i32>, Option<i32>, Option<String>);
