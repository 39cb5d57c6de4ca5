//! How applicability is decided and asked for (ISO/IEC 27001:2022 6.1.3 d): of one requirement, or
//! of several at once.
use crate::access::Actor;
use crate::core::catalogue::{self, Requirement};
use crate::core::{Id, Instant, Invalid, Problem, Result};
use crate::db::dialect::{at, same_version};
use crate::db::schema::{applicability as a, versions as v};
use crate::http::{Answer, Change, Guard, Read, RecordId, ViewQuery};
use crate::records::{Reader, Record, Resource, Selector, Tx};
use crate::registers::answers::{
    Answers, Asks, Said, Shown, answer_bodies, answered, batch, get, history, put,
};
use crate::registers::framework::asked;
use crate::registers::framework::catalogue_list::{self as shelf, Shelf};
use crate::registers::scope::Scope;
use crate::registers::soa::applicability::{Applicability, Reason};
use crate::registers::soa::contradiction::{self, ControlRef};
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use utoipa::{IntoParams, ToSchema};
use validator::Validate;

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
impl Shown for Decision {
    fn id(&self) -> Option<Id> {
        self.id
    }
    fn version(&self) -> (i32, Option<&Actor>) {
        (self.version, self.updated_by.as_ref())
    }
    fn followed(&self) -> Result<String> {
        let against = self.contradicted_by.iter();
        let against = against.map(|control| format!("{} {}", control.code, control.name));
        Ok(against.collect::<Vec<_>>().join("\n"))
    }
}
/// The decisions of a scope.
#[derive(Debug, Serialize, ToSchema)]
pub struct Decisions {
    /// In natural order, each requirement once.
    #[schema(max_items = 5000)]
    pub data: Vec<Decision>,
}

answer_bodies! {
    /// What a client decides.
    #[schema(example = json!({"applicable": false, "justification": "No premises of its own."}))]
    ApplicabilityInput,
    /// Several decisions at once.
    #[schema(example = json!({"items": [{"requirement": "iso-27001-2022:A.7.4",
        "applicable": false, "justification": "No premises of its own."}]}))]
    ApplicabilityBatch,
    /// One decision of a batch.
    ApplicabilityItem {
        /// Does it apply?
        applicable: bool,
        /// Why, or why not; needed where it does not apply.
        #[schema(max_length = 4000)]
        justification: Option<String>,
        /// What asks for it.
        #[serde(default, deserialize_with = "crate::core::text::or_default")]
        #[schema(max_items = 3)]
        reasons: Vec<Reason>,
    }
}
impl Said for ApplicabilityInput {
    /// What does not apply needs a justification.
    fn fault(&self, at: &str) -> Option<Invalid> {
        let words = "an exclusion requires a justification";
        let silent = self
            .justification
            .as_ref()
            .is_none_or(|text| text.trim().is_empty());
        (silent && !self.applicable)
            .then(|| Invalid::body(format!("{at}/justification"), "required", words))
    }
}

/// Its place is a scope.
impl Answers for Applicability {
    type Of = Scope;
    type Place = Id;
    type Read = Read<Applicability>;
    type Change = Change<Applicability>;
    type Said = ApplicabilityInput;
    type Several = ApplicabilityBatch;
    type Shown = Decision;

    fn open(
        reader: &mut Reader<'_>,
        of: &Selector,
        requirement: Option<&str>,
        _: bool,
    ) -> Result<Id> {
        requirement.map_or(Ok(()), |requirement| known(reader, requirement))?;
        reader.knows(&Applicability::KIND)?;
        Ok(reader.row::<Scope>(of, reader.moment.past())?.id)
    }
    fn change(
        tx: &mut Tx<'_, Change<Applicability>>,
        of: &Selector,
        requirement: Option<&str>,
    ) -> Result<Id> {
        Applicability::open(&mut tx.reader(), of, requirement, false)
    }
    fn standing(reader: &mut Reader<'_>, scope: &Id, only: Option<&str>) -> Result<Vec<i64>> {
        let own = a::tenant_id.eq(reader.tenant()).and(a::scope_id.eq(*scope));
        let standing = a::table.inner_join(same_version!(v, a)).filter(own);
        let mut standing = standing.filter(at(reader.moment.seq)).into_boxed();
        if let Some(requirement) = only {
            standing = standing.filter(a::requirement.eq(requirement.to_owned()));
        }
        Ok(standing.select(v::from_seq).load(reader.conn())?)
    }
    fn requirement(&self) -> &str {
        &self.requirement
    }
    fn shown(scope: &Id, requirement: &str, record: Option<&Record<Self>>) -> Decision {
        let (own, spine) = (
            record.map(|record| &record.own),
            record.map(|record| &record.spine),
        );
        Decision {
            id: spine.map(|spine| spine.id),
            code: spine.map(|spine| spine.code.clone()),
            scope_id: *scope,
            requirement: requirement.to_owned(),
            decided: record.is_some(),
            applicable: own.is_none_or(|own| own.applicable),
            justification: own.and_then(|own| own.justification.clone()),
            reasons: own.map(|own| own.reasons.clone()).unwrap_or_default(),
            contradicted_by: vec![],
            version: spine.map_or(0, |spine| spine.version),
            updated_at: spine.map(|spine| spine.updated_at),
            updated_by: spine.map(|spine| spine.updated_by.clone()),
        }
    }
    fn asked(_: &mut Reader<'_>, _: &Id, _: &str) -> Result<()> {
        Ok(())
    }
    fn all_asked<'p>(
        reader: &mut Reader<'_>,
        _: &'p Id,
        _: &'p BTreeMap<String, Decision>,
    ) -> Result<Asks<'p>> {
        let shelf = Shelf::open(reader)?;
        Ok(Box::new(move |id| {
            let found = shelf.requirement(id);
            found.is_some_and(|(framework, _, requirement)| framework.decides(requirement))
        }))
    }
    /// The controls that speak against what is excluded.
    fn follow(
        reader: &mut Reader<'_>,
        scope: &Id,
        decisions: &mut [Decision],
        _: bool,
    ) -> Result<()> {
        let excluded = || decisions.iter().filter(|decision| !decision.applicable);
        let requirements: Vec<&str> = excluded().map(|one| one.requirement.as_str()).collect();
        let mut against = contradiction::of(reader, *scope, &requirements)?;
        for decision in decisions.iter_mut().filter(|decision| !decision.applicable) {
            decision.contradicted_by = against.remove(&decision.requirement).unwrap_or_default();
        }
        Ok(())
    }
    fn record(
        scope: &Id,
        requirement: String,
        said: ApplicabilityInput,
    ) -> (Self, Map<String, Value>) {
        let mut reasons = said.reasons;
        reasons.sort_by_key(|reason| *reason as u8);
        reasons.dedup();
        let own = Applicability {
            requirement,
            applicable: said.applicable,
            justification: said.justification,
            reasons,
        };
        (
            own,
            Map::from_iter([("scope_ids".to_owned(), json!([scope]))]),
        )
    }
    fn list(data: Vec<Decision>) -> Result<Answer> {
        Answer::of(&Decisions { data })
    }
}

/// 404 unless it can be decided about.
fn known(reader: &mut Reader<'_>, requirement: &str) -> Result<()> {
    let caller = reader.caller().clone();
    let unknown = || {
        let mut detail = catalogue::no_requirement(requirement, &|slug| shelf::seen(&caller, slug));
        detail.replace_range(..1, "T");
        Problem::not_found().saying(detail)
    };
    let (slug, reference) = catalogue::parts(requirement).ok_or_else(unknown)?;
    let framework = shelf::framework(reader, slug)?;
    framework
        .requirement(reference)
        .filter(|found| framework.decides(found))
        .map(|_| ())
        .ok_or_else(unknown)
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
    at: RecordId,
    query: ViewQuery<ApplicabilityQuery>,
) -> Result<Answer> {
    let selector = at.of(&Scope::KIND)?;
    guard
        .view(query.as_of, move |reader| {
            let framework = asked(reader, query.own.framework.as_deref())?;
            let scope = Applicability::open(reader, &selector, None, false)?;
            let mut decided = answered::<Applicability>(reader, &scope, None)?;
            let decision = |requirement: &Requirement| {
                let decided = decided.remove(&requirement.id);
                decided.unwrap_or_else(|| Applicability::shown(&scope, &requirement.id, None))
            };
            let mut data: Vec<Decision> = framework.decidable().map(decision).collect();
            Applicability::follow(reader, &scope, &mut data, false)?;
            Applicability::list(data)
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
    api.get(
        "/v1/scopes/{id}/applicability/{requirement}",
        get::<Applicability>,
    )
    .id("getApplicability")
    .says(
        "Get whether a requirement applies to a scope",
        "Where nothing was decided: it \
            applies, and `version` is 0.",
    )
    .tag("applicability")
    .past()
    .answers::<Decision>("The decision.");
    let versions = "/v1/scopes/{id}/applicability/{requirement}/history";
    api.get(versions, history::<Applicability>)
        .id("listApplicabilityHistory")
        .says(
            "List the versions of a decision",
            "Who decided what and why, newest first; empty \
            where nothing was decided yet.",
        )
        .tag("applicability")
        .history()
        .shared("ArchivedToo");
    api.put(
        "/v1/scopes/{id}/applicability/{requirement}",
        put::<Applicability>,
    )
    .id("putApplicability")
    .says(
        "Decide whether a requirement applies to a scope",
        "Replaces the decision. The \
            first one is made with `If-Match: \"0\"` or `*`.",
    )
    .tag("applicability")
    .versioned("IfMatch")
    .body::<ApplicabilityInput>()
    .answers::<Decision>("The decision.");
    api.post(
        "/v1/scopes/{id}/applicability/batch",
        batch::<Applicability>,
    )
    .id("batchApplicability")
    .says(
        "Decide for several requirements of a scope",
        "All decisions are made, or none; \
            each is one entry of the ledger.",
    )
    .tag("applicability")
    .retried()
    .body::<ApplicabilityBatch>()
    .answers::<Decisions>("The decisions, in the same order.");
}
