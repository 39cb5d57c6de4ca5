//! The risk treatment plan (ISO/IEC 27001:2022 6.1.3 e, 8.3): each open risk above the acceptance
//! criteria, or with a treatment under way, and what is done about it, by whom, until when, and
//! signed by whom. One computation for JSON and CSV, at any moment.
use crate::core::{Id, Problem, Result};
use crate::db::among::among;
use crate::db::dialect::{at, body_of};
use crate::db::schema::versions as v;
use crate::http::{Answer, Guard, Read, ViewQuery};
use crate::records::{Reader, Record, Resource, reader::Ref};
use crate::registers::facts::{Fact, Facts, Part, RiskFact, Seen, TreatmentFact};
use crate::registers::pages::{Page, Walk};
use crate::registers::risk;
use crate::registers::risk::Risk;
use crate::registers::scope::{Cut, ScopeRef};
use crate::registers::soa::contradiction::ControlRef;
use crate::registers::table;
use crate::registers::treatment::acceptance::Acceptance;
use crate::registers::treatment::lapse::{self, Lapse};
use crate::registers::treatment::planned::{
    PlanOwner, PlanSignature, PlannedTreatment, RiskTreatmentPlan, TreatmentPlanEntry,
    TreatmentPlanSummary, as_csv,
};
use crate::registers::treatment::standing;
use crate::registers::treatment::{RiskTreatment, Signature};
use chrono::NaiveDate;
use diesel::prelude::*;
use serde::Deserialize;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use utoipa::IntoParams;

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
    let work = move |reader: &mut Reader<'_>| {
        let scope = cut.scope(reader)?;
        compute(reader, scope, (!csv).then_some(&walk))
    };
    table::view(&guard, csv, query.as_of, work, as_csv).await
}

/// A page of the plan at the reader's moment, or all of it: as many queries whatever its size.
fn compute(
    reader: &mut Reader<'_>,
    scope: Option<Id>,
    walk: Option<&Walk>,
) -> Result<RiskTreatmentPlan> {
    let facts = Facts::of(reader, &[Part::Risks, Part::Treatments])?;
    let seen = Seen::of(reader, Risk::KIND.name)?;
    let treatments_seen = Seen::of(reader, RiskTreatment::KIND.name)?;
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
    let untreated = risks.iter().filter(|risk| treated(risk.stub.id).is_empty());
    let summary = TreatmentPlanSummary {
        risks: risks.len() as i64,
        untreated: untreated.count() as i64,
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
    let mut risks = records::<Risk>(reader, &ids)?;
    let mut written = records::<RiskTreatment>(reader, &under)?;
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
        let planned = treatments.remove(id).unwrap_or_default().into_iter();
        let planned = planned.map(|one| self::planned(one, &refs, &lapsed, today));
        let acceptable = risk.state.current.as_ref().map(|score| score.acceptable);
        let stands = stands.get(id).copied().unwrap_or_default();
        Some(TreatmentPlanEntry {
            risk_id: *id,
            code: risk.spine.code,
            name: risk.common.name,
            owner: owner(risk.links.one("owner_id"), &refs),
            evaluation: risk::evaluation(acceptable, stands),
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
        let signed = one.state.signatures.iter();
        ids.extend(signed.filter_map(|given| given.person.person_id));
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
    PlanSignature {
        signed_by: owner(given.person.person_id, refs),
        capacity: given.capacity,
        at: given.at,
        version: given.version,
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
    let late = one.common.due_on.is_some_and(|due| due < today);
    let signatures = one.state.signatures.into_iter();
    PlannedTreatment {
        id: one.spine.id,
        owner: owner(one.links.one("owner_id"), refs),
        controls: one
            .links
            .many("control_ids")
            .iter()
            .filter_map(control)
            .collect(),
        overdue: late && !RiskTreatment::KIND.finished(&one.spine.status),
        code: one.spine.code,
        name: one.common.name,
        status: one.spine.status,
        due_on: one.common.due_on,
        option: one.own.option,
        plan: one.own.plan,
        cost: one.own.cost,
        expected: one.own.expected,
        expected_level: one.state.basis.map(|basis| basis.score.level),
        signatures: signatures.map(|given| signature(given, refs)).collect(),
        expires_on: one.own.expires_on,
        lapsed_on: lapse.map(|lapse| lapse.on),
        lapse_reason: lapse.map(|lapse| lapse.reason),
    }
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
