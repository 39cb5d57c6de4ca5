//! What a push says of its evidence, and how the document describes it.
use crate::core::{Code, Instant, Invalid, Problem, Result};
use crate::http::{Document, Guard, Push, describe};
use crate::records::body::{held, part};
use crate::records::{Body, Common, Resource, Sound};
use crate::registers::evidence::outcome::EvidenceOutcome;
use crate::registers::evidence::{Evidence, retention};
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use validator::Validate;

/// What a push says of its evidence, beside what every record has.
#[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Told {
    /// Where it comes from; a key that is limited to one source need not say.
    #[serde(default, deserialize_with = "crate::core::text::composed_name")]
    #[validate(custom(function = crate::core::text::legible))]
    #[schema(min_length = 1, max_length = 200)]
    pub source: Option<String>,
    /// What the source calls it.
    #[serde(default, deserialize_with = "crate::core::text::composed_name")]
    #[validate(custom(function = crate::core::text::legible))]
    #[schema(min_length = 1, max_length = 200)]
    pub external_id: Option<String>,
    /// When it was collected; now, when absent.
    pub collected_at: Option<Instant>,
    /// What it showed, where it is a test: a current one that failed makes its controls failing.
    pub outcome: Option<EvidenceOutcome>,
    /// The first day that it covers.
    pub period_start_on: Option<NaiveDate>,
    /// The last day that it covers.
    pub period_end_on: Option<NaiveDate>,
    /// The last day on which it proves something.
    pub expires_on: Option<NaiveDate>,
    /// The day until which it must be kept, at most 50 years ahead. A collector does not say it.
    pub retain_until_on: Option<NaiveDate>,
    /// Is it a provider's own attestation (a certificate, an assurance report)? Only such evidence
    /// proves what a provider does. A collector does not say it.
    pub attests: Option<bool>,
}

const TOLD: &[&str] = &[
    "source",
    "external_id",
    "collected_at",
    "outcome",
    "period_start_on",
    "period_end_on",
    "expires_on",
    "retain_until_on",
    "attests",
];

/// What was told, and what every record has; every fault is named.
pub fn read(
    guard: &Guard<Push<Evidence>>,
    mut metadata: Map<String, Value>,
) -> Result<(Told, Sound<Evidence>)> {
    let schema = guard.house().schemas().sent("EvidenceMetadata")?;
    let mut faults = held(Some(schema), &mut metadata);
    let (told, rest): (Map<_, _>, Map<_, _>) = metadata
        .into_iter()
        .partition(|(name, _)| TOLD.contains(&name.as_str()));
    let told = part::<Told>(told, Map::new, &mut faults);
    let sound = Body::<Evidence>::taken(rest, faults).sound()?;
    let mut told = told.ok_or_else(|| Problem::internal("a push that says nothing"))?;
    let limits = &guard.caller().limits;
    let source = told
        .source
        .take()
        .unwrap_or_else(|| match limits.sources.as_slice() {
            [only] => only.clone(),
            _ => "manual".into(),
        });
    if !limits.sources.is_empty() && !limits.sources.contains(&source) {
        return Err(Problem::new(
            Code::OutsideLimits,
            "Your key is limited to other sources.",
        ));
    }
    told.source = Some(source);
    if guard.caller().collects() {
        for_people(&told)?;
    }
    let now = guard.house().clock().now();
    let (start, end) = (told.period_start_on, told.period_end_on);
    let early = told
        .collected_at
        .is_some_and(|at| at > now.plus_millis(300_000));
    let faults = [
        Invalid::backwards(("period_start_on", start), ("period_end_on", end)),
        early.then(|| Invalid::body("/collected_at", "later_than_now", "is in the future")),
        retention::too_long(told.retain_until_on, now.utc().date_naive()),
    ];
    let faults: Vec<Invalid> = faults.into_iter().flatten().collect();
    if faults.is_empty() {
        Ok((told, sound))
    } else {
        Err(Problem::invalid(faults))
    }
}

/// What a machine does not say: how long something must be kept, and that it is a provider's word.
fn for_people(told: &Told) -> Result<()> {
    let said = [
        ("retain_until_on", told.retain_until_on.is_some()),
        ("attests", told.attests == Some(true)),
    ];
    let faults: Vec<Invalid> = said
        .into_iter()
        .filter(|(_, said)| *said)
        .map(|(member, _)| {
            Invalid::body(
                format!("/{member}"),
                "forbidden",
                "collectors cannot set this; ask a manager",
            )
        })
        .collect();
    match faults.is_empty() {
        true => Ok(()),
        false => {
            let detail = "Collectors cannot decide how long evidence is kept, or that it is a \
                provider's attestation.";
            Err(Problem::new(Code::Forbidden, detail).listing(faults))
        }
    }
}

/// What can be pushed.
pub fn schemas(to: &mut Document) {
    let nullable = |(name, schema): (String, Value)| {
        let schema = if name == "name" {
            schema
        } else {
            describe::nullable(schema)
        };
        (name, schema)
    };
    let payload = json!({"description": "Any JSON value but null; kept and hashed in its \
        canonical form (RFC 8785).", "$ref": "#/components/schemas/AnyValue"});
    let common = describe::members::<Common>()
        .into_iter()
        .chain(describe::members::<Evidence>())
        .chain(describe::members::<Told>());
    let links = Evidence::KIND
        .all_relations()
        .map(|relation| describe::link(relation, true));
    let told: Map<String, Value> = common.chain(links).map(nullable).collect();
    let mut with_payload = told.clone();
    with_payload.insert("payload".into(), payload);
    let about = "Evidence to push: a payload here, or a file beside it as multipart.";
    to.schema(
        "EvidenceInput",
        json!({"type": "object", "description": about,
        "additionalProperties": false, "required": ["name", "payload"], "properties": with_payload,
        "example": {"name": "Backup report", "source": "backup", "external_id": "nightly",
            "collected_at": "2026-11-20T03:00:00Z", "payload": {"jobs": 12, "failed": 0}}}),
    );
    to.schema(
        "EvidenceMetadata",
        json!({"type": "object", "description": "What is told of a \
        file.", "additionalProperties": false, "required": ["name"], "properties": told}),
    );
    to.schema(
        "EvidenceUpload",
        json!({"type": "object", "description": "A file with what is told \
        of it.", "additionalProperties": false, "required": ["metadata", "file"],
        "properties": {"metadata": {"$ref": "#/components/schemas/EvidenceMetadata"},
            "file": {"type": "string", "format": "binary", "maxLength": 104857600,
                "description": "The file, up to 100 MiB by default."}}}),
    );
}
