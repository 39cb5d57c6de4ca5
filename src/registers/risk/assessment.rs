//! Risk assessments (ISO/IEC 27001:2022 6.1.2, 8.2): each scores a risk under the methodology in
//! force and is an entry of the risk's history, with its rationale; so there is a trend, and no
//! second table of it.
use crate::access::Actor;
use crate::core::{Id, Instant, Invalid, Problem, Result};
use crate::db::schema::ledger_entries as e;
use crate::http::{Answer, Assess, Guard, Input, Read, RecordId, ViewQuery};
use crate::records::history::{self, Entry};
use crate::records::{IfMatch, Reader, Record, Resource};
use crate::registers::methodology;
use crate::registers::methodology::RiskMethodology;
use crate::registers::methodology::in_force;
use crate::registers::pages::{Page, page};
use crate::registers::revision;
use crate::registers::risk::{Risk, RiskScore};
use actix_web::http::StatusCode;
use chrono::NaiveDate;
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;
use validator::Validate;

crate::vocabulary! {
    /// Before controls, or with those that are in place.
    pub enum Stage { Inherent, Current }
}
/// An assessment to come.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"stage": "current", "likelihood": 4, "impact": 5,
    "rationale": "Two attempts last year; no second factor yet."}))]
pub struct AssessmentInput {
    /// Before controls, or with those that are in place.
    pub stage: Stage,
    /// How likely, on the methodology's scale.
    #[schema(minimum = 1, maximum = 10)]
    pub likelihood: i32,
    /// How bad, on the methodology's scale; or `impacts`.
    #[schema(minimum = 1, maximum = 10)]
    pub impact: Option<i32>,
    /// How bad in each of the methodology's dimensions; the highest counts.
    pub impacts: Option<BTreeMap<String, i32>>,
    /// Why so; it stands in the history.
    #[validate(custom(function = crate::records::spine::said))]
    #[schema(min_length = 1, max_length = 2000)]
    pub rationale: String,
    /// When to look again, after today; as the level says when absent.
    pub review_due_on: Option<NaiveDate>,
}

/// An assessment that was made.
#[derive(Debug, Serialize, ToSchema)]
pub struct Assessment {
    /// The risk.
    pub risk_id: Id,
    /// Before controls, or with those that were in place.
    pub stage: Stage,
    /// Why so.
    #[schema(max_length = 2500)]
    pub rationale: String,
    /// The score.
    #[serde(flatten)]
    pub score: RiskScore,
    /// The risk's version that it made.
    #[schema(minimum = 1)]
    pub version: i32,
    /// Its position in the organization's ledger.
    #[schema(minimum = 0)]
    pub seq: i64,
}
page! {
    /// The assessments of a risk.
    Assessments of Assessment: "Newest first."
}

/// Pure: the score of an assessment under a methodology; every fault is named.
fn scored(
    said: &AssessmentInput,
    method: &Record<RiskMethodology>,
    at: Instant,
    by: Actor,
) -> Result<RiskScore> {
    let (own, mut faults) = (&method.own, Vec::new());
    let most = |scale: &[methodology::Step]| i32::try_from(scale.len()).unwrap_or(10);
    let (likelihoods, impacts) = (most(&own.likelihood_scale), most(&own.impact_scale));
    if !(1..=likelihoods).contains(&said.likelihood) {
        let words = format!("1 to {likelihoods}");
        faults.push(Invalid::body("/likelihood", "range", words));
    }
    let within = |impact: &i32| (1..=impacts).contains(impact);
    let range = |at: &str| Invalid::body(at, "range", format!("1 to {impacts}"));
    let dimensions = said.impacts.iter().flatten();
    for (name, value) in dimensions.clone() {
        let at = format!("/impacts/{name}");
        if !own.impact_dimensions.contains(name) {
            let words = "the methodology does not have this dimension";
            faults.push(Invalid::body(at, "unknown_dimension", words));
        } else if !within(value) {
            faults.push(range(&at));
        }
    }
    let impact = match (said.impact, dimensions.map(|(_, value)| *value).max()) {
        (Some(_), Some(_)) => Err(("/impacts", "either", "send either impact or impacts")),
        (None, None) => Err((
            "/impact",
            "required",
            "is required, or impacts by dimension",
        )),
        (Some(impact), None) | (None, Some(impact)) => Ok(impact),
    };
    faults.extend(
        said.impact
            .filter(|one| impact.is_ok() && !within(one))
            .map(|_| range("/impact")),
    );
    let impact = impact
        .map_err(|(at, code, words)| faults.push(Invalid::body(at, code, words)))
        .unwrap_or_default();
    if !faults.is_empty() {
        return Err(Problem::invalid(faults));
    }
    let score = score(method, (said.likelihood, impact), (at, by))
        .ok_or_else(|| Problem::internal("a methodology without a level for a pair"))?;
    Ok(RiskScore {
        impacts: said.impacts.clone().filter(|all| !all.is_empty()),
        ..score
    })
}

/// Pure: the score of a pair under a methodology; `None` outside of its scales.
pub fn score(
    method: &Record<RiskMethodology>,
    (likelihood, impact): (i32, i32),
    (at, by): (Instant, Actor),
) -> Option<RiskScore> {
    let level = method.own.level(likelihood, impact)?;
    Some(RiskScore {
        likelihood,
        impact,
        impacts: None,
        score: likelihood * impact,
        level: level.slug.clone(),
        level_rank: method.own.rank(&level.slug),
        acceptable: level.acceptable,
        methodology_id: method.spine.id,
        methodology_revision: method.state.revision,
        assessed_at: at,
        assessed_by: by,
    })
}

/// Days until a risk is looked at again, by the level of its current score (else of the inherent
/// one): as the methodology in force says now; where that has no such level, as the revision said
/// that it was scored with.
pub fn review_days(reader: &mut Reader<'_>, risk: &Record<Risk>) -> Result<Option<i32>> {
    let Some(score) = risk.state.current.as_ref().or(risk.state.inherent.as_ref()) else {
        return Ok(None);
    };
    let now = in_force::InForce::read(reader)?;
    let method = now.of(risk.links.many("scope_ids"));
    if let Some(level) = method.and_then(|method| method.own.named(&score.level)) {
        return Ok(Some(level.review_every_days));
    }
    let all = revision::approvals::<RiskMethodology>(reader, score.methodology_id)?;
    let revision = score.methodology_revision;
    let of_it = |record: &&Record<RiskMethodology>| record.state.revision == revision;
    let then = all
        .iter()
        .rev()
        .find(of_it)
        .and_then(|record| record.own.named(&score.level));
    Ok(then.map(|level| level.review_every_days))
}

/// Pure: 422 where the risk would be worse with its controls than without; scores of different
/// revisions are not compared.
fn above_inherent(risk: &Record<Risk>, stage: Stage) -> Result<()> {
    let (Some(inherent), Some(current)) = (&risk.state.inherent, &risk.state.current) else {
        return Ok(());
    };
    let of = |score: &RiskScore| (score.methodology_id, score.methodology_revision);
    let worse = current.score > inherent.score || current.level_rank > inherent.level_rank;
    if of(inherent) != of(current) || !worse {
        return Ok(());
    }
    let (now, before) = (current.score, inherent.score);
    let (code, detail) = match stage {
        Stage::Current => {
            let fault = format!("The current score ({now}) is above the inherent one ({before}).");
            (
                "above_inherent",
                format!("{fault} Assess the inherent one first."),
            )
        }
        Stage::Inherent => {
            let fault = format!("The inherent score ({before}) is below the current one ({now}).");
            (
                "below_current",
                format!("{fault} Assess the current one first."),
            )
        }
    };
    Err(Problem::invalid_one("/likelihood", code, detail))
}

async fn assess(
    guard: Guard<Assess<Risk>>,
    at: RecordId,
    known: IfMatch,
    input: Input,
) -> Result<Answer> {
    let (selector, known) = (at.of(&Risk::KIND)?, known.or_any());
    let said = input.clone().read::<AssessmentInput>();
    guard
        .write(&input, move |tx| {
            let stored = tx.load::<Risk>(&selector, &known)?;
            let said = said?;
            Risk::changeable(&stored)?;
            let method = in_force::of_risk(&mut tx.reader(), &stored)?;
            if said.review_due_on.is_some_and(|day| day <= tx.today()) {
                let words = "the next review must be in the future";
                return Err(Problem::invalid_one("/review_due_on", "in_the_past", words));
            }
            let at = tx.now().max(stored.spine.updated_at.plus_millis(1));
            let score = scored(&said, &method, at, tx.caller().actor.clone())?;
            let mut record = stored.clone();
            let place = match said.stage {
                Stage::Inherent => &mut record.state.inherent,
                Stage::Current => &mut record.state.current,
            };
            *place = Some(score.clone());
            above_inherent(&record, said.stage)?;
            let days = review_days(&mut tx.reader(), &record)?;
            record.common.review_due_on = said.review_due_on.or_else(|| tx.review_in(days));
            tx.because(Some(said.rationale.clone()));
            let saved = tx.save(&stored, record, "assess")?;
            let seq = tx.position();
            let shown = tx.shown(saved)?;
            let (risk_id, etag) = (stored.spine.id, shown.get().etag.clone());
            let made = Assessment {
                risk_id,
                stage: said.stage,
                rationale: said.rationale,
                score,
                version: stored.spine.version + 1,
                seq,
            };
            let answer = Answer {
                status: StatusCode::CREATED,
                location: Some(format!("/v1/risks/{risk_id}/assessments")),
                ..Answer::of(&made)?
            };
            Ok(shown.map(|_| answer.tagged(etag)))
        })
        .await
}

async fn assessments(guard: Guard<Read<Risk>>, at: RecordId, query: ViewQuery) -> Result<Answer> {
    let selector = at.of(&Risk::KIND)?;
    let (limit, before) = (query.page.limit, query.page.before()?);
    guard
        .view(query.as_of, move |reader| {
            let id = reader.row::<Risk>(&selector, query.archived_too)?.id;
            let end = before.map_or(reader.moment.seq, |before| {
                reader.moment.seq.min(before.saturating_sub(1))
            });
            let of_it = e::table.filter(
                e::tenant_id
                    .eq(reader.tenant())
                    .and(e::record_id.eq(id))
                    .and(e::seq.le(end)),
            );
            let newest = of_it
                .filter(e::action.eq("assess"))
                .order(e::seq.desc())
                .limit(limit + 1);
            let mut entries: Vec<Entry> = newest.select(Entry::as_select()).load(reader.conn())?;
            let has_more = entries.len() as i64 > limit;
            entries.truncate(usize::try_from(limit).unwrap_or_default());
            let next_cursor = entries
                .last()
                .filter(|_| has_more)
                .map(|last| last.seq.to_string());
            if let Some(seen) = reader.past_seen(Risk::KIND.name, id)? {
                entries.retain(|entry| seen.contains(&entry.seq));
            }
            history::name(reader, &mut entries)?;
            let data = entries.into_iter().map(|entry| made(id, entry));
            Assessments::answer(Page {
                data: data.collect::<Result<_>>()?,
                next_cursor,
                link: None,
                has_more,
            })
        })
        .await
}

/// The assessment that an entry made: the newest score of its image.
fn made(risk_id: Id, entry: Entry) -> Result<Assessment> {
    let scores = entry.record::<Risk>()?.state;
    let inherent = scores.inherent.map(|score| (Stage::Inherent, score));
    let current = scores.current.map(|score| (Stage::Current, score));
    let both = inherent.into_iter().chain(current);
    let newest = both.max_by_key(|(_, score)| score.assessed_at);
    let none = || Problem::internal("an assessment without a score");
    let (stage, score) = newest.ok_or_else(none)?;
    Ok(Assessment {
        risk_id,
        stage,
        rationale: entry.reason.unwrap_or_default(),
        score,
        version: entry.record_version,
        seq: entry.seq,
    })
}

/// Mounts them.
pub fn mount(api: &mut crate::http::Api<'_>) {
    api.post("/v1/risks/{id}/assessments", assess)
        .id("createRiskAssessment")
        .says(
            "Assess a risk",
            "Scores it under the methodology in force for its scopes. The \
            level is computed, and sets the day of the next review; the risk's version grows by \
            one. A current score is never above the inherent one.",
        )
        .shared("IfMatchMaybe")
        .retried()
        .body::<AssessmentInput>()
        .makes::<Assessment>("The assessment.");
    api.get("/v1/risks/{id}/assessments", assessments)
        .id("listRiskAssessments")
        .says(
            "List the assessments of a risk",
            "Newest first: how the risk was scored over time, \
            by whom and why.",
        )
        .past()
        .paged()
        .answers::<Assessments>("The assessments.");
}
