//! Risks (ISO/IEC 27001:2022 6.1.2, 8.2): scenarios of threats to assets, scored by assessments
//! under the methodology in force. The level and what follows from it are the server's; each
//! assessment is an entry of the risk's history, with its rationale, so there is a trend.
pub mod assessment;
pub mod carried;
pub mod counts;
pub mod drawing;
pub mod get_matrix;
pub mod matrix;
pub mod rescore;
pub mod score;
pub mod trend;
pub mod turns;

pub use score::RiskScore;

use crate::core::{Code, Id, Problem, Result};
use crate::db::own::Test;
use crate::db::schema::{risks, risks as r};
use crate::http::OptionalComment;
use crate::http::{Api, Step, Steps, With, workflow};
use crate::records::ask::ListContext;
use crate::records::columns::own;
use crate::records::{
    Again, By, Condition, Kind, Limit, PERIOD, Part, Reader, Record, Relation, Resource, Row,
    SCOPED, Transition, Tx, sight,
};
use crate::registers::treatment::holding::{Accepted, Treated};
use crate::registers::treatment::standing::{self, Standing};
use diesel::dsl::not;
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use utoipa::{PartialSchema, ToSchema};
use validator::Validate;

crate::vocabulary! {
    /// What of information security is at risk.
    pub enum Property { Confidentiality, Integrity, Availability }
}
crate::vocabulary! {
    /// What a risk's current level asks for.
    pub enum Evaluation { NotAssessed, Acceptable, TreatmentNeeded, InTreatment, Accepted,
        AcceptanceLapsed }
}

/// What clients say about a risk.
#[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Risk {
    /// What may happen.
    #[schema(max_length = 4000)]
    pub description: Option<String>,
    /// What it would lead to.
    #[schema(max_length = 4000)]
    pub consequence: Option<String>,
    /// The organization's own grouping.
    #[schema(min_length = 1, max_length = 100)]
    pub category: Option<String>,
    /// What is at risk.
    #[serde(default)]
    #[schema(max_items = 3)]
    pub affected_properties: Vec<Property>,
}

/// What the server says about a risk.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct Scores {
    /// Before controls.
    #[schema(required)]
    pub inherent: Option<RiskScore>,
    /// With the controls that are in place.
    #[schema(required)]
    pub current: Option<RiskScore>,
    /// After an approved treatment.
    #[schema(required)]
    pub residual: Option<RiskScore>,
}

impl Resource for Risk {
    const KIND: Kind = Kind {
        part: Part::Plan,
        name: "risk",
        path: "risks",
        code: "RSK",
        about: "Risks, their scores and their evaluation (6.1.2, 8.2).",
        initial: "open",
        transitions: &STATES,
        done: &["closed"],
        reviewed: true,
        relations: &[
            Relation::new("asset_ids", "asset"),
            Relation::new("threat_ids", "threat"),
            Relation::new("vulnerability_ids", "vulnerability"),
            Relation::new("existing_control_ids", "control"),
        ],
        limited_by: &[
            SCOPED,
            (
                Limit::Frameworks,
                By::ReadOnly("risks concern the whole ISMS, whatever the framework"),
            ),
            PERIOD,
        ],
        ..Kind::PLAIN
    };
    type State = Scores;
    fn example() -> Value {
        json!({"name": "Customer data leaks through a stolen account",
            "description": "An account with wide rights is taken over.",
                "consequence": "Customers leave; a fine.",
            "category": "access", "affected_properties": ["confidentiality"]})
    }
    fn rank(record: &Record<Self>) -> Option<i32> {
        let scores = &record.state;
        scores
            .current
            .as_ref()
            .or(scores.inherent.as_ref())
            .map(|score| score.score)
    }
    fn changeable(record: &Record<Self>) -> Result<()> {
        match record.spine.status.as_str() {
            "open" => Ok(()),
            status => Err(Problem::new(
                Code::IllegalTransition,
                "The risk is closed. Reopen it before you change it.",
            )
            .allowing(Self::KIND.allowed(status))),
        }
    }
    fn computed(reader: &mut Reader<'_>, rows: &[Row]) -> Result<Vec<String>> {
        let said = rows
            .iter()
            .map(|row| acceptable(&row.body))
            .collect::<Result<Vec<_>>>()?;
        let above: Vec<Id> = rows
            .iter()
            .zip(&said)
            .filter(|(_, acceptable)| **acceptable == Some(false))
            .map(|(row, _)| row.id)
            .collect();
        let standing = if above.is_empty() {
            BTreeMap::new()
        } else {
            standing::of_risks(reader, &above)?
        };
        let word = |(row, acceptable): (&Row, &Option<bool>)| {
            let word: &'static str = evaluation(
                *acceptable,
                standing.get(&row.id).copied().unwrap_or_default(),
            )
            .into();
            format!("\"evaluation\":\"{word}\"")
        };
        Ok(rows.iter().zip(&said).map(word).collect())
    }
    fn computed_schemas() -> Vec<(&'static str, Value)> {
        vec![(
            "evaluation",
            json!({"$ref": "#/components/schemas/Evaluation"}),
        )]
    }
    fn counts(
        reader: &mut Reader<'_>,
        records: Again<'_>,
    ) -> Result<serde_json::Map<String, Value>> {
        counts::of(reader, records)
    }
    fn counts_schemas() -> Vec<(&'static str, Value)> {
        counts::schemas()
    }
    fn review_days(reader: &mut Reader<'_>, record: &Record<Self>) -> Result<Option<i32>> {
        assessment::review_days(reader, record)
    }
    fn more_schemas(to: &mut Vec<(String, utoipa::openapi::RefOr<utoipa::openapi::Schema>)>) {
        to.push((Evaluation::name().into(), Evaluation::schema()));
    }
}

/// Pure: is the current level of this image within the acceptance criteria? A page asks of 50, so
/// only what stands behind its one `"current":` is read (an unescaped quote ends a text, so no text
/// has that inside; what has the member more than once is read whole).
fn acceptable(image: &str) -> Result<Option<bool>> {
    #[derive(Deserialize)]
    struct Seen {
        current: Option<Acceptable>,
    }
    #[derive(Deserialize)]
    struct Acceptable {
        acceptable: bool,
    }
    let mut places = image.split("\"current\":").skip(1);
    if let (Some(rest), None) = (places.next(), places.next()) {
        for (begin, said) in [
            ("null", None),
            ("{\"acceptable\":true,", Some(true)),
            ("{\"acceptable\":false,", Some(false)),
        ] {
            if rest.starts_with(begin) {
                return Ok(said);
            }
        }
    }
    let seen: Seen = serde_json::from_str(image).map_err(Problem::internal)?;
    Ok(seen.current.map(|score| score.acceptable))
}

/// Pure: what a current level asks for, with what stands against it.
pub fn evaluation(acceptable: Option<bool>, standing: Standing) -> Evaluation {
    match (acceptable, standing) {
        (None, _) => Evaluation::NotAssessed,
        (Some(true), _) => Evaluation::Acceptable,
        (_, Standing { accepted: true, .. }) => Evaluation::Accepted,
        (_, Standing { underway: true, .. }) => Evaluation::InTreatment,
        (_, Standing { lapsed: true, .. }) => Evaluation::AcceptanceLapsed,
        _ => Evaluation::TreatmentNeeded,
    }
}

/// The same as a condition on the spine.
fn evaluated(wanted: &[Evaluation], then: &ListContext) -> Option<Condition> {
    let current = |acceptable: Option<bool>| match acceptable {
        None => own::<Risk>(r::current_acceptable.is_null()),
        Some(said) => own::<Risk>(r::current_acceptable.eq(said)),
    };
    let (seq, today) = (then.seq, then.today);
    let (accepted, underway, once) = (
        Accepted { seq, today },
        Treated::underway(seq),
        Treated::accepted_once(seq),
    );
    let above = |standing: Condition| sight::both(current(Some(false)), standing);
    let one = |evaluation: &Evaluation| match evaluation {
        Evaluation::NotAssessed => current(None),
        Evaluation::Acceptable => current(Some(true)),
        Evaluation::Accepted => above(Box::new(accepted)),
        Evaluation::InTreatment => above(Box::new(underway.and(not(accepted)))),
        Evaluation::AcceptanceLapsed => above(Box::new(once.and(not(accepted)).and(not(underway)))),
        Evaluation::TreatmentNeeded => above(Box::new(not(underway).and(not(once)))),
    };
    wanted.iter().map(one).reduce(|a, b| Box::new(a.or(b)))
}

crate::columns! {
    risks of Risk as risk {
        category,
        affects_confidentiality = risk.own.affects(Property::Confidentiality),
        affects_integrity = risk.own.affects(Property::Integrity),
        affects_availability = risk.own.affects(Property::Availability),
        inherent_likelihood = risk.state.inherent.as_ref().map(|score| score.likelihood),
        inherent_impact = risk.state.inherent.as_ref().map(|score| score.impact),
        inherent_level = risk.state.inherent.as_ref().map(|score| &score.level),
        current_likelihood = risk.state.current.as_ref().map(|score| score.likelihood),
        current_impact = risk.state.current.as_ref().map(|score| score.impact),
        current_level = risk.state.current.as_ref().map(|score| &score.level),
        current_acceptable = risk.state.current.as_ref().map(|score| score.acceptable),
        current_rank = risk.state.current.as_ref().map(|score| score.level_rank),
        residual_likelihood = risk.state.residual.as_ref().map(|score| score.likelihood),
        residual_impact = risk.state.residual.as_ref().map(|score| score.impact),
        residual_level = risk.state.residual.as_ref().map(|score| &score.level),
    }
    /// What a list of risks can be filtered by.
    pub struct RiskFilter {
        /// Any of these current levels.
        #[param(max_items = 10, max_length = 32)]
        level: Vec<String> => any(current_level),
        /// Any of these inherent levels.
        #[param(max_items = 10, max_length = 32)]
        inherent_level: Vec<String> => any(inherent_level),
        /// Any of these evaluations.
        #[param(max_items = 10)]
        evaluation: Vec<Evaluation> => with(evaluated),
        /// Any of these categories.
        #[param(max_items = 50, max_length = 100)]
        category: Vec<String> => any(category),
        /// Without any treatment that was not cancelled, or with one.
        treatment_none: Option<bool> => with(untreated),
        /// Any of these properties at risk.
        #[param(max_items = 3)]
        affected_property: Vec<Property> => row(affecting),
    }
}

impl Risk {
    fn affects(&self, property: Property) -> bool {
        self.affected_properties.contains(&property)
    }
}

fn affecting(properties: &[Property]) -> Vec<Test> {
    let one = |property: &Property| -> Test {
        match property {
            Property::Confidentiality => Box::new(r::affects_confidentiality.eq(true)),
            Property::Integrity => Box::new(r::affects_integrity.eq(true)),
            Property::Availability => Box::new(r::affects_availability.eq(true)),
        }
    };
    properties.iter().map(one).collect()
}

fn untreated(wanted: &Option<bool>, then: &ListContext) -> Option<Condition> {
    let treated = Treated::at_all(then.seq);
    Some(match (*wanted)? {
        true => Box::new(not(treated)),
        false => Box::new(treated),
    })
}

const STEPS: &[Step<Risk>] = &[
    Step::to("close", &["open"], "closed")
        .says(
            "Close {a}",
            "It is dealt with. One above the acceptance criteria is closed only with an \
                acceptance that holds, or after a completed treatment; one that was never \
                assessed only with a comment that says why.",
        )
        .decides()
        .body(&With::<Risk, OptionalComment>(closed)),
    Step::to("reopen", &["closed"], "open")
        .says("Reopen {a}", "It is there again; the comment says why.")
        .because(),
];
const STATES: [Transition; 2] = workflow::transitions(STEPS);

fn closed(
    tx: &mut Tx<'_, Steps<Risk>>,
    record: &mut Record<Risk>,
    said: OptionalComment,
) -> Result<()> {
    let silent = said.comment.is_none_or(|text| text.trim().is_empty());
    if record.state.current.is_none() && silent {
        let why = "the risk was never assessed: say why you close it anyway";
        return Err(Problem::invalid_one("/comment", "required", why));
    }
    let current = record.state.current.as_ref();
    let above = current.is_some_and(|score| !score.acceptable);
    let rank = current.map(|score| score.level_rank);
    match above && !standing::settled(&mut tx.reader(), record.spine.id, rank)? {
        true => Err(Problem::new(
            Code::IllegalTransition,
            "The current level is above the acceptance criteria. Accept the risk, or complete a \
                treatment.",
        )),
        false => Ok(()),
    }
}

/// Mounts what is particular to risks.
pub fn actions(api: &mut Api<'_>) {
    get_matrix::mount(api);
    trend::mount(api);
    assessment::mount(api);
    rescore::mount(api);
    workflow::mount(api, STEPS);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_acceptance_of_an_image_is_found() {
        let of = |image: Value| acceptable(&image.to_string()).ok();
        let score = |acceptable: bool| json!({"acceptable": acceptable, "level": "high"});
        for text in [
            "plain",
            "\"current\":{\"acceptable\":true,",
            "\\\"current\":null",
        ] {
            assert_eq!(
                of(json!({"current": score(false), "name": text})),
                Some(Some(false)),
                "{text}"
            );
            assert_eq!(
                of(json!({"current": score(true), "description": text})),
                Some(Some(true)),
                "{text}"
            );
            assert_eq!(
                of(json!({"aim": text, "current": null})),
                Some(None),
                "{text}"
            );
            assert_eq!(
                of(json!({"current": score(false), "custom": {"current": text}})),
                Some(Some(false)),
                "{text}"
            );
        }
        assert_eq!(of(json!({"custom": {"current": null}})), Some(None));
        assert!(acceptable("{\"current\":7}").is_err());
    }
}
