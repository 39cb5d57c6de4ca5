//! The risk treatment plan (ISO/IEC 27001:2022 6.1.3 e, 8.3): each open risk above the acceptance
//! criteria, or with a treatment under way, and what is done about it, by whom, until when, and
//! signed by whom. One computation for JSON and CSV, at any moment.
use crate::core::{Id, Instant, Problem, Result};
use crate::db::among::among;
use crate::db::dialect::{at, body_of};
use crate::db::schema::versions as v;
use crate::http::format::{table, texts};
use crate::http::{Answer, Guard, Read, ViewQuery};
use crate::records::{Reader, Record, Resource, reader::Ref};
use crate::registers::facts::{Fact, Facts, Part, RiskFact, Seen, TreatmentFact};
use crate::registers::framework::catalogue_list::{Page, Walk};
use crate::registers::risk;
use crate::registers::risk::{Evaluation, Risk, RiskScore};
use crate::registers::scope::{Cut, ScopeRef};
use crate::registers::soa::ControlRef;
use crate::registers::treatment::lapse;
use crate::registers::treatment::lapse::{Acceptance, Lapse};
use crate::registers::treatment::standing;
use crate::registers::treatment::{
    Capacity, ExpectedRisk, LapseReason, RiskTreatment, Signature, TreatmentOption,
};
use chrono::NaiveDate;
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use utoipa::{IntoParams, ToSchema};

/// Someone who answers for something.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct PlanOwner {
    /// The person.
    pub id: Id,
    /// What they are called; null where the caller does not see people.
    #[schema(required, max_length = 200)]
    pub name: Option<String>,
}

/// A signature in the plan.
#[derive(Debug, Serialize, ToSchema)]
pub struct PlanSignature {
    /// The person who signed.
    #[schema(required)]
    pub signed_by: Option<PlanOwner>,
    /// As what.
    pub capacity: Capacity,
    /// When.
    pub at: Instant,
    /// The treatment's version that was signed.
    #[schema(minimum = 1)]
    pub version: i32,
}

/// A treatment in the plan.
#[derive(Debug, Serialize, ToSchema)]
pub struct PlannedTreatment {
    /// The treatment.
    pub id: Id,
    /// Its readable identifier.
    #[schema(max_length = 32)]
    pub code: String,
    /// What it is called.
    #[schema(max_length = 200)]
    pub name: String,
    /// What is done about the risk.
    pub option: TreatmentOption,
    /// Where it is in its life.
    #[schema(max_length = 64)]
    pub status: String,
    /// Who answers for it.
    #[schema(required)]
    pub owner: Option<PlanOwner>,
    /// What is to be done.
    #[schema(required, max_length = 10000)]
    pub plan: Option<String>,
    /// The controls that it applies.
    #[schema(max_items = 1000)]
    pub controls: Vec<ControlRef>,
    /// What it costs.
    #[schema(required, minimum = 0)]
    pub cost: Option<i64>,
    /// The day by which it has to be done.
    #[schema(required)]
    pub due_on: Option<NaiveDate>,
    /// Is that day over, and it is not done?
    pub overdue: bool,
    /// What the risk is expected to be afterwards.
    #[schema(required)]
    pub expected: Option<ExpectedRisk>,
    /// The level of that, once it was submitted.
    #[schema(required, max_length = 32)]
    pub expected_level: Option<String>,
    /// The signatures that were given.
    #[schema(max_items = 2)]
    pub signatures: Vec<PlanSignature>,
    /// The last day of an acceptance.
    #[schema(required)]
    pub expires_on: Option<NaiveDate>,
    /// The day on which an acceptance ceased to hold.
    #[schema(required)]
    pub lapsed_on: Option<NaiveDate>,
    /// Why.
    #[schema(required)]
    pub lapse_reason: Option<LapseReason>,
}

/// A risk in the plan, with what is done about it.
#[derive(Debug, Serialize, ToSchema)]
pub struct TreatmentPlanEntry {
    /// The risk.
    pub risk_id: Id,
    /// Its readable identifier.
    #[schema(max_length = 32)]
    pub code: String,
    /// What it is called.
    #[schema(max_length = 200)]
    pub name: String,
    /// Who answers for it.
    #[schema(required)]
    pub owner: Option<PlanOwner>,
    /// Its score with the controls that are in place.
    #[schema(required)]
    pub current: Option<RiskScore>,
    /// What that asks for.
    pub evaluation: Evaluation,
    /// What is done about it, in the order of codes; what was cancelled is left out.
    #[schema(max_items = 10000)]
    pub treatments: Vec<PlannedTreatment>,
}

/// The plan in numbers.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct TreatmentPlanSummary {
    /// Risks in the plan.
    #[schema(minimum = 0)]
    pub risks: i64,
    /// Of those, without any treatment that was not cancelled.
    #[schema(minimum = 0)]
    pub untreated: i64,
    /// Treatments past their due day and not done.
    #[schema(minimum = 0)]
    pub overdue: i64,
    /// Acceptances that hold no more.
    #[schema(minimum = 0)]
    pub lapsed: i64,
}

/// The risk treatment plan.
#[derive(Debug, Serialize, ToSchema)]
pub struct RiskTreatmentPlan {
    /// Worst risks first, then by code.
    #[schema(max_items = 200)]
    pub entries: Vec<TreatmentPlanEntry>,
    /// The whole plan in numbers.
    pub summary: TreatmentPlanSummary,
    /// Ask with it for the next page; null on the last.
    #[schema(required, max_length = 2000)]
    pub next_cursor: Option<String>,
    /// Is there a next page?
    pub has_more: bool,
}

/// What can be asked of `getRiskTreatmentPlan`.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct RiskTreatmentPlanQuery {
    /// Only risks of this scope and of the whole organization: id or code.
    #[param(inline)]
    scope_id: Option<ScopeRef>,
}

async fn get_plan(
    guard: Guard<Read<RiskTreatment>>,
    query: ViewQuery<RiskTreatmentPlanQuery>,
) -> Result<Answer> {
    let csv = query.wants("csv", "text/csv")?;
    if csv {
        let fault = "the table has the whole plan; remove this parameter";
        query.whole(&["limit", "cursor"], "invalid_parameter", fault)?;
    }
    let (walk, cut) = (Walk::read(&query)?, Cut(query.own.scope_id));
    guard
        .view_as(
            Some(if csv { "csv" } else { "json" }),
            query.as_of,
            move |reader| {
                let scope = cut.scope(reader)?;
                let plan = compute(reader, scope, (!csv).then_some(&walk))?;
                if csv {
                    Ok(Answer::json(as_csv(&plan)?).as_media("text/csv; charset=utf-8"))
                } else {
                    Answer::of(&plan)
                }
            },
        )
        .await
}

/// A page of the plan at the reader's moment, or all of it: as many queries whatever its size.
fn compute(
    reader: &mut Reader<'_>,
    scope: Option<Id>,
    walk: Option<&Walk>,
) -> Result<RiskTreatmentPlan> {
    let facts = Facts::of(reader, &[Part::Risks, Part::Treatments])?;
    let (seen, treatments_seen) = (
        Seen::of(reader, Risk::KIND.name)?,
        Seen::of(reader, RiskTreatment::KIND.name)?,
    );
    let mut planned: BTreeMap<Id, Vec<&Fact<TreatmentFact>>> = BTreeMap::new();
    for one in facts.treatments.iter() {
        let stub = &one.stub;
        if !stub.archived && stub.status != "cancelled" && treatments_seen.has(stub.id) {
            planned.entry(one.own.risk).or_default().push(one);
        }
    }
    let moving = |one: &&Fact<TreatmentFact>| {
        ["in_review", "approved", "in_progress"].contains(&one.stub.status)
    };
    let treated = |id: Id| planned.get(&id).map(Vec::as_slice).unwrap_or_default();
    let here = facts.risks.iter().filter(|risk| {
        let stub = &risk.stub;
        stub.status == "open" && !stub.archived && stub.within(scope) && seen.has(stub.id)
    });
    let mut risks: Vec<&Fact<RiskFact>> = here
        .filter(|risk| {
            risk.own.acceptable == Some(false) || treated(risk.stub.id).iter().any(moving)
        })
        .collect();
    risks.sort_by_key(|risk| (Reverse(risk.stub.rank), risk.stub.number));
    let all = || risks.iter().flat_map(|risk| treated(risk.stub.id));
    let accepted: Vec<Acceptance> = all().filter_map(|one| Acceptance::of_fact(one)).collect();
    let lapsed = lapse::of(reader, &accepted)?;
    let today = reader.today;
    let late = |one: &&&Fact<TreatmentFact>| {
        one.stub.due_on.is_some_and(|due| due < today)
            && !RiskTreatment::KIND.finished(one.stub.status)
    };
    let summary = TreatmentPlanSummary {
        risks: risks.len() as i64,
        untreated: risks
            .iter()
            .filter(|risk| treated(risk.stub.id).is_empty())
            .count() as i64,
        overdue: all().filter(late).count() as i64,
        lapsed: lapsed.len() as i64,
    };
    let page = match walk {
        Some(walk) => walk.behind(risks.iter(), |risk| place(risk)),
        None => Page {
            data: risks.iter().collect(),
            next_cursor: None,
            link: None,
            has_more: false,
        },
    };
    let ids: Vec<Id> = page.data.iter().map(|risk| risk.stub.id).collect();
    let mut under: Vec<&Fact<TreatmentFact>> =
        ids.iter().flat_map(|id| treated(*id)).copied().collect();
    under.sort_by_key(|one| one.stub.number);
    let under: Vec<Id> = under.iter().map(|one| one.stub.id).collect();
    let (mut risks, mut written) = (
        records::<Risk>(reader, &ids)?,
        records::<RiskTreatment>(reader, &under)?,
    );
    let mut treatments: BTreeMap<Id, Vec<Record<RiskTreatment>>> = BTreeMap::new();
    for one in under.iter().filter_map(|id| written.remove(id)) {
        let risk = one.links.one("risk_id");
        let risk = risk.ok_or_else(|| Problem::internal("a treatment without a risk"))?;
        treatments.entry(risk).or_default().push(one);
    }
    let stands = standing::of_risks(reader, &ids)?;
    let refs = named(reader, risks.values(), &treatments)?;
    let entry = |id: &Id| {
        let risk = risks.remove(id)?;
        let planned = treatments
            .remove(id)
            .unwrap_or_default()
            .into_iter()
            .map(|one| self::planned(one, &refs, &lapsed, today));
        Some(TreatmentPlanEntry {
            risk_id: *id,
            code: risk.spine.code,
            name: risk.common.name,
            owner: owner(risk.links.one("owner_id"), &refs),
            evaluation: risk::evaluation(
                risk.state.current.as_ref().map(|score| score.acceptable),
                stands.get(id).copied().unwrap_or_default(),
            ),
            current: risk.state.current,
            treatments: planned.collect(),
        })
    };
    Ok(RiskTreatmentPlan {
        entries: ids.iter().filter_map(entry).collect(),
        summary,
        next_cursor: page.next_cursor,
        has_more: page.has_more,
    })
}

/// Where a risk stands in the plan: a text that rises along it.
fn place(risk: &Fact<RiskFact>) -> String {
    let rank = i64::from(risk.stub.rank.unwrap_or(i32::MIN));
    format!(
        "{:010}.{:019}",
        i64::from(i32::MAX) - rank,
        risk.stub.number
    )
}

/// These records, with their images.
fn records<R: Resource>(reader: &mut Reader<'_>, ids: &[Id]) -> Result<BTreeMap<Id, Record<R>>> {
    let mut all = BTreeMap::new();
    for some in ids.chunks(500) {
        let of = v::table
            .filter(v::tenant_id.eq(reader.tenant()))
            .filter(at(reader.moment.seq))
            .filter(among(v::id, some))
            .select((v::id, v::schema, body_of()));
        let mut rows: Vec<(Id, i16, String)> = of.load(reader.conn())?;
        reader.name_actors(&mut rows.iter_mut().map(|row| &mut row.2).collect::<Vec<_>>())?;
        for (id, schema, body) in rows {
            all.insert(id, Record::of_image(schema, &body, None)?);
        }
    }
    Ok(all)
}

type Refs = BTreeMap<Id, Ref>;

/// What the people and controls of the plan are called.
fn named<'r>(
    reader: &mut Reader<'_>,
    risks: impl Iterator<Item = &'r Record<Risk>>,
    treatments: &BTreeMap<Id, Vec<Record<RiskTreatment>>>,
) -> Result<Refs> {
    let mut ids: Vec<Id> = risks
        .filter_map(|risk| risk.links.one("owner_id"))
        .collect();
    for one in treatments.values().flatten() {
        ids.extend(one.links.one("owner_id"));
        ids.extend(one.links.many("control_ids"));
        ids.extend(
            one.state
                .signatures
                .iter()
                .filter_map(|given| given.person.person_id),
        );
    }
    ids.sort();
    ids.dedup();
    Ok(reader.refs(&ids)?.into_iter().collect())
}

fn owner(id: Option<Id>, refs: &Refs) -> Option<PlanOwner> {
    id.map(|id| PlanOwner {
        id,
        name: refs.get(&id).map(|person| person.name.clone()),
    })
}

fn signature(given: Signature, refs: &Refs) -> PlanSignature {
    let Signature {
        person,
        capacity,
        at,
        version,
    } = given;
    PlanSignature {
        signed_by: owner(person.person_id, refs),
        capacity,
        at,
        version,
    }
}

fn planned(
    one: Record<RiskTreatment>,
    refs: &Refs,
    lapsed: &BTreeMap<Id, Lapse>,
    today: NaiveDate,
) -> PlannedTreatment {
    let control = |id: &Id| {
        refs.get(id).map(|found| ControlRef {
            id: *id,
            code: found.code.clone(),
            name: found.name.clone(),
        })
    };
    let lapse = lapsed.get(&one.spine.id);
    PlannedTreatment {
        id: one.spine.id,
        owner: owner(one.links.one("owner_id"), refs),
        controls: one
            .links
            .many("control_ids")
            .iter()
            .filter_map(control)
            .collect(),
        overdue: one.common.due_on.is_some_and(|due| due < today)
            && !RiskTreatment::KIND.finished(&one.spine.status),
        code: one.spine.code,
        name: one.common.name,
        status: one.spine.status,
        due_on: one.common.due_on,
        option: one.own.option,
        plan: one.own.plan,
        cost: one.own.cost,
        expected: one.own.expected,
        expected_level: one.state.basis.map(|basis| basis.score.level),
        signatures: one
            .state
            .signatures
            .into_iter()
            .map(|given| signature(given, refs))
            .collect(),
        expires_on: one.own.expires_on,
        lapsed_on: lapse.map(|lapse| lapse.on),
        lapse_reason: lapse.map(|lapse| lapse.reason),
    }
}

const COLUMNS: [&str; 26] = [
    "risk",
    "risk_name",
    "risk_owner",
    "current_likelihood",
    "current_impact",
    "current_level",
    "evaluation",
    "treatment",
    "treatment_name",
    "option",
    "status",
    "owner",
    "plan",
    "controls",
    "cost",
    "due_on",
    "overdue",
    "expected_likelihood",
    "expected_impact",
    "expected_level",
    "signed_by_owner",
    "signed_by_owner_at",
    "signed_with_authority",
    "signed_with_authority_at",
    "expires_on",
    "lapse",
];

/// A row for each risk and treatment; a risk without one has a row of its own.
fn as_csv(plan: &RiskTreatmentPlan) -> Result<String> {
    let mut all = vec![texts(COLUMNS)];
    for entry in &plan.entries {
        let rows: Vec<Option<&PlannedTreatment>> = if entry.treatments.is_empty() {
            vec![None]
        } else {
            entry.treatments.iter().map(Some).collect()
        };
        for one in rows {
            all.push(texts(of_risk(entry).into_iter().chain(of_treatment(one))));
        }
    }
    String::from_utf8(table(all)?).map_err(Problem::internal)
}

fn text(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}
fn called(owner: Option<&PlanOwner>) -> String {
    owner
        .and_then(|owner| owner.name.clone())
        .unwrap_or_default()
}

fn of_risk(entry: &TreatmentPlanEntry) -> Vec<String> {
    let score = entry.current.as_ref();
    let scored = [
        text(score.map(|s| s.likelihood)),
        text(score.map(|s| s.impact)),
        text(score.map(|s| s.level.as_str())),
    ];
    let [likelihood, impact, level] = scored;
    let evaluation = <&str>::from(entry.evaluation).to_owned();
    vec![
        entry.code.clone(),
        entry.name.clone(),
        called(entry.owner.as_ref()),
        likelihood,
        impact,
        level,
        evaluation,
    ]
}

fn of_treatment(one: Option<&PlannedTreatment>) -> Vec<String> {
    let Some(one) = one else {
        return vec![String::new(); COLUMNS.len() - 7];
    };
    let signed = |capacity| {
        one.signatures
            .iter()
            .find(move |given| given.capacity == capacity)
    };
    let signature = |given: Option<&PlanSignature>| {
        [
            called(given.and_then(|given| given.signed_by.as_ref())),
            text(given.map(|given| given.at)),
        ]
    };
    use Capacity::{Authority, Owner};
    let controls: Vec<&str> = one
        .controls
        .iter()
        .map(|control| control.code.as_str())
        .collect();
    let mut row = vec![
        one.code.clone(),
        one.name.clone(),
        <&str>::from(one.option).to_owned(),
        one.status.clone(),
        called(one.owner.as_ref()),
    ];
    row.extend([
        one.plan.clone().unwrap_or_default(),
        controls.join(";"),
        text(one.cost),
        text(one.due_on),
        one.overdue.to_string(),
    ]);
    row.extend([
        text(one.expected.map(|e| e.likelihood)),
        text(one.expected.map(|e| e.impact)),
        text(one.expected_level.as_deref()),
    ]);
    row.extend(
        signature(signed(Owner))
            .into_iter()
            .chain(signature(signed(Authority))),
    );
    let lapse = one
        .lapsed_on
        .zip(one.lapse_reason)
        .map(|(on, reason)| format!("{on} {}", <&str>::from(reason)));
    row.extend([text(one.expires_on), text(lapse)]);
    row
}

/// Mounts them.
pub fn mount(api: &mut crate::http::Api<'_>) {
    api.get("/v1/risk-treatment-plan", get_plan)
        .id("getRiskTreatmentPlan")
        .says(
            "Get the risk treatment plan",
            "Open risks above the acceptance criteria, or with a treatment that is in review, \
                approved or in progress, page by page. `format=csv` (or `Accept: text/csv`) is \
                the whole plan, a row for each risk and treatment.",
        )
        .as_of()
        .query::<RiskTreatmentPlanQuery>()
        .paged()
        .answers::<RiskTreatmentPlan>("The plan.")
        .or_csv();
}
