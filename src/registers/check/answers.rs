//! The answers of a gap assessment: a requirement each, kept like any record, found by assessment and requirement. Where nothing is stored, nobody
//! has looked yet (`version` 0). What was answered stays, though a later revision of the framework is without the requirement.
use super::gap::GapAssessment;
use crate::access::Actor;
use crate::core::catalogue::Framework;
use crate::core::{Id, Instant, Invalid, Problem, Result, VersionKey};
use crate::db::dialect::at;
use crate::db::schema::{gap_answers as ga, ledger_entries as e, versions as v};
use crate::db::{Conn, dialect::NOW};
use crate::http::describe::{Preconditions, Refusals, Rejections};
use crate::http::{Answer, At, Change, Guard, Input, Read, Then, input};
use crate::ledger::Recorded;
use crate::records::ask::Moments;
use crate::records::frameworks::Library;
use crate::records::history::Entry;
use crate::records::{Condition, Covers, Draft, Kind, Known, Reader, Record, Resource, Selector, Stateless, Stored, Tx, read_part};
use actix_web::{HttpRequest, get, post, put, web::Path};
use chrono::NaiveDate;
use diesel::{dsl::exists, prelude::*};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use utoipa::ToSchema;
use validator::Validate;

crate::vocabulary! {
    /// How far a requirement is met.
    pub enum GapState { NotAssessed, NotMet, PartiallyMet, Met, NotApplicable }
}

/// One answer, as it is kept; its day is that of the record.
#[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GapAnswer {
    /// The assessment.
    pub assessment_id: Id,
    /// The requirement.
    #[schema(max_length = 120)]
    pub requirement: String,
    /// How far it is met.
    pub state: GapState,
    /// How far it should be.
    pub target_state: Option<GapState>,
    /// What was seen, and what is missing.
    #[validate(length(max = 4000))]
    #[schema(max_length = 4000)]
    pub note: Option<String>,
}

impl Resource for GapAnswer {
    const KIND: Kind =
        Kind { name: "gap_answer", path: "gap-answers", code: "GAN", about: "Answers of gap assessments (9.1).", ..Kind::PLAIN };
    type State = Stateless;
    fn example() -> Value {
        json!({"name": "iso-27001-2022:A.5.1", "assessment_id": "018f0000-0000-7000-8000-000000000000", "requirement": "iso-27001-2022:A.5.1", "state": "partially_met"})
    }
}
impl Stored for GapAnswer {
    type Filter = crate::registers::plan::organization::NoFilter;
    fn insert((tenant, id, version): VersionKey, record: &Record<Self>, conn: &mut Conn) -> QueryResult<usize> {
        let own = &record.own;
        let row = (
            (ga::tenant_id.eq(tenant), ga::id.eq(id), ga::version.eq(version), ga::assessment_id.eq(own.assessment_id)),
            (ga::requirement.eq(&own.requirement), ga::state.eq(own.state), ga::target_state.eq(own.target_state)),
        );
        diesel::insert_into(ga::table).values(row).execute(conn)
    }
    fn matching(_: &Self::Filter, _: &Moments) -> Condition {
        Box::new(exists(ga::table.filter(ga::tenant_id.eq(v::tenant_id).and(ga::id.eq(v::id)).and(ga::version.eq(v::version)))))
    }
}
/// Who may change an assessment may answer in it.
impl Covers<GapAnswer> for Change<GapAssessment> {}

/// How far a requirement is met.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = GapAnswer)]
pub struct GapAnswerShown {
    /// The assessment.
    pub assessment_id: Id,
    /// The requirement.
    #[schema(max_length = 120)]
    pub requirement: String,
    /// Its short title; null where the framework is without it by now.
    #[schema(required, max_length = 300)]
    pub title: Option<String>,
    /// Does the framework still ask for it?
    pub in_framework: bool,
    /// How far it is met.
    pub state: GapState,
    /// How far it should be.
    #[schema(required)]
    pub target_state: Option<GapState>,
    /// By when.
    #[schema(required)]
    pub due_on: Option<NaiveDate>,
    /// What was seen, and what is missing.
    #[schema(required, max_length = 4000)]
    pub note: Option<String>,
    /// Grows by one with each change; 0 where nobody has looked yet.
    #[schema(minimum = 0)]
    pub version: i32,
    /// When it was last changed.
    #[schema(required)]
    pub updated_at: Option<Instant>,
    /// By whom.
    #[schema(required)]
    pub updated_by: Option<Actor>,
}
/// The answers of an assessment.
#[derive(Debug, Serialize, ToSchema)]
pub struct GapAnswers {
    /// In natural order, each requirement once; then what the framework is without by now.
    #[schema(max_items = 10000)]
    pub data: Vec<GapAnswerShown>,
}

/// What a client answers.
#[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"state": "partially_met", "target_state": "met", "due_on": "2027-03-31", "note": "Written, not yet approved."}))]
pub struct GapAnswerInput {
    /// How far it is met.
    pub state: GapState,
    /// How far it should be.
    pub target_state: Option<GapState>,
    /// By when.
    pub due_on: Option<NaiveDate>,
    /// What was seen, and what is missing; needed where it is not applicable.
    #[validate(length(max = 4000))]
    #[schema(max_length = 4000)]
    pub note: Option<String>,
}
impl GapAnswerInput {
    fn faults(&self, at: &str) -> Vec<Invalid> {
        let silent = self.state == GapState::NotApplicable && self.note.as_deref().is_none_or(|text| text.trim().is_empty());
        let aimless = self.target_state == Some(GapState::NotAssessed);
        let silent = silent.then(|| Invalid::body(format!("{at}/note"), "required", "what does not apply needs a reason"));
        let aimless = aimless.then(|| Invalid::body(format!("{at}/target_state"), "invalid", "that is nothing to aim for"));
        silent.into_iter().chain(aimless).collect()
    }
}
/// Several answers at once.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"items": [{"requirement": "iso-27001-2022:A.5.1", "state": "met"}]}))]
pub struct GapAnswerBatch {
    /// Up to 1,000; all are made, or none.
    #[validate(length(min = 1, max = 1000), nested)]
    #[schema(min_items = 1, max_items = 1000)]
    pub items: Vec<GapAnswerItem>,
}
/// One answer of a batch.
#[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GapAnswerItem {
    /// The requirement.
    #[validate(length(min = 1, max = 120))]
    #[schema(min_length = 1, max_length = 120)]
    pub requirement: String,
    /// The version that was read; when sent, it has to match.
    #[validate(range(min = 0))]
    #[schema(minimum = 0)]
    pub if_match: Option<i32>,
    /// How far it is met.
    pub state: GapState,
    /// How far it should be.
    pub target_state: Option<GapState>,
    /// By when.
    pub due_on: Option<NaiveDate>,
    /// What was seen, and what is missing; needed where it is not applicable.
    #[validate(length(max = 4000))]
    #[schema(max_length = 4000)]
    pub note: Option<String>,
}

/// What was answered, by requirement, at the reader's moment: two queries.
fn answered(
    reader: &mut Reader<'_>,
    framework: Option<&Framework>,
    id: Id,
    only: Option<&str>,
) -> Result<BTreeMap<String, (Id, GapAnswerShown)>> {
    let (tenant, seq) = (reader.tenant(), reader.moment.seq);
    let standing = ga::table.inner_join(v::table.on(v::tenant_id.eq(ga::tenant_id).and(v::id.eq(ga::id)).and(v::version.eq(ga::version))));
    let mut standing = standing.filter(ga::tenant_id.eq(tenant).and(ga::assessment_id.eq(id))).filter(at(seq)).into_boxed();
    if let Some(requirement) = only {
        standing = standing.filter(ga::requirement.eq(requirement.to_owned()));
    }
    let seqs: Vec<i64> = standing.select(v::from_seq).load(reader.conn())?;
    let entries = e::table.filter(e::tenant_id.eq(tenant)).filter(e::seq.eq_any(seqs));
    let entries: Vec<Entry> = entries.select(Entry::as_select()).load(reader.conn())?;
    let answer = |entry: Entry| {
        let record = Record::<GapAnswer>::of_image(&entry.body, entry.personal.as_deref(), 0)?;
        Ok((record.own.requirement.clone(), (record.spine.id, shown(&record, framework))))
    };
    entries.into_iter().map(answer).collect()
}

fn asks<'f>(framework: Option<&'f Framework>, requirement: &str) -> Option<&'f crate::core::catalogue::Requirement> {
    let (slug, reference) = crate::core::catalogue::parts(requirement)?;
    framework.filter(|framework| framework.slug == slug)?.requirement(reference).filter(|found| found.assessable)
}
fn shown(record: &Record<GapAnswer>, framework: Option<&Framework>) -> GapAnswerShown {
    let (own, spine, asked) = (record.own.clone(), &record.spine, asks(framework, &record.own.requirement));
    GapAnswerShown {
        assessment_id: own.assessment_id,
        requirement: own.requirement,
        title: asked.map(|found| found.title.clone()),
        in_framework: asked.is_some(),
        state: own.state,
        target_state: own.target_state,
        due_on: record.common.due_on,
        note: own.note,
        version: spine.version,
        updated_at: Some(spine.updated_at),
        updated_by: Some(spine.updated_by.clone()),
    }
}
fn unanswered(assessment_id: Id, requirement: &crate::core::catalogue::Requirement) -> GapAnswerShown {
    GapAnswerShown {
        assessment_id,
        requirement: requirement.id.clone(),
        title: Some(requirement.title.clone()),
        in_framework: true,
        state: GapState::NotAssessed,
        target_state: None,
        due_on: None,
        note: None,
        version: 0,
        updated_at: None,
        updated_by: None,
    }
}

/// List the answers of a gap assessment
///
/// Each requirement that the framework asks for by itself; where nothing was answered, it is not assessed.
#[utoipa::path(operation_id = "listGapAnswers", tag = "gap-assessments", security(("bearer" = [])),
    params(("id" = String, Path, description = "The gap assessment: its id or its code.", max_length = 64),
        ("state" = Option<String>, Query, description = "Only in this state.", max_length = 20, pattern = "^(not_assessed|not_met|partially_met|met|not_applicable)$"), crate::http::document::Past),
    responses((status = 200, description = "The answers.", body = GapAnswers), Refusals))]
#[get("/v1/gap-assessments/{id}/answers")]
pub async fn list(guard: Guard<Read<GapAssessment>>, at: At, request: HttpRequest) -> Result<Answer> {
    let (then, selector) = (Then::read(&request, &["state"])?, at.of(&GapAssessment::KIND)?);
    let state = then.parsed::<GapState>("state", "not_assessed, not_met, partially_met, met or not_applicable")?;
    guard
        .view(then.as_of, move |reader| {
            let record = reader.load::<GapAssessment>(&selector, then.archived_too)?;
            let (tenant, seq, id) = (reader.tenant(), reader.moment.seq, record.spine.id);
            let framework = Library::new(reader.conn(), tenant, seq).framework(&record.own.framework)?;
            let mut answered = answered(reader, framework.as_deref(), id, None)?;
            let asked = framework.iter().flat_map(|framework| framework.assessable());
            let mut data: Vec<_> =
                asked.map(|one| answered.remove(&one.id).map_or_else(|| unanswered(id, one), |(_, answer)| answer)).collect();
            data.extend(answered.into_values().map(|(_, answer)| answer));
            data.retain(|answer| state.is_none_or(|state| answer.state == state));
            Answer::of(&GapAnswers { data })
        })
        .await
}

/// Get an answer of a gap assessment
///
/// Where nothing was answered: not assessed, and `version` is 0.
#[utoipa::path(operation_id = "getGapAnswer", tag = "gap-assessments", security(("bearer" = [])),
    params(("id" = String, Path, description = "The gap assessment: its id or its code.", max_length = 64), ("requirement" = String, Path, description = "The requirement.", max_length = 120, example = "iso-27001-2022:A.5.1"), crate::http::document::Past),
    responses((status = 200, description = "The answer.", body = GapAnswerShown), Refusals))]
#[get("/v1/gap-assessments/{id}/answers/{requirement}")]
pub async fn get(guard: Guard<Read<GapAssessment>>, path: Path<(String, String)>, request: HttpRequest) -> Result<Answer> {
    let (then, (id, requirement)) = (Then::read(&request, &[])?, path.into_inner());
    let selector = Selector::parse(&id, GapAssessment::KIND.name).ok_or_else(Problem::not_found)?;
    guard
        .read(then.as_of, move |reader| {
            let record = reader.load::<GapAssessment>(&selector, then.archived_too)?;
            let (tenant, seq, id) = (reader.tenant(), reader.moment.seq, record.spine.id);
            let framework = Library::new(reader.conn(), tenant, seq).framework(&record.own.framework)?;
            let stored = answered(reader, framework.as_deref(), id, Some(&requirement))?.remove(&requirement).map(|(_, answer)| answer);
            let asked = || asks(framework.as_deref(), &requirement).map(|asked| unanswered(id, asked));
            let answer = stored.or_else(asked).ok_or_else(Problem::not_found)?;
            Ok(Answer::of(&answer)?.tagged(format!("\"{}\"", answer.version)).at(reader.moment.last))
        })
        .await
}

/// Answer for a requirement in a gap assessment
///
/// Replaces the answer. The first one is given with `If-Match: "0"` or `*`.
#[utoipa::path(operation_id = "putGapAnswer", tag = "gap-assessments", security(("bearer" = [])), request_body = GapAnswerInput,
    params(("id" = String, Path, description = "The gap assessment: its id or its code.", max_length = 64), ("requirement" = String, Path, description = "The requirement.", max_length = 120, example = "iso-27001-2022:A.5.1"),
        ("If-Match" = String, Header, description = "The ETag that was read, `\"0\"` for the first answer, or `*`.", max_length = 255),
        ("Change-Reason" = Option<String>, Header, description = "Why, percent-encoded UTF-8.", max_length = 6000)),
    responses((status = 200, description = "The answer.", body = GapAnswerShown), Rejections, Preconditions))]
#[put("/v1/gap-assessments/{id}/answers/{requirement}")]
pub async fn put(
    guard: Guard<Change<GapAssessment>>,
    path: Path<(String, String)>,
    known: Known,
    request: HttpRequest,
    input: Input,
) -> Result<Answer> {
    input::no_parameters(&request)?;
    let (id, requirement) = path.into_inner();
    let selector = Selector::parse(&id, GapAssessment::KIND.name).ok_or_else(Problem::not_found)?;
    guard
        .effect(&[], move |tx| {
            let (assessment, framework) = assessed(tx, &selector)?;
            let stored = answered(&mut tx.reader(), framework.as_deref(), assessment.spine.id, Some(&requirement))?.remove(&requirement);
            if stored.is_none() && asks(framework.as_deref(), &requirement).is_none() {
                return Err(Problem::not_found());
            }
            known.check(stored.as_ref().map_or(0, |(_, answer)| answer.version))?;
            let said: GapAnswerInput = read_part(input.members())?;
            let faults = said.faults("");
            if !faults.is_empty() {
                return Err(Problem::invalid(faults));
            }
            let made = answer(tx, &assessment, framework.as_deref(), &requirement, stored.map(|(id, _)| id), &said)?;
            made.try_map(|answer| Ok(Answer::of(&answer)?.tagged(format!("\"{}\"", answer.version))))
        })
        .await
}

/// Answer for several requirements in a gap assessment
///
/// All answers are given, or none; each is one entry of the ledger.
#[utoipa::path(operation_id = "batchGapAnswers", tag = "gap-assessments", security(("bearer" = [])), request_body = GapAnswerBatch,
    params(("id" = String, Path, description = "The gap assessment: its id or its code.", max_length = 64), crate::http::document::Retried),
    responses((status = 200, description = "The answers, in the same order.", body = GapAnswers), Rejections))]
#[post("/v1/gap-assessments/{id}/answers/batch")]
pub async fn batch(guard: Guard<Change<GapAssessment>>, at: At, request: HttpRequest, input: Input) -> Result<Answer> {
    input::no_parameters(&request)?;
    let (selector, body) = (at.of(&GapAssessment::KIND)?, input.clone());
    guard
        .write(&input, move |tx| {
            let (assessment, framework) = assessed(tx, &selector)?;
            let said: GapAnswerBatch = read_part(body.members())?;
            let stored = answered(&mut tx.reader(), framework.as_deref(), assessment.spine.id, None)?;
            let (mut faults, mut seen) = (Vec::new(), std::collections::BTreeSet::new());
            for (n, item) in said.items.iter().enumerate() {
                let (at, before) = (format!("/items/{n}"), stored.get(&item.requirement));
                faults.extend(item.said().faults(&at));
                if before.is_none() && asks(framework.as_deref(), &item.requirement).is_none() {
                    faults.push(Invalid::body(format!("{at}/requirement"), "unknown_reference", "there is no such requirement"));
                }
                if !seen.insert(item.requirement.as_str()) {
                    faults.push(Invalid::body(format!("{at}/requirement"), "twice", "stands in this batch twice"));
                }
                let version = before.map_or(0, |(_, answer)| answer.version);
                if item.if_match.is_some_and(|known| known != version) {
                    faults.push(Invalid::body(format!("{at}/if_match"), "version_mismatch", format!("it is at version {version} now")));
                }
            }
            if !faults.is_empty() {
                return Err(Problem::invalid(faults));
            }
            let (mut data, mut last) = (Vec::with_capacity(said.items.len()), None);
            for item in &said.items {
                let before = stored.get(&item.requirement).map(|(id, _)| *id);
                let made = answer(tx, &assessment, framework.as_deref(), &item.requirement, before, &item.said())?;
                data.push(made.get().clone());
                last = Some(made);
            }
            let answer = Answer::of(&GapAnswers { data })?;
            Ok(last.ok_or_else(|| Problem::internal("an empty batch"))?.map(|_| answer))
        })
        .await
}
impl GapAnswerItem {
    fn said(&self) -> GapAnswerInput {
        GapAnswerInput { state: self.state, target_state: self.target_state, due_on: self.due_on, note: self.note.clone() }
    }
}

type Writing<'a> = Tx<'a, Change<GapAssessment>>;
type Assessed = (Record<GapAssessment>, Option<std::sync::Arc<Framework>>);

/// The assessment, for those who may change it, and its framework.
fn assessed(tx: &mut Writing<'_>, selector: &Selector) -> Result<Assessed> {
    let assessment = tx.load::<GapAssessment>(selector, &Known::any())?;
    let tenant = tx.caller().tenant;
    let framework = Library::new(tx.conn(), tenant, NOW).framework(&assessment.own.framework)?;
    Ok((assessment, framework))
}

/// Stores one answer; one that changes nothing leaves it as it is. It belongs to the scopes of its assessment.
fn answer(
    tx: &mut Writing<'_>,
    assessment: &Record<GapAssessment>,
    framework: Option<&Framework>,
    requirement: &str,
    stored: Option<Id>,
    said: &GapAnswerInput,
) -> Result<Recorded<GapAnswerShown>> {
    let scopes = assessment.links.many("scope_ids");
    let own = json!({"assessment_id": assessment.spine.id, "requirement": requirement, "state": said.state, "target_state": said.target_state, "note": said.note});
    let recorded = match stored {
        Some(id) => {
            let before = tx.reader().load::<GapAnswer>(&Selector::Id(id), false)?;
            let mut record = before.clone();
            record.own = serde_json::from_value(own).map_err(Problem::internal)?;
            record.common.due_on = said.due_on;
            record.links.set("scope_ids", scopes.to_vec());
            if record.body()? == before.body()? { tx.kept(before)? } else { tx.save(&before, record, "update")? }
        }
        None => {
            let mut body: Map<String, Value> = serde_json::from_value(own).map_err(Problem::internal)?;
            body.extend([
                ("name".to_owned(), json!(requirement)),
                ("scope_ids".into(), json!(scopes)),
                ("due_on".into(), json!(said.due_on)),
            ]);
            tx.create(Draft::<GapAnswer>::read(body)?)?
        }
    };
    let shown = shown(recorded.get(), framework);
    Ok(recorded.map(|_| shown))
}
