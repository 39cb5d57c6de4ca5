//! Scoring risks again (ISO/IEC 27001:2022 6.1.2, 8.2): a new revision of the methodology leaves
//! scores as they are; this carries stored ones over to it, deliberately, with a reason and an
//! entry for each risk.
use crate::core::problem::Body;
use crate::core::{Code, Id, Invalid, Problem, Result};
use crate::db::dialect::body_of;
use crate::db::schema::versions as v;
use crate::http::{Answer, Guard, Input, Rescore};
use crate::ledger;
use crate::records::{IfMatch, Reader, Record, Resource, Selector, Tx};
use crate::registers::methodology::RiskMethodology;
use crate::registers::methodology::in_force::{self, InForce};
use crate::registers::risk::assessment::{Stage, review_days, score};
use crate::registers::risk::carried::{Revisions, carried};
use crate::registers::risk::{Risk, RiskScore};
use actix_web::ResponseError;
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use utoipa::ToSchema;
use validator::Validate;

/// Risks that one request scores again.
const MOST: usize = 1000;

/// Which risks are scored again.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"all": true, "stage": "current", "rationale": "Revision 2 of the \
    methodology came into force."}))]
pub struct RescoreInput {
    /// These risks: ids or codes.
    #[schema(min_items = 1, max_items = 1000, min_length = 1, max_length = 64)]
    pub risk_ids: Option<Vec<String>>,
    /// Or every open risk whose score is of an earlier revision: up to 1,000 with each request.
    #[serde(default)]
    pub all: bool,
    /// Which of their scores.
    pub stage: Stage,
    /// Why; it stands in the history of each.
    #[validate(custom(function = crate::records::spine::said))]
    #[schema(min_length = 1, max_length = 2000)]
    pub rationale: String,
}

impl RescoreInput {
    fn faults(&self) -> Vec<Invalid> {
        let named = self
            .risk_ids
            .iter()
            .flatten()
            .enumerate()
            .filter(|(_, text)| !(1..=64).contains(&text.chars().count()));
        let long = named
            .map(|(n, _)| Invalid::body(format!("/risk_ids/{n}"), "length", "1 to 64 characters"));
        let both = (self.all == self.risk_ids.is_some())
            .then(|| Invalid::body("/risk_ids", "either", "send either risk_ids or all"));
        long.chain(both).collect()
    }
}

/// What became of one risk.
#[derive(Debug, Serialize, ToSchema)]
pub struct Rescored {
    /// The risk, as it was named.
    #[schema(max_length = 64)]
    pub risk: String,
    /// 200 where it was scored again or needed no new score; else the status of the problem.
    #[schema(minimum = 200, maximum = 599)]
    pub status: u16,
    /// Was there anything to do?
    pub changed: bool,
    /// Its score of that stage now.
    #[schema(required)]
    pub score: Option<RiskScore>,
    /// Why it was not scored again.
    #[schema(required)]
    pub problem: Option<Body>,
}
/// What became of the risks.
#[derive(Debug, Serialize, ToSchema)]
pub struct RescoredRisks {
    /// In the order asked for; those of `all` in the order of their codes.
    #[schema(max_items = 2000)]
    pub data: Vec<Rescored>,
    /// With `all`: risks that are not named here; a next request goes on with them.
    #[schema(minimum = 0)]
    pub remaining: i64,
}

fn of_stage(risk: &mut Record<Risk>, stage: Stage) -> &mut Option<RiskScore> {
    match stage {
        Stage::Inherent => &mut risk.state.inherent,
        Stage::Current => &mut risk.state.current,
    }
}
fn is_of(score: &RiskScore, method: &Record<RiskMethodology>) -> bool {
    (score.methodology_id, score.methodology_revision) == (method.spine.id, method.state.revision)
}

/// A risk to score again: what it was called, and where it is or why it is left as it is.
struct Wanted(String, Found);
enum Found {
    /// It was named, and read in the write.
    Read(Result<Box<Record<Risk>>>),
    /// It is read when its turn comes.
    Later(Id),
    /// It cannot be carried over.
    Stays(Problem),
}

/// Risks that are read at once.
const SOME: i64 = 500;

/// The open risks whose score is of an earlier revision, in the order of their codes; read some at
/// a time, before the write begins.
fn outdated(reader: &mut Reader<'_>, stage: Stage) -> Result<Vec<Wanted>> {
    let methods = InForce::read(reader)?;
    let (mut found, mut last, mut revisions) = (Vec::new(), 0, Revisions::default());
    loop {
        let open = v::table
            .filter(reader.seen(Risk::KIND.name))
            .filter(v::archived_at.is_null())
            .filter(v::status.eq("open"));
        let next = open
            .filter(v::number.gt(last))
            .order(v::number)
            .limit(SOME)
            .select((v::number, v::schema, body_of()));
        let rows: Vec<(i64, i16, String)> = next.load(reader.conn())?;
        for (_, schema, body) in &rows {
            let mut risk = Record::<Risk>::of_image(*schema, body, None)?;
            let Some(method) = methods.of(risk.links.many("scope_ids")) else {
                continue;
            };
            let Some(was) = of_stage(&mut risk, stage)
                .clone()
                .filter(|score| !is_of(score, method))
            else {
                continue;
            };
            // What the key reads and does not write is for others to score again.
            if risk.within(reader.caller()).is_err() {
                continue;
            }
            let old = revisions.of(reader, &was)?;
            let of_it = carried(&was, &old, &method.own)
                .map_or_else(Found::Stays, |_| Found::Later(risk.spine.id));
            found.push(Wanted(risk.spine.code, of_it));
        }
        match rows.last().filter(|_| rows.len() as i64 == SOME) {
            Some((number, ..)) => last = *number,
            None => return Ok(found),
        }
    }
}

async fn rescore(guard: Guard<Rescore<Risk>>, input: Input) -> Result<Answer> {
    let said = input.clone().read::<RescoreInput>();
    let all = match &said {
        Ok(said) if said.all => {
            let stage = said.stage;
            guard
                .read(None, move |reader| outdated(reader, stage))
                .await?
        }
        _ => vec![],
    };
    guard
        .write(&input, move |tx| {
            let said = said?;
            let faults = said.faults();
            if !faults.is_empty() {
                return Err(Problem::invalid(faults));
            }
            let methods = InForce::read(&mut tx.reader())?;
            let mut named: VecDeque<Wanted> = VecDeque::new();
            for text in said.risk_ids.iter().flatten() {
                let selector = Selector::parse(text, &Risk::KIND).ok_or_else(Problem::not_found);
                let found = selector
                    .and_then(|selector| tx.load(&selector, &IfMatch::any()))
                    .map(Box::new);
                named.push_back(Wanted(text.clone(), Found::Read(found)));
            }
            named.extend(all);
            let (mut data, mut revisions, mut last, mut done) =
                (Vec::new(), Revisions::default(), None, 0);
            tx.because(Some(said.rationale));
            let mut unsaid = 0;
            while let Some(Wanted(risk, found)) = if done < MOST { named.pop_front() } else { None }
            {
                ledger::in_time()?;
                let found = match found {
                    Found::Read(found) => found.map(|found| *found),
                    Found::Later(id) => tx.load(&Selector::Id(id), &IfMatch::any()),
                    Found::Stays(problem) => Err(problem),
                };
                match found.and_then(|found| one(tx, found, said.stage, &methods, &mut revisions)) {
                    Ok((score, saved)) => {
                        done += usize::from(saved.is_some());
                        data.push(Rescored {
                            risk,
                            status: 200,
                            changed: saved.is_some(),
                            score: Some(score),
                            problem: None,
                        });
                        last = saved.or(last);
                    }
                    Err(problem) => match problem.status_code() {
                        status if status.is_server_error() => return Err(problem),
                        _ if data.len() >= 2 * MOST => unsaid += 1,
                        status => {
                            let (status, problem) = (status.as_u16(), Some(problem.said()));
                            data.push(Rescored {
                                risk,
                                status,
                                changed: false,
                                score: None,
                                problem,
                            });
                        }
                    },
                }
            }
            let remaining = named.len() as i64 + unsaid;
            let answer = Answer::of(&RescoredRisks { data, remaining })?;
            match last {
                Some(saved) => Ok(saved.map(|_| answer)),
                None => tx.unchanged(answer),
            }
        })
        .await
}

type Saved = crate::ledger::Recorded<Record<Risk>>;

/// Scores one risk again; one that has a score of the revision in force is left as it is.
fn one(
    tx: &mut Tx<'_, Rescore<Risk>>,
    stored: Record<Risk>,
    stage: Stage,
    methods: &InForce,
    revisions: &mut Revisions,
) -> Result<(RiskScore, Option<Saved>)> {
    Risk::changeable(&stored)?;
    let method = methods
        .of(stored.links.many("scope_ids"))
        .ok_or_else(in_force::none)?;
    let mut record = stored.clone();
    let place = of_stage(&mut record, stage);
    let was = place.clone().ok_or_else(|| {
        Problem::new(
            Code::IllegalTransition,
            "The risk has no score of this stage. Assess it first.",
        )
    })?;
    if is_of(&was, method) {
        return Ok((was, None));
    }
    let (likelihood, impact, impacts) =
        carried(&was, &revisions.of(&mut tx.reader(), &was)?, &method.own)?;
    let by = (
        tx.now().max(stored.spine.updated_at.plus_millis(1)),
        tx.caller().actor.clone(),
    );
    let scored = score(method, (likelihood, impact), by)
        .ok_or_else(|| Problem::internal("a methodology without a level for a pair"))?;
    let scored = RiskScore { impacts, ..scored };
    *place = Some(scored.clone());
    // Nobody has looked at the risk: its review may come nearer, never later.
    let days = review_days(&mut tx.reader(), &record)?;
    let due = record.common.review_due_on;
    record.common.review_due_on = [due, tx.review_in(days)].into_iter().flatten().min();
    let saved = tx.save(&stored, record, "assess")?;
    Ok((scored, Some(saved)))
}

/// Mounts them.
pub fn mount(api: &mut crate::http::Api<'_>) {
    api.post("/v1/risks/rescore", rescore)
        .id("rescoreRisks")
        .says(
            "Score risks again",
            "Carries their stored likelihood and impact over to the \
            methodology in force for their scopes: to the step of the same label, or of the same \
            place where the scale has as many steps. Each risk is an entry of its own, and an \
            assessment; what cannot be carried over says why and is left as it is.",
        )
        .retried()
        .body::<RescoreInput>()
        .answers::<RescoredRisks>("What became of each.");
}
