//! What was decided about requirements, as statements are computed from it.
use crate::access::{Actor, actor::ActorKind};
use crate::core::{Id, Instant, Result};
use crate::db::among::among;
use crate::db::dialect::{at, same_version};
use crate::db::schema::{applicability as a, ledger_entries as e, versions as v};
use crate::records::model::{Changed, Model};
use crate::records::{Kind, Reader, Resource};
use crate::registers::soa::applicability::{Applicability, Reason};
use diesel::prelude::*;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// What a decision says.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// Does it apply?
    pub applicable: bool,
    /// Why, or why not.
    pub justification: Option<String>,
    /// What asks for it.
    pub reasons: Vec<Reason>,
    /// When it was decided so.
    pub at: Instant,
    /// By whom; the name is looked up by whoever shows it.
    pub by: Actor,
}

/// What was decided, by scope and requirement.
#[derive(Debug, Clone, Default)]
pub struct Verdicts {
    loaded: bool,
    all: BTreeMap<Id, BTreeMap<String, Verdict>>,
}

impl Verdicts {
    /// At the reader's moment.
    pub fn of(reader: &mut Reader<'_>) -> Result<Arc<Verdicts>> {
        reader.model::<Verdicts>(())
    }
    /// What was decided for a requirement of a scope.
    pub fn on(&self, scope: Id, requirement: &str) -> Option<&Verdict> {
        self.all.get(&scope)?.get(requirement)
    }
    /// What those who decided for a scope are called.
    pub fn names(&self, reader: &mut Reader<'_>, scope: Id) -> Result<HashMap<Id, String>> {
        let all = self.all.get(&scope).into_iter().flat_map(BTreeMap::values);
        let accounts = all.filter(|verdict| verdict.by.kind != ActorKind::System);
        reader.account_names(accounts.map(|verdict| verdict.by.id).collect())
    }
    fn read(&mut self, reader: &mut Reader<'_>, only: Option<&[Id]>) -> Result<()> {
        let (tenant, seq) = (reader.tenant(), reader.moment.seq);
        let standing = a::table
            .inner_join(same_version!(v, a))
            .inner_join(e::table.on(e::tenant_id.eq(v::tenant_id).and(e::seq.eq(v::from_seq))))
            .filter(
                v::tenant_id
                    .eq(tenant)
                    .and(v::kind.eq(Applicability::KIND.name)),
            )
            .filter(at(seq));
        type HasComment = (bool, Option<String>, String);
        type By = (ActorKind, Id, Option<Id>);
        type Found = ((Id, String), HasComment, (Instant, By));
        let columns = (
            (a::scope_id, a::requirement),
            (a::applicable, a::justification, a::reasons),
            (v::updated_at, (e::actor_kind, e::actor_id, e::person_id)),
        );
        let found: Vec<Found> = match only {
            None => standing.select(columns).load(reader.conn())?,
            Some(ids) => standing
                .filter(among(v::id, ids))
                .select(columns)
                .load(reader.conn())?,
        };
        for ((scope, requirement), (applicable, justification, reasons), by) in found {
            let (at, (kind, id, person_id)) = by;
            let name = match kind {
                ActorKind::System => Actor::system(tenant).name,
                _ => String::new(),
            };
            let verdict = Verdict {
                applicable,
                justification,
                reasons: reasons
                    .split(',')
                    .filter_map(|word| word.parse().ok())
                    .collect(),
                at,
                by: Actor {
                    kind,
                    id,
                    name,
                    person_id,
                },
            };
            self.all
                .entry(scope)
                .or_default()
                .insert(requirement, verdict);
        }
        Ok(())
    }
}

impl Model for Verdicts {
    type Want = ();
    fn concerns(kind: &Kind) -> bool {
        kind.name == Applicability::KIND.name
    }
    fn has(&self, (): ()) -> bool {
        self.loaded
    }
    fn bring(&mut self, reader: &mut Reader<'_>, (): (), changed: &[Changed]) -> Result<()> {
        if !self.loaded {
            self.loaded = true;
            return self.read(reader, None);
        }
        let ids: Vec<Id> = changed.iter().map(|changed| changed.id).collect();
        ids.chunks(500)
            .try_for_each(|some| self.read(reader, Some(some)))
    }
    fn rows(&self) -> usize {
        self.all.values().map(BTreeMap::len).sum()
    }
}
