//! Evidence (ISO/IEC 27001:2022 7.5.3, 9.1): a file or a JSON payload, kept by its SHA-256 and
//! never changed. Identity is source, external id and moment of collection; a later piece
//! supersedes the one before. How it comes in is in `push`, how it goes out in `content`.
pub mod content;
pub mod freshness;
pub mod identity;
pub mod limits;
pub mod outcome;
pub mod proving;
pub mod push;
pub mod receipt;
pub mod receive;
pub mod retention;
pub mod sink;
pub mod told;

use crate::core::{Code, Id, Instant, Problem, Result};
use crate::db::schema::evidence;
use crate::http::{Api, Step, With, workflow};
use crate::records::limit::{self, Facts};
use crate::records::{
    By, Kind, Limit, Reader, Record, Relation, Resource, Row, SCOPED, Transition,
};
use crate::registers::asset::Classification;
use crate::registers::evidence::freshness::{Freshness, any_fresh, freshness};
use crate::registers::evidence::limits::{of_period, of_sources, own_pushes};
use crate::registers::evidence::outcome::EvidenceOutcome;
use crate::registers::evidence::receipt::{Receipt, receipts};
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{PartialSchema, ToSchema};
use validator::Validate;

/// What of evidence clients may change.
#[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// How widely it may be known.
    #[serde(default = "internal")]
    pub confidentiality: Classification,
    /// The requirements that it proves, beside those of its controls. (Other records that it proves
    /// are its `subject_ids`.)
    #[serde(default)]
    #[schema(max_items = 200, max_length = 120)]
    pub requirements: Vec<String>,
}
fn internal() -> Classification {
    Classification::Internal
}

/// What stays as it was pushed.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Pushed {
    /// Where it comes from.
    #[schema(max_length = 200)]
    pub source: String,
    /// What the source calls it.
    #[schema(required, max_length = 200)]
    pub external_id: Option<String>,
    /// When it was collected.
    pub collected_at: Instant,
    /// The day of that, where the organization is.
    pub collected_on: NaiveDate,
    /// What it showed, where it is a test: one that failed makes its controls failing; null for
    /// evidence that is none.
    #[schema(required)]
    pub outcome: Option<EvidenceOutcome>,
    /// The first day that it covers.
    #[schema(required)]
    pub period_start_on: Option<NaiveDate>,
    /// The last day that it covers.
    #[schema(required)]
    pub period_end_on: Option<NaiveDate>,
    /// The last day on which it proves something.
    #[schema(required)]
    pub expires_on: Option<NaiveDate>,
    /// The day until which it must be kept.
    #[schema(required)]
    pub retain_until_on: Option<NaiveDate>,
    /// Is it a provider's own attestation (a certificate, an assurance report)? Only such evidence
    /// proves what a provider does.
    pub attests: bool,
    /// What the file was called; null for a payload.
    #[schema(required, max_length = 255)]
    pub file_name: Option<String>,
    /// SHA-256 of the content, in hexadecimal digits. For a payload, of its canonical JSON (RFC
    /// 8785).
    #[schema(min_length = 64, max_length = 64, pattern = "^[0-9a-f]{64}$")]
    pub sha256: String,
    /// Bytes of the content.
    #[schema(minimum = 0)]
    pub size_bytes: i64,
    /// Media type of the content, as far as its first bytes tell.
    #[schema(max_length = 255)]
    pub media_type: String,
    /// The later piece that took its place.
    #[schema(required)]
    pub superseded_by_id: Option<Id>,
    /// The account that pushed it.
    pub pushed_by_id: Id,
}
impl Default for Pushed {
    fn default() -> Self {
        Pushed {
            source: String::new(),
            external_id: None,
            collected_at: Instant::new(chrono::DateTime::UNIX_EPOCH),
            collected_on: NaiveDate::default(),
            outcome: None,
            period_start_on: None,
            period_end_on: None,
            expires_on: None,
            retain_until_on: None,
            attests: false,
            file_name: None,
            sha256: String::new(),
            size_bytes: 0,
            media_type: String::new(),
            superseded_by_id: None,
            pushed_by_id: Id(uuid::Uuid::nil()),
        }
    }
}

impl Resource for Evidence {
    const KIND: Kind = Kind {
        name: "evidence",
        path: "evidence",
        code: "EVD",
        about: "Evidence: what proves that it is done (7.5.3, 9.1).",
        transitions: &STATES,
        relations: &[
            Relation::new("control_ids", "control"),
            Relation::new("subject_ids", "").freed_when(&["active", "on_hold"]),
        ],
        cites: true,
        personal: &["file_name"],
        limited_by: &[
            SCOPED,
            (Limit::Frameworks, By::Citations),
            (Limit::Controls, By::Controls),
            (Limit::Sources, By::Fact("its `source`", of_sources)),
            (Limit::Period, By::Fact("its `collected_on`", of_period)),
        ],
        also: Some(own_pushes),
        ..Kind::PLAIN
    };
    type State = Pushed;
    fn facts(record: &Record<Self>) -> Facts {
        let (frameworks, said) = (
            limit::frameworks_of(&record.own.requirements),
            &record.state,
        );
        Facts {
            frameworks,
            source: Some(said.source.clone()),
            collected_on: Some(said.collected_on),
        }
    }
    fn example() -> Value {
        json!({"name": "Access review Q3", "confidentiality": "internal",
            "requirements": ["iso-27001-2022:A.5.18"]})
    }
    fn requirements(&self) -> &[String] {
        &self.requirements
    }
    fn checked(record: &Record<Self>, before: Option<&Record<Self>>, _: NaiveDate) -> Result<()> {
        match before {
            Some(before) if before.spine.status == "on_hold" && !only_links(before, record)? => {
                Err(Problem::new(
                    Code::Retained,
                    "The record is on hold: release it first. Until then, only links can be added.",
                ))
            }
            _ => Ok(()),
        }
    }
    fn archivable(record: &Record<Self>, today: NaiveDate) -> Result<()> {
        let kept = |detail: String| Err(Problem::new(Code::Retained, detail));
        match (record.spine.status.as_str(), record.state.retain_until_on) {
            ("on_hold", _) => kept("The record is on hold. Release it first.".into()),
            (_, Some(until)) if until >= today => {
                kept(format!("The record must be kept until {until}."))
            }
            _ => Ok(()),
        }
    }
    fn computed(reader: &mut Reader<'_>, rows: &[Row]) -> Result<Vec<String>> {
        let ids: Vec<Id> = rows.iter().map(|row| row.id).collect();
        let (fresh, receipts) = (freshness(reader, rows)?, receipts(reader, &ids)?);
        let text = |row: &Row| {
            let word = fresh.get(&row.id).map_or("current", |fresh| fresh.into());
            let receipt = receipts
                .get(&row.id)
                .ok_or_else(|| Problem::internal("evidence without its first entry"))?;
            Ok(format!(
                "\"freshness\":\"{word}\",\"receipt\":{}",
                serde_json::to_string(receipt).map_err(Problem::internal)?
            ))
        };
        rows.iter().map(text).collect()
    }
    fn computed_schemas() -> Vec<(&'static str, Value)> {
        vec![
            (
                "freshness",
                json!({"$ref": "#/components/schemas/Freshness"}),
            ),
            ("receipt", json!({"$ref": "#/components/schemas/Receipt"})),
        ]
    }
    fn more_schemas(to: &mut Vec<(String, utoipa::openapi::RefOr<utoipa::openapi::Schema>)>) {
        to.push((Freshness::name().into(), Freshness::schema()));
        to.push((EvidenceOutcome::name().into(), EvidenceOutcome::schema()));
        to.push((Receipt::name().into(), Receipt::schema()));
    }
}

/// Is all that it says what it said before, but for links that were added?
fn only_links(before: &Record<Evidence>, now: &Record<Evidence>) -> Result<bool> {
    const ADDED: [&str; 2] = ["control_ids", "subject_ids"];
    let kept = |member: &&str| {
        before
            .links
            .many(member)
            .iter()
            .all(|id| now.links.many(member).contains(id))
    };
    let cited = before
        .own
        .requirements
        .iter()
        .all(|cited| now.own.requirements.contains(cited));
    let mut bare = now.clone();
    ADDED
        .into_iter()
        .for_each(|member| bare.links.set(member, before.links.many(member).to_vec()));
    bare.own.requirements.clone_from(&before.own.requirements);
    Ok(cited && ADDED.iter().all(kept) && bare.body()? == before.body()?)
}

crate::columns! {
    evidence of Evidence as piece {
        source = &piece.state.source,
        external_id = &piece.state.external_id,
        collected_at = piece.state.collected_at,
        collected_on = piece.state.collected_on,
        period_start_on = piece.state.period_start_on,
        period_end_on = piece.state.period_end_on,
        expires_on = piece.state.expires_on,
        retain_until_on = piece.state.retain_until_on,
        confidentiality,
        hold = piece.spine.status == "on_hold",
        attests = piece.state.attests,
        sha256 = &piece.state.sha256,
        superseded_by_id = piece.state.superseded_by_id,
        pushed_by = piece.state.pushed_by_id,
        outcome = piece.state.outcome,
    }
    /// What a list of evidence can be filtered by.
    pub struct EvidenceFilter {
        /// From any of these sources.
        #[param(max_items = 50, max_length = 200)]
        source: Vec<String> => any(source),
        /// With any of these names at the source.
        #[param(max_items = 50, max_length = 200)]
        external_id: Vec<String> => any(external_id),
        /// With any of these contents.
        #[param(max_items = 50, max_length = 64)]
        sha256: Vec<String> => any(sha256),
        /// Any of these classes.
        #[param(max_items = 10)]
        confidentiality: Vec<Classification> => any(confidentiality),
        /// Current, expired or superseded.
        #[param(max_items = 3)]
        freshness: Vec<Freshness> => with(any_fresh),
        /// Tests with any of these outcomes.
        #[param(max_items = 3)]
        outcome: Vec<EvidenceOutcome> => any(outcome),
        /// A provider's attestation, or not.
        #[param(max_items = 2)]
        attests: Vec<bool> => any(attests),
        /// Superseded, or not.
        #[param(max_items = 2)]
        superseded: Vec<bool> => set(superseded_by_id),
        /// Collected at this moment or later.
        #[param(value_type = Option<String>, format = DateTime)]
        collected_at_since: Option<Instant> => since(collected_at),
        /// Collected before this moment.
        #[param(value_type = Option<String>, format = DateTime)]
        collected_at_before: Option<Instant> => before(collected_at),
        /// Expires on this day or later.
        expires_on_since: Option<NaiveDate> => since(expires_on),
        /// Expires before this day.
        expires_on_before: Option<NaiveDate> => before(expires_on),
        /// Its period ends on this day or later.
        period_end_on_since: Option<NaiveDate> => since(period_end_on),
        /// Its period ends before this day.
        period_end_on_before: Option<NaiveDate> => before(period_end_on),
    }
}

const STEPS: &[Step<Evidence>] = &[
    Step::to("hold", &["active"], "on_hold")
        .says(
            "Put evidence on hold",
            "Until it is released, it cannot be archived, superseded or changed; only links to \
                controls, requirements and subjects can be added. The comment says why.",
        )
        .because(),
    Step::to("release", &["on_hold"], "active")
        .says("Release evidence from hold", "The comment says why.")
        .because(),
    Step::to("retain", &["active"], "active")
        .says(
            "Change how long evidence must be kept",
            "Until that day it cannot be archived; a sooner one, or none, ends it earlier. The \
                comment says why. What is on hold is released first.",
        )
        .commented()
        .body(&With::<Evidence, retention::Retention>(retention::retained)),
];
const STATES: [Transition; 3] = workflow::transitions(STEPS);

/// Mounts what is particular to evidence.
pub fn actions(api: &mut Api<'_>) {
    push::mount(api);
    content::mount(api);
    workflow::mount(api, STEPS);
}
