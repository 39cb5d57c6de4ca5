//! Applicability (ISO/IEC 27001:2022 6.1.3 d): for each scope and requirement whether it applies,
//! and why. Kept like any record, found by its scope and requirement; where nothing is stored, it
//! applies (`version` 0).
use crate::access::{Actor, Limits, actor::ActorKind};
use crate::core::{Id, Instant, Problem, Result, catalogue};
use crate::db::among::among;
use crate::db::dialect::{at, same_version};
use crate::db::schema::{applicability, applicability as a, ledger_entries as e, versions as v};
use crate::http::{Answer, At, Guard, Read, ViewQuery, handlers::HistoryView};
use crate::records::columns::own;
use crate::records::limit::{self, Facts};
use crate::records::model::{Changed, Model};
use crate::records::record::etag;
use crate::records::{
    By, Condition, Kind, Limit, PERIOD, Reader, Record, Resource, SCOPED, Selector, Stateless,
    sight,
};
use crate::registers::scope::Scope;
use crate::registers::soa::contradiction;
use crate::registers::soa::contradiction::ControlRef;
use actix_web::web::Path;
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};
use validator::Validate;

crate::vocabulary! {
    /// Why a requirement applies, beside the risks that it treats.
    pub enum Reason { Law, Contract, Business }
}

/// One decision, as it is kept.
#[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Applicability {
    /// The requirement.
    #[schema(max_length = 120)]
    pub requirement: String,
    /// Does it apply?
    pub applicable: bool,
    /// Why, or why not.
    #[schema(max_length = 4000)]
    pub justification: Option<String>,
    /// What asks for it.
    #[serde(default)]
    #[schema(max_items = 3)]
    pub reasons: Vec<Reason>,
}

impl Resource for Applicability {
    const KIND: Kind = Kind {
        name: "applicability",
        path: "applicability",
        code: "APP",
        about: "Which requirements apply to a scope, and why (6.1.3 d).",
        limited_by: &[
            SCOPED,
            (
                Limit::Frameworks,
                By::Fact("the framework of its requirement", of_frameworks),
            ),
            PERIOD,
        ],
        counted: false,
        ..Kind::PLAIN
    };
    type State = Stateless;
    fn facts(record: &Record<Self>) -> Facts {
        Facts {
            frameworks: limit::frameworks_of([&record.own.requirement]),
            ..Facts::default()
        }
    }
    fn example() -> Value {
        json!({"name": "iso-27001-2022:A.7.4", "requirement": "iso-27001-2022:A.7.4",
            "applicable": false, "justification": "No premises of its own."})
    }
}

/// Decisions about requirements of these frameworks.
fn of_frameworks(limits: &Limits) -> Condition {
    let of_it = |slug: &String| {
        let within = a::requirement.like(sight::beginning(slug));
        own::<Applicability>(within.escape('\\'))
    };
    limits
        .framework_slugs
        .iter()
        .map(of_it)
        .reduce(sight::either)
        .unwrap_or_else(sight::nothing)
}

crate::columns! {
    applicability of Applicability as said {
        scope_id = said.links.many("scope_ids").first().unwrap_or(&said.spine.id),
        requirement,
        applicable,
        justification,
        reasons = said.own.reasons.iter().map(<&str>::from).collect::<Vec<_>>().join(","),
    }
}

/// Whether a requirement applies to a scope.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Applicability)]
pub struct Decision {
    /// The record, as the ledger names it; null where nothing was decided yet.
    #[schema(required)]
    pub id: Option<Id>,
    /// Its readable identifier; null where nothing was decided yet.
    #[schema(required, max_length = 32)]
    pub code: Option<String>,
    /// The scope.
    pub scope_id: Id,
    /// The requirement.
    #[schema(max_length = 120)]
    pub requirement: String,
    /// Was it decided? What was not applies until someone decides.
    pub decided: bool,
    /// Does it apply?
    pub applicable: bool,
    /// Why, or why not.
    #[schema(required, max_length = 4000)]
    pub justification: Option<String>,
    /// What asks for it.
    #[schema(max_items = 3)]
    pub reasons: Vec<Reason>,
    /// Where it is excluded: the controls that meet it and are implemented, or that risks or signed
    /// treatments rest on; up to 20. Decide again, or take the controls away.
    #[schema(max_items = 20)]
    pub contradicted_by: Vec<ControlRef>,
    /// Grows by one with each change; 0 where nothing was decided yet.
    #[schema(minimum = 0)]
    pub version: i32,
    /// When it was last changed.
    #[schema(required)]
    pub updated_at: Option<Instant>,
    /// By whom.
    #[schema(required)]
    pub updated_by: Option<Actor>,
}
impl Decision {
    /// As an answer; what speaks against it is in the tag.
    pub(crate) fn answer(&self) -> Result<Answer> {
        let names = crc32fast::hash(
            self.updated_by
                .as_ref()
                .map_or("", |by| by.name.as_str())
                .as_bytes(),
        );
        let against: Vec<String> = self
            .contradicted_by
            .iter()
            .map(|control| format!("{} {}", control.code, control.name))
            .collect();
        Ok(Answer::of(self)?.tagged(etag(self.version, names, &against.join("\n"))))
    }
}
/// The decisions of a scope.
#[derive(Debug, Serialize, ToSchema)]
pub struct Decisions {
    /// In natural order, each requirement once.
    #[schema(max_items = 5000)]
    pub data: Vec<Decision>,
}

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
        type Said = (Id, String, bool, Option<String>, String);
        type Found = (Said, (Instant, ActorKind, Id, Option<Id>));
        let columns = (
            (
                a::scope_id,
                a::requirement,
                a::applicable,
                a::justification,
                a::reasons,
            ),
            (v::updated_at, e::actor_kind, e::actor_id, e::person_id),
        );
        let found: Vec<Found> = match only {
            None => standing.select(columns).load(reader.conn())?,
            Some(ids) => standing
                .filter(among(v::id, ids))
                .select(columns)
                .load(reader.conn())?,
        };
        for ((scope, requirement, applicable, justification, reasons), by) in found {
            let (at, kind, id, person_id) = by;
            let name = match kind {
                ActorKind::System => Actor::system(tenant).name,
                _ => String::new(),
            };
            let by = Actor {
                kind,
                id,
                name,
                person_id,
            };
            let reasons = words(&reasons);
            let verdict = Verdict {
                applicable,
                justification,
                reasons,
                at,
                by,
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
    fn concerns(kind: &str) -> bool {
        kind == Applicability::KIND.name
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

fn words(reasons: &str) -> Vec<Reason> {
    reasons
        .split(',')
        .filter_map(|word| word.parse().ok())
        .collect()
}

/// What was decided for a scope, by requirement, at the reader's moment: two queries.
pub fn decided(
    reader: &mut Reader<'_>,
    scope: Id,
    only: Option<&str>,
) -> Result<BTreeMap<String, (Id, Decision)>> {
    let (tenant, seq) = (reader.tenant(), reader.moment.seq);
    let standing = a::table.inner_join(same_version!(v, a));
    let mut standing = standing
        .filter(a::tenant_id.eq(tenant).and(a::scope_id.eq(scope)))
        .filter(at(seq))
        .into_boxed();
    if let Some(requirement) = only {
        standing = standing.filter(a::requirement.eq(requirement.to_owned()));
    }
    let seqs: Vec<i64> = standing.select(v::from_seq).load(reader.conn())?;
    let records = reader.written::<Applicability>(&seqs)?;
    Ok(records
        .iter()
        .map(|record| {
            (
                record.own.requirement.clone(),
                (record.spine.id, shown(record, scope)),
            )
        })
        .collect())
}
/// With the controls that speak against what is excluded.
pub(crate) fn opposed<'d>(
    reader: &mut Reader<'_>,
    scope: Id,
    decisions: impl IntoIterator<Item = &'d mut Decision>,
) -> Result<()> {
    let mut excluded: Vec<&mut Decision> = decisions
        .into_iter()
        .filter(|decision| !decision.applicable)
        .collect();
    let requirements: Vec<&str> = excluded
        .iter()
        .map(|decision| decision.requirement.as_str())
        .collect();
    let mut against = contradiction::of(reader, scope, &requirements)?;
    for decision in &mut excluded {
        decision.contradicted_by = against.remove(&decision.requirement).unwrap_or_default();
    }
    Ok(())
}
/// As it is answered, but for what speaks against it.
pub(crate) fn shown(record: &Record<Applicability>, scope_id: Id) -> Decision {
    let (own, spine) = (record.own.clone(), &record.spine);
    Decision {
        id: Some(spine.id),
        code: Some(spine.code.clone()),
        decided: true,
        contradicted_by: vec![],
        scope_id,
        requirement: own.requirement,
        applicable: own.applicable,
        justification: own.justification,
        reasons: own.reasons,
        version: spine.version,
        updated_at: Some(spine.updated_at),
        updated_by: Some(spine.updated_by.clone()),
    }
}

fn default_of(scope_id: Id, requirement: &str) -> Decision {
    let requirement = requirement.to_owned();
    Decision {
        id: None,
        code: None,
        decided: false,
        contradicted_by: vec![],
        scope_id,
        requirement,
        applicable: true,
        justification: None,
        reasons: vec![],
        version: 0,
        updated_at: None,
        updated_by: None,
    }
}

/// 404 unless it can be decided about.
pub fn known(reader: &mut Reader<'_>, requirement: &str) -> Result<()> {
    let caller = reader.caller().clone();
    let unknown = || {
        let mut detail = catalogue::no_requirement(requirement, &|slug| {
            crate::registers::framework::catalogue_list::seen(&caller, slug)
        });
        detail.replace_range(..1, "T");
        Problem::not_found().saying(detail)
    };
    let (slug, reference) = catalogue::parts(requirement).ok_or_else(unknown)?;
    let framework = crate::registers::framework::catalogue_list::framework(reader, slug)?;
    framework
        .requirement(reference)
        .filter(|found| framework.decides(found))
        .map(|_| ())
        .ok_or_else(unknown)
}

/// The scope that is asked about.
pub fn scope_of(reader: &mut Reader<'_>, selector: &Selector) -> Result<Id> {
    reader.knows(&Applicability::KIND)?;
    reader
        .row::<Scope>(selector, reader.moment.past())
        .map(|row| row.id)
}

/// What can be asked of `listApplicability`.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ApplicabilityQuery {
    /// The framework.
    #[param(max_length = 64)]
    framework: Option<String>,
}

async fn list(
    guard: Guard<Read<Applicability>>,
    at: At,
    query: ViewQuery<ApplicabilityQuery>,
) -> Result<Answer> {
    let selector = at.of(&Scope::KIND)?;
    guard
        .view(query.as_of, move |reader| {
            let framework =
                crate::registers::framework::asked(reader, query.own.framework.as_deref())?;
            let scope = scope_of(reader, &selector)?;
            let mut decided = decided(reader, scope, None)?;
            let decision = |requirement: &catalogue::Requirement| {
                decided
                    .remove(&requirement.id)
                    .map_or_else(|| default_of(scope, &requirement.id), |(_, d)| d)
            };
            let mut data: Vec<Decision> = framework.decidable().map(decision).collect();
            opposed(reader, scope, &mut data)?;
            Answer::of(&Decisions { data })
        })
        .await
}

async fn get(
    guard: Guard<Read<Applicability>>,
    path: Path<(String, String)>,
    query: ViewQuery,
) -> Result<Answer> {
    let (id, requirement) = path.into_inner();
    let selector = Selector::parse(&id, Scope::KIND.name).ok_or_else(Problem::not_found)?;
    guard
        .read(query.as_of, move |reader| {
            known(reader, &requirement)?;
            let scope = scope_of(reader, &selector)?;
            let stored = decided(reader, scope, Some(&requirement))?.remove(&requirement);
            let mut decision =
                stored.map_or_else(|| default_of(scope, &requirement), |(_, decision)| decision);
            opposed(reader, scope, [&mut decision])?;
            Ok(decision.answer()?.at(reader.moment.last))
        })
        .await
}

async fn past(
    guard: Guard<Read<Applicability>>,
    path: Path<(String, String)>,
    query: HistoryView,
) -> Result<Answer> {
    let (id, requirement) = path.into_inner();
    let selector = Selector::parse(&id, Scope::KIND.name).ok_or_else(Problem::not_found)?;
    guard
        .view(query.as_of, move |reader| {
            known(reader, &requirement)?;
            let scope = scope_of(reader, &selector)?;
            let stored = decided(reader, scope, Some(&requirement))?.remove(&requirement);
            let stored = stored.map(|(id, _)| Selector::Id(id));
            Answer::of(&query.history::<Applicability>(reader, stored.as_ref())?)
        })
        .await
}

/// Mounts what stands under scopes.
pub fn mount(api: &mut crate::http::Api<'_>) {
    api.get("/v1/scopes/{id}/applicability", list)
        .id("listApplicability")
        .says(
            "List what applies to a scope",
            "Every Annex A control (of other frameworks \
            whatever is asked for by itself), in natural order; where nothing was decided, it \
            applies.",
        )
        .tag("applicability")
        .past()
        .query::<ApplicabilityQuery>()
        .answers::<Decisions>("The decisions.");
    api.get("/v1/scopes/{id}/applicability/{requirement}", get)
        .id("getApplicability")
        .says(
            "Get whether a requirement applies to a scope",
            "Where nothing was decided: it \
            applies, and `version` is 0.",
        )
        .tag("applicability")
        .past()
        .answers::<Decision>("The decision.");
    api.get("/v1/scopes/{id}/applicability/{requirement}/history", past)
        .id("listApplicabilityHistory")
        .says(
            "List the versions of a decision",
            "Who decided what and why, newest first; empty \
            where nothing was decided yet.",
        )
        .tag("applicability")
        .history()
        .shared("ArchivedToo");
    super::decide::mount(api);
}
