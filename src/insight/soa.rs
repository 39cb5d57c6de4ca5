//! The statement of applicability (ISO/IEC 27001:2022 6.1.3 d): every Annex A control once, in natural order, with whether it applies and why,
//! how far it is implemented, and what proves it. Computed from what stands at a moment; one computation for JSON and CSV.
use super::format::as_csv;
use crate::core::catalogue::Requirement;
use crate::core::{Id, Result};
use crate::db::dialect::at;
use crate::db::schema::{controls as c, links as l, requirement_links as rl, versions as v};
use crate::http::describe::Refusals;
use crate::http::format::wants;
use crate::http::{Answer, At, Guard, Read, Then};
use crate::records::{Reader, Resource};
use crate::registers::r#do::applicability::{self, Applicability, Decision, Reason};
use crate::registers::r#do::control::Implementation as Stage;
use crate::registers::r#do::support::{self, Operation, Proof, Support};
use crate::registers::plan::scope::Scope;
use actix_web::{HttpRequest, get};
use diesel::prelude::*;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use utoipa::ToSchema;

/// Controls that an entry names; the rest are counted by the implementation alone.
const NAMED: usize = 200;

crate::vocabulary! {
    /// How far a requirement is met by the controls for it.
    pub enum ImplementationState { NotImplemented, Planned, PartiallyImplemented, Implemented }
}

/// A control in one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ControlRef {
    /// The control.
    pub id: Id,
    /// Its readable identifier.
    #[schema(max_length = 32)]
    pub code: String,
    /// What it is called.
    #[schema(max_length = 200)]
    pub name: String,
}

/// One requirement in the statement.
#[derive(Debug, Serialize, ToSchema)]
pub struct SoaEntry {
    /// The requirement.
    #[schema(max_length = 120)]
    pub requirement: String,
    /// Its short title.
    #[schema(max_length = 300)]
    pub title: String,
    /// The theme it belongs to.
    #[schema(required, max_length = 40)]
    pub theme: Option<String>,
    /// Does it apply?
    pub applicable: bool,
    /// Why, or why not.
    #[schema(required, max_length = 4000)]
    pub justification: Option<String>,
    /// What asks for it.
    #[schema(max_items = 3)]
    pub reasons: Vec<Reason>,
    /// Is it included without any reason?
    pub justification_missing: bool,
    /// How far it is; null where it does not apply.
    #[schema(required)]
    pub implementation: Option<ImplementationState>,
    /// Whether its controls work; null where it does not apply.
    #[schema(required)]
    pub operation: Option<Operation>,
    /// The controls that meet it, up to 200.
    #[schema(max_items = 200)]
    pub controls: Vec<ControlRef>,
    /// Risks whose present level rests on them.
    #[schema(minimum = 0)]
    pub risk_count: i64,
    /// The evidence behind its controls.
    pub evidence: Support,
}

/// A necessary control outside the framework.
#[derive(Debug, Serialize, ToSchema)]
pub struct OwnControl {
    /// The control.
    pub id: Id,
    /// Its readable identifier.
    #[schema(max_length = 32)]
    pub code: String,
    /// What it is called.
    #[schema(max_length = 200)]
    pub name: String,
    /// How far it is.
    pub implementation: ImplementationState,
    /// Whether it works.
    pub operation: Operation,
    /// The evidence behind it.
    pub evidence: Support,
}

/// The statement in numbers.
#[derive(Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct SoaSummary {
    /// Requirements that apply.
    #[schema(minimum = 0)]
    pub applicable: i64,
    /// Requirements that do not.
    #[schema(minimum = 0)]
    pub excluded: i64,
    /// Of those that apply.
    pub by_implementation: ByImplementation,
    /// Included without any reason.
    #[schema(minimum = 0)]
    pub justification_missing: i64,
}
/// Counts by implementation.
#[derive(Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct ByImplementation {
    /// No control, or none begun.
    #[schema(minimum = 0)]
    pub not_implemented: i64,
    /// Controls are planned.
    #[schema(minimum = 0)]
    pub planned: i64,
    /// Some controls are implemented.
    #[schema(minimum = 0)]
    pub partially_implemented: i64,
    /// All controls are implemented.
    #[schema(minimum = 0)]
    pub implemented: i64,
}

/// The statement of applicability of a scope.
#[derive(Debug, Serialize, ToSchema)]
pub struct StatementOfApplicability {
    /// The scope.
    pub scope_id: Id,
    /// The framework.
    #[schema(max_length = 64)]
    pub framework: String,
    /// Each requirement once, in natural order.
    #[schema(max_items = 5000)]
    pub entries: Vec<SoaEntry>,
    /// Necessary controls that meet no requirement of the framework.
    #[schema(max_items = 5000)]
    pub own_controls: Vec<OwnControl>,
    /// The statement in numbers.
    pub summary: SoaSummary,
}

/// A control as the statement needs it.
struct Standing {
    what: ControlRef,
    stage: Stage,
    requirements: Vec<String>,
}

/// Pure: how far the controls for a requirement are; what is retired does not count.
fn implementation(stages: impl Iterator<Item = Stage>) -> ImplementationState {
    let living: Vec<Stage> = stages.filter(|stage| *stage != Stage::Retired).collect();
    let done = living.iter().filter(|stage| **stage == Stage::Implemented).count();
    match (living.len(), done) {
        (0, _) => ImplementationState::NotImplemented,
        (all, done) if done == all => ImplementationState::Implemented,
        (_, 1..) => ImplementationState::PartiallyImplemented,
        _ => ImplementationState::Planned,
    }
}

/// Pure: whether a requirement's controls work: all that are implemented do, or some are stale, or none is proven.
fn operating(controls: &[(Stage, Support)]) -> Operation {
    let words: Vec<Operation> = controls
        .iter()
        .filter(|(stage, _)| *stage != Stage::Retired)
        .map(|(stage, proof)| support::operation(*stage == Stage::Implemented, proof))
        .collect();
    match () {
        () if !words.is_empty() && words.iter().all(|word| *word == Operation::Operating) => Operation::Operating,
        () if words.iter().any(|word| *word != Operation::Unproven) => Operation::Stale,
        () => Operation::Unproven,
    }
}

/// The statement at the reader's moment: as many queries whatever the size.
pub fn compute(reader: &mut Reader<'_>, scope: Id, framework: &crate::core::catalogue::Framework) -> Result<StatementOfApplicability> {
    let mut decided = applicability::decided(reader, scope, None)?;
    let controls = standing_controls(reader, scope)?;
    let behind = Behind::read(reader, scope)?;
    let risks = risks_by_control(reader)?;
    let mut by_requirement: BTreeMap<&str, Vec<&Standing>> = BTreeMap::new();
    controls.iter().for_each(|control| {
        control.requirements.iter().for_each(|requirement| by_requirement.entry(requirement).or_default().push(control))
    });
    let annex = || framework.decidable();
    let entries: Vec<SoaEntry> = annex()
        .map(|requirement| {
            let controls = by_requirement.get(requirement.id.as_str()).map(Vec::as_slice).unwrap_or_default();
            entry(requirement, decided.remove(&requirement.id).map(|(_, decision)| decision), controls, &behind, &risks)
        })
        .collect();
    let met: BTreeSet<&str> = annex().map(|requirement| requirement.id.as_str()).collect();
    let outside =
        controls.iter().filter(|control| control.stage != Stage::Retired && !control.requirements.iter().any(|r| met.contains(r.as_str())));
    let own = outside.map(|control| {
        let evidence = Support::of(behind.proofs(control).iter());
        let ControlRef { id, code, name } = control.what.clone();
        OwnControl {
            id,
            code,
            name,
            implementation: implementation([control.stage].into_iter()),
            operation: support::operation(control.stage == Stage::Implemented, &evidence),
            evidence,
        }
    });
    let summary = summary(&entries);
    Ok(StatementOfApplicability { scope_id: scope, framework: framework.slug.to_owned(), own_controls: own.collect(), entries, summary })
}

/// The evidence behind the statement.
struct Behind {
    by_control: BTreeMap<Id, Vec<Proof>>,
    by_requirement: BTreeMap<String, Vec<Proof>>,
}

impl Behind {
    /// Of the controls, and what names a requirement of this scope itself.
    fn read(reader: &mut Reader<'_>, scope: Id) -> Result<Self> {
        let elsewhere = super::overview::elsewhere(reader, "evidence", scope)?;
        let mut by_requirement = support::by_requirement(reader)?;
        by_requirement.values_mut().for_each(|proofs| proofs.retain(|proof| !elsewhere.contains(&proof.evidence)));
        Ok(Behind { by_control: support::proofs(reader, None)?, by_requirement })
    }
    fn proofs(&self, control: &Standing) -> &[Proof] {
        self.by_control.get(&control.what.id).map(Vec::as_slice).unwrap_or_default()
    }
    fn of(&self, requirement: &Requirement, controls: &[&Standing]) -> Support {
        let direct = self.by_requirement.get(&requirement.id).map(Vec::as_slice).unwrap_or_default();
        Support::of(controls.iter().flat_map(|control| self.proofs(control)).chain(direct))
    }
}

fn entry(
    requirement: &Requirement,
    decision: Option<Decision>,
    controls: &[&Standing],
    behind: &Behind,
    risks: &BTreeMap<Id, BTreeSet<Id>>,
) -> SoaEntry {
    let (applicable, justification, reasons) = decision.map_or((true, None, vec![]), |d| (d.applicable, d.justification, d.reasons));
    let resting: BTreeSet<Id> = controls.iter().filter_map(|control| risks.get(&control.what.id)).flatten().copied().collect();
    let working: Vec<(Stage, Support)> =
        controls.iter().map(|control| (control.stage, Support::of(behind.proofs(control).iter()))).collect();
    SoaEntry {
        requirement: requirement.id.clone(),
        title: requirement.title.clone(),
        theme: requirement.attributes.get("theme").and_then(|theme| theme.as_str()).map(str::to_owned),
        applicable,
        justification_missing: applicable && reasons.is_empty() && justification.as_deref().is_none_or(|text| text.trim().is_empty()),
        justification,
        reasons,
        implementation: applicable.then(|| implementation(controls.iter().map(|control| control.stage))),
        operation: applicable.then(|| operating(&working)),
        controls: controls.iter().take(NAMED).map(|control| control.what.clone()).collect(),
        risk_count: resting.len() as i64,
        evidence: behind.of(requirement, controls),
    }
}

/// Pure: the entries in numbers.
fn summary(entries: &[SoaEntry]) -> SoaSummary {
    let mut all = SoaSummary::default();
    for entry in entries {
        *(if entry.applicable { &mut all.applicable } else { &mut all.excluded }) += 1;
        all.justification_missing += i64::from(entry.justification_missing);
        let by = &mut all.by_implementation;
        match entry.implementation {
            Some(ImplementationState::NotImplemented) => by.not_implemented += 1,
            Some(ImplementationState::Planned) => by.planned += 1,
            Some(ImplementationState::PartiallyImplemented) => by.partially_implemented += 1,
            Some(ImplementationState::Implemented) => by.implemented += 1,
            None => {}
        }
    }
    all
}

/// The controls of a scope (its own, and those of the whole organization), in the order of their codes.
fn standing_controls(reader: &mut Reader<'_>, scope: Id) -> Result<Vec<Standing>> {
    let (tenant, seq) = (reader.tenant(), reader.moment.seq);
    let seen: BTreeSet<Id> =
        v::table.filter(reader.seen("control")).filter(v::archived_at.is_null()).select(v::id).load(reader.conn())?.into_iter().collect();
    let own = c::table.inner_join(v::table.on(v::tenant_id.eq(c::tenant_id).and(v::id.eq(c::id)).and(v::version.eq(c::version))));
    let own = own.filter(v::tenant_id.eq(tenant).and(v::kind.eq("control")).and(v::archived_at.is_null())).filter(at(seq));
    let rows: Vec<(Id, i64, String, Stage)> =
        own.order(v::number).select((v::id, v::number, v::name, c::implementation)).load(reader.conn())?;
    let elsewhere = super::overview::elsewhere(reader, "control", scope)?;
    let met = rl::table.inner_join(v::table.on(v::tenant_id.eq(rl::tenant_id).and(v::id.eq(rl::from_id))));
    let met = met.filter(rl::tenant_id.eq(tenant).and(rl::from_seq.le(seq)).and(rl::to_seq.gt(seq)));
    let met = met.filter(v::kind.eq("control")).filter(at(seq));
    let mut requirements: BTreeMap<Id, Vec<String>> = BTreeMap::new();
    for (id, requirement) in met.select((rl::from_id, rl::requirement)).load::<(Id, String)>(reader.conn())? {
        requirements.entry(id).or_default().push(requirement);
    }
    let standing = |(id, number, name, stage): (Id, i64, String, Stage)| Standing {
        what: ControlRef { id, code: format!("CTL-{number}"), name },
        stage,
        requirements: requirements.remove(&id).unwrap_or_default(),
    };
    Ok(rows.into_iter().filter(|(id, ..)| seen.contains(id) && !elsewhere.contains(id)).map(standing).collect())
}

/// Which risks rest on which controls.
fn risks_by_control(reader: &mut Reader<'_>) -> Result<BTreeMap<Id, BTreeSet<Id>>> {
    let (tenant, seq) = (reader.tenant(), reader.moment.seq);
    let seen: BTreeSet<Id> =
        v::table.filter(reader.seen("risk")).filter(v::archived_at.is_null()).select(v::id).load(reader.conn())?.into_iter().collect();
    let resting = l::table
        .filter(l::tenant_id.eq(tenant).and(l::relation.eq("existing_control_ids")).and(l::from_seq.le(seq)).and(l::to_seq.gt(seq)));
    let mut all: BTreeMap<Id, BTreeSet<Id>> = BTreeMap::new();
    for (risk, control) in resting.select((l::from_id, l::to_id)).load::<(Id, Id)>(reader.conn())? {
        if seen.contains(&risk) {
            all.entry(control).or_default().insert(risk);
        }
    }
    Ok(all)
}

/// Get the statement of applicability of a scope
///
/// Live, or as of a moment. `format=csv` (or `Accept: text/csv`) is the same computation, a row for each entry.
#[utoipa::path(operation_id = "getStatementOfApplicability", tag = "statement-of-applicability", security(("bearer" = [])),
    params(("id" = String, Path, description = "The scope: its id or its code.", max_length = 64), ("framework" = Option<String>, Query, description = "The framework; ISO/IEC 27001:2022 when absent.", max_length = 64),
        ("format" = inline(Option<crate::http::document::TableFormat>), Query, description = "`json` or `csv`."), crate::http::document::Past),
    responses((status = 200, description = "The statement.", content((StatementOfApplicability = "application/json"), (crate::http::document::Csv = "text/csv"))), crate::http::describe::Unchanged, Refusals, crate::http::describe::NoFormat))]
#[get("/v1/scopes/{id}/statement-of-applicability")]
pub async fn get_statement(guard: Guard<Read<Applicability>>, at: At, request: HttpRequest) -> Result<Answer> {
    let (then, selector) = (Then::read(&request, &["framework", "format"])?, at.of(&Scope::KIND)?);
    let csv = wants(&request, &then, "csv", "text/csv")?;
    guard
        .view_as(Some(if csv { "csv" } else { "json" }), then.as_of, move |reader| {
            let framework = crate::registers::r#do::framework::asked(reader, then.get("framework"))?;
            let scope = reader.row::<Scope>(&selector, reader.moment.past())?.id;
            let statement = compute(reader, scope, &framework)?;
            if csv { Ok(Answer::json(as_csv(&statement)?).as_media("text/csv; charset=utf-8")) } else { Answer::of(&statement) }
        })
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_far_a_requirement_is() {
        let of = |stages: &[Stage]| implementation(stages.iter().copied());
        assert_eq!(of(&[]), ImplementationState::NotImplemented);
        assert_eq!(of(&[Stage::Retired]), ImplementationState::NotImplemented);
        assert_eq!(of(&[Stage::Implemented, Stage::Retired]), ImplementationState::Implemented);
        assert_eq!(of(&[Stage::Implemented, Stage::Planned]), ImplementationState::PartiallyImplemented);
        assert_eq!(of(&[Stage::NotStarted, Stage::InProgress]), ImplementationState::Planned);
    }

    #[test]
    fn whether_it_works() {
        let proof = |current, expired| Support { current, expired, latest_collected_at: None };
        assert_eq!(operating(&[]), Operation::Unproven);
        assert_eq!(operating(&[(Stage::Implemented, proof(1, 0)), (Stage::Retired, proof(0, 0))]), Operation::Operating);
        assert_eq!(operating(&[(Stage::Implemented, proof(1, 0)), (Stage::Implemented, proof(0, 0))]), Operation::Stale);
        assert_eq!(operating(&[(Stage::Planned, proof(1, 0))]), Operation::Unproven);
    }
}
