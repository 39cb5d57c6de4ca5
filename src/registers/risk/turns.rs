//! Every version of every risk, in the order of the ledger: what the trend is counted from.
//! Versions do not change, so this model only grows.
use super::matrix::MatrixStage;
use crate::core::{Id, Instant, Result};
use crate::db::dialect::same_version;
use crate::db::schema::{risks as r, versions as v};
use crate::records::model::{Changed, Model};
use crate::records::{Kind, Reader, Resource};
use crate::registers::risk::Risk;
use diesel::prelude::*;
use std::collections::HashMap;
use std::sync::Arc;

/// A version of a risk.
#[derive(Debug, Clone)]
pub struct Turn {
    /// Its risk, as a place among all.
    pub risk: usize,
    /// The position that wrote it.
    pub seq: i64,
    /// When.
    pub at: Instant,
    /// Was the risk open, and in the lists?
    pub open: bool,
    /// Did the present level meet the acceptance criteria?
    pub acceptable: Option<bool>,
    levels: [Option<Arc<str>>; 3],
}
impl Turn {
    /// The level at this stage.
    pub fn level(&self, stage: MatrixStage) -> Option<&str> {
        let place = match stage {
            MatrixStage::Inherent => 0,
            MatrixStage::Current => 1,
            MatrixStage::Residual => 2,
        };
        self.levels.get(place)?.as_deref()
    }
}

/// All versions.
#[derive(Debug, Clone, Default)]
pub struct Turns {
    loaded: bool,
    /// The last position that was read.
    last: i64,
    all: Vec<Turn>,
    risks: Vec<Id>,
    places: HashMap<Id, usize>,
    words: HashMap<String, Arc<str>>,
}

impl Turns {
    /// Up to the reader's moment.
    pub fn of(reader: &mut Reader<'_>) -> Result<Arc<Turns>> {
        reader.model::<Turns>(())
    }
    /// In the order of the ledger.
    pub fn iter(&self) -> std::slice::Iter<'_, Turn> {
        self.all.iter()
    }
    /// How many risks they are of.
    pub fn risks(&self) -> usize {
        self.risks.len()
    }
    /// These risks, by their places.
    pub fn ids(&self) -> impl Iterator<Item = Id> {
        self.risks.iter().copied()
    }
    pub(super) fn add(
        &mut self,
        id: Id,
        (seq, at, open, acceptable): (i64, Instant, bool, Option<bool>),
        levels: [Option<String>; 3],
    ) {
        let next = self.risks.len();
        let risk = *self.places.entry(id).or_insert(next);
        if risk == next {
            self.risks.push(id);
        }
        let mut word = |word: Option<String>| {
            let word = word?;
            let known = self
                .words
                .entry(word)
                .or_insert_with_key(|word| word.as_str().into());
            Some(known.clone())
        };
        let levels = levels.map(&mut word);
        self.all.push(Turn {
            risk,
            seq,
            at,
            open,
            acceptable,
            levels,
        });
    }
}

impl Model for Turns {
    type Want = ();
    fn concerns(kind: &Kind) -> bool {
        kind.name == Risk::KIND.name
    }
    fn has(&self, (): ()) -> bool {
        self.loaded
    }
    fn bring(&mut self, reader: &mut Reader<'_>, (): (), changed: &[Changed]) -> Result<()> {
        let (tenant, seq) = (reader.tenant(), reader.moment.seq);
        let own = r::table
            .inner_join(same_version!(v, r))
            .filter(r::tenant_id.eq(tenant));
        let columns = (
            (
                v::id,
                v::from_seq,
                v::updated_at,
                v::status.eq("open"),
                v::archived_at.is_null(),
            ),
            (
                r::inherent_level,
                r::current_level,
                r::residual_level,
                r::current_acceptable,
            ),
        );
        type Spine = (Id, i64, Instant, bool, bool);
        type Levels = (Option<String>, Option<String>, Option<String>, Option<bool>);
        let mut found: Vec<(Spine, Levels)> = if self.loaded {
            let ids: Vec<Id> = changed.iter().map(|changed| changed.id).collect();
            let mut found = Vec::new();
            for some in ids.chunks(500) {
                let newer = own.filter(r::id.eq_any(some.to_vec())).select(columns);
                found.extend(newer.load(reader.conn())?);
            }
            found
        } else {
            own.select(columns).load(reader.conn())?
        };
        found.retain(|((_, from, ..), _)| *from <= seq && (!self.loaded || *from > self.last));
        found.sort_by_key(|((_, from, ..), _)| *from);
        for ((id, from, at, open, listed), (inherent, current, residual, acceptable)) in found {
            self.last = self.last.max(from);
            self.add(
                id,
                (from, at, open && listed, acceptable),
                [inherent, current, residual],
            );
        }
        self.loaded = true;
        Ok(())
    }
    fn rows(&self) -> usize {
        self.all.len()
    }
}
