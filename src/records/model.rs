//! Read models: what views ask of an organization, kept in memory as of a position of its ledger
//! and brought forward by what was written since. A view is a function of models, so that after a
//! write it costs what was written, not what there is.
pub use super::models::{Changed, Models};
use super::models::{ROWS, locked};
use super::{Kind, Reader};
use crate::core::{Id, Result};
use crate::db::schema::versions as v;
use diesel::prelude::*;
use std::any::{Any, TypeId};
use std::sync::Arc;

/// A part of an organization's state that views are made of.
pub trait Model: Clone + Default + Send + Sync + 'static {
    /// Which parts of it a view asks for.
    type Want: Copy;
    /// Does a record of this kind change it?
    fn concerns(kind: &Kind) -> bool;
    /// Is all that is wanted loaded?
    fn has(&self, want: Self::Want) -> bool;
    /// Loads what is wanted and missing, and reads again what changed.
    fn bring(
        &mut self,
        reader: &mut Reader<'_>,
        want: Self::Want,
        changed: &[Changed],
    ) -> Result<()>;
    /// How many rows it holds: the measure of what may be kept.
    fn rows(&self) -> usize;
}

/// More changes than this are not followed: the model is loaded anew.
const FOLLOWED: i64 = 2_000;

impl Reader<'_> {
    /// The model at this reader's moment. What is asked of the past, or inside a write, is loaded
    /// for it alone.
    pub fn model<M: Model>(&mut self, want: M::Want) -> Result<Arc<M>> {
        let models = self.models.clone();
        match models.filter(|_| !self.moment.past() && !self.writes) {
            Some(models) => self.kept(&models, want),
            None => self.fresh(want),
        }
    }
    fn fresh<M: Model>(&mut self, want: M::Want) -> Result<Arc<M>> {
        let mut model = M::default();
        model.bring(self, want, &[])?;
        Ok(Arc::new(model))
    }
    fn kept<M: Model>(&mut self, models: &Models, want: M::Want) -> Result<Arc<M>> {
        let (tenant, last) = (self.tenant(), self.moment.last);
        let slot = models.slot(tenant, TypeId::of::<M>());
        let mut held = locked(&slot);
        if held.model.is_some() && held.seq > last {
            // Another reader has seen more already; this one's snapshot has to be of one position.
            drop(held);
            return self.fresh(want);
        }
        // Where something fails below, the slot stays empty, and the next reader loads it anew.
        let known = held
            .model
            .take()
            .and_then(|model| model.downcast::<M>().ok());
        let changed = match known {
            Some(_) if held.seq < last => self.changed(held.seq, M::concerns)?,
            _ => Some(vec![]),
        };
        let (mut model, changed) = match (known, changed) {
            (Some(model), Some(changed)) => (model, changed),
            _ => (Arc::new(M::default()), vec![]),
        };
        if !changed.is_empty() || !model.has(want) {
            Arc::make_mut(&mut model).bring(self, want, &changed)?;
        }
        // One that is too large to be kept takes no room from the others.
        let rows = Some(model.rows()).filter(|rows| *rows <= ROWS);
        let grown = rows.is_some_and(|rows| rows > held.rows);
        (held.seq, held.rows) = (last, rows.unwrap_or_default());
        held.model = rows.map(|_| model.clone() as Arc<dyn Any + Send + Sync>);
        drop(held);
        if grown {
            models.fit(tenant);
        }
        Ok(model)
    }
    /// The records that were written behind a position, each once; `None` where there are too many
    /// to follow. Several models of one view ask the same.
    fn changed(&mut self, after: i64, concerns: fn(&Kind) -> bool) -> Result<Option<Vec<Changed>>> {
        let known = self.behind.clone().filter(|(of, _)| *of == after);
        let all: Arc<[Changed]> = match known {
            Some((_, all)) => all,
            None => {
                let since = v::table
                    .filter(v::tenant_id.eq(self.tenant()))
                    .filter(v::from_seq.gt(after).and(v::from_seq.le(self.moment.last)))
                    .limit(FOLLOWED + 1);
                let found: Vec<(Id, String)> = since.select((v::id, v::kind)).load(self.conn)?;
                let changed = |(id, kind): (Id, String)| Changed {
                    id,
                    kind: self.kinds.or_plain(&kind),
                };
                found.into_iter().map(changed).collect()
            }
        };
        self.behind = Some((after, all.clone()));
        if all.len() as i64 > FOLLOWED {
            return Ok(None);
        }
        let mut some: Vec<Changed> = all
            .iter()
            .filter(|changed| concerns(changed.kind))
            .cloned()
            .collect();
        some.sort_by_key(|changed| changed.id);
        some.dedup_by_key(|changed| changed.id);
        Ok(Some(some))
    }
}
