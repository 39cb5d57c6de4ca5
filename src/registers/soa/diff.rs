//! The difference between two statements of applicability: frozen versions, past days or moments,
//! and what stands now. What changed is told, not what follows from it (counts of evidence and of
//! risks).
use crate::access::Caller;
use crate::core::catalogue::Framework;
use crate::core::{Id, Instant, Invalid, Problem, Result};
use crate::http::format::CSV;
use crate::http::{Answer, At, Guard, Read, ViewQuery};
use crate::ledger::AsOf;
use crate::records::{Reader, Resource};
use crate::registers::control::proof::Operation;
use crate::registers::framework::asked;
use crate::registers::scope::Scope;
use crate::registers::soa::applicability::Applicability;
use crate::registers::soa::statements;
use crate::registers::soa::{
    ControlRef, ImplementationState, OwnControl, SoaEntry, SoaReason, SoaSummary,
    StatementOfApplicability, compute, versions,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use utoipa::{IntoParams, ToSchema};

/// A side of the comparison.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
enum Side {
    InForce,
    Version(i32),
    Then(AsOf),
    Live,
}

/// What was compared.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct SoaSide {
    /// The frozen version; null for a moment.
    #[schema(required, minimum = 1)]
    pub number: Option<i32>,
    /// Its clock: when it was frozen, the moment that was asked for, or now.
    pub at: Instant,
    /// In numbers.
    pub summary: SoaSummary,
}

/// What a requirement or a control says in a statement, as far as it is compared.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct SoaFace {
    /// Does it apply?
    pub applicable: bool,
    /// Was it decided? Null of a control outside the framework.
    #[schema(required)]
    pub decided: Option<bool>,
    /// Why, or why not.
    #[schema(required, max_length = 4000)]
    pub justification: Option<String>,
    /// What asks for it.
    #[schema(max_items = 4)]
    pub reasons: Vec<SoaReason>,
    /// How far it is.
    #[schema(required)]
    pub implementation: Option<ImplementationState>,
    /// Whether it works.
    #[schema(required)]
    pub operation: Option<Operation>,
}

/// A requirement that says something else.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct SoaEntryChange {
    /// The requirement.
    #[schema(max_length = 120)]
    pub requirement: String,
    /// Its short title.
    #[schema(max_length = 300)]
    pub title: String,
    /// The members that differ; `controls` where some were added or removed.
    #[schema(max_items = 10, max_length = 32)]
    pub changed: Vec<&'static str>,
    /// What it said; null where it was not there.
    #[schema(required)]
    pub from: Option<SoaFace>,
    /// What it says; null where it is not there any more.
    #[schema(required)]
    pub to: Option<SoaFace>,
    /// Controls that it names now and did not before.
    #[schema(max_items = 200)]
    pub controls_added: Vec<ControlRef>,
    /// Controls that it named before and does not now.
    #[schema(max_items = 200)]
    pub controls_removed: Vec<ControlRef>,
}

/// A control outside the framework that was added, removed or changed.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct OwnControlChange {
    /// The control.
    pub control: ControlRef,
    /// The members that differ; empty where it was added or removed.
    #[schema(max_items = 10, max_length = 32)]
    pub changed: Vec<&'static str>,
    /// What it said; null where it was added.
    #[schema(required)]
    pub from: Option<SoaFace>,
    /// What it says; null where it was removed.
    #[schema(required)]
    pub to: Option<SoaFace>,
}

/// The difference between two statements of applicability.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct SoaDiff {
    /// The scope.
    pub scope_id: Id,
    /// The framework.
    #[schema(max_length = 64)]
    pub framework: String,
    /// The earlier side, as it was asked for.
    pub from: SoaSide,
    /// The later side.
    pub to: SoaSide,
    /// The requirements that differ, in natural order.
    #[schema(max_items = 5000)]
    pub entries: Vec<SoaEntryChange>,
    /// The controls outside the framework that differ.
    #[schema(max_items = 10000)]
    pub own_controls: Vec<OwnControlChange>,
}

impl SoaFace {
    fn of(entry: &SoaEntry) -> Self {
        SoaFace {
            applicable: entry.applicable,
            decided: Some(entry.decided),
            justification: entry.justification.clone(),
            reasons: entry.reasons.clone(),
            implementation: entry.implementation,
            operation: entry.operation,
        }
    }
    fn of_own(control: &OwnControl) -> Self {
        let (implementation, operation) = (Some(control.implementation), Some(control.operation));
        SoaFace {
            applicable: true,
            decided: None,
            justification: None,
            reasons: control.reasons.clone(),
            implementation,
            operation,
        }
    }
    /// Pure: the members that differ.
    fn against(&self, other: &SoaFace) -> Vec<&'static str> {
        let all = [
            ("applicable", self.applicable != other.applicable),
            ("decided", self.decided != other.decided),
            ("justification", self.justification != other.justification),
            ("reasons", self.reasons != other.reasons),
            (
                "implementation",
                self.implementation != other.implementation,
            ),
            ("operation", self.operation != other.operation),
        ];
        all.into_iter()
            .filter(|(_, differs)| *differs)
            .map(|(name, _)| name)
            .collect()
    }
}

/// Pure: what one list of controls has that the other has not.
fn beyond(these: &[ControlRef], those: &[ControlRef]) -> Vec<ControlRef> {
    let there: BTreeSet<Id> = those.iter().map(|control| control.id).collect();
    these
        .iter()
        .filter(|control| !there.contains(&control.id))
        .cloned()
        .collect()
}

/// Pure: the requirements that differ.
fn entries(from: &[SoaEntry], to: &[SoaEntry]) -> Vec<SoaEntryChange> {
    let before: BTreeMap<&str, &SoaEntry> = from
        .iter()
        .map(|entry| (entry.requirement.as_str(), entry))
        .collect();
    let there: BTreeSet<&str> = to.iter().map(|entry| entry.requirement.as_str()).collect();
    let gone = from
        .iter()
        .filter(|entry| !there.contains(entry.requirement.as_str()))
        .map(|entry| (Some(entry), None));
    let pairs = to
        .iter()
        .map(|entry| (before.get(entry.requirement.as_str()).copied(), Some(entry)))
        .chain(gone);
    let change = |(from, to): (Option<&SoaEntry>, Option<&SoaEntry>)| {
        let named = from.or(to)?;
        let controls = |entry: Option<&SoaEntry>| {
            entry
                .map(|entry| entry.controls.clone())
                .unwrap_or_default()
        };
        let (had, has) = (controls(from), controls(to));
        let (controls_added, controls_removed) = (beyond(&has, &had), beyond(&had, &has));
        let (before, after) = (from.map(SoaFace::of), to.map(SoaFace::of));
        let mut changed = before
            .as_ref()
            .zip(after.as_ref())
            .map(|(before, after)| before.against(after))
            .unwrap_or_default();
        if !controls_added.is_empty() || !controls_removed.is_empty() {
            changed.push("controls");
        }
        let same = changed.is_empty() && before.is_some() && after.is_some();
        let (requirement, title) = (named.requirement.clone(), named.title.clone());
        (!same).then_some(SoaEntryChange {
            requirement,
            title,
            changed,
            from: before,
            to: after,
            controls_added,
            controls_removed,
        })
    };
    pairs.filter_map(change).collect()
}

/// Pure: the controls outside the framework that differ.
fn own_controls(from: &[OwnControl], to: &[OwnControl]) -> Vec<OwnControlChange> {
    let before: BTreeMap<Id, &OwnControl> =
        from.iter().map(|control| (control.id, control)).collect();
    let there: BTreeSet<Id> = to.iter().map(|control| control.id).collect();
    let gone = from
        .iter()
        .filter(|control| !there.contains(&control.id))
        .map(|control| (Some(control), None));
    let pairs = to
        .iter()
        .map(|control| (before.get(&control.id).copied(), Some(control)))
        .chain(gone);
    let change = |(from, to): (Option<&OwnControl>, Option<&OwnControl>)| {
        let named = to.or(from)?;
        let control = ControlRef {
            id: named.id,
            code: named.code.clone(),
            name: named.name.clone(),
        };
        let (before, after) = (from.map(SoaFace::of_own), to.map(SoaFace::of_own));
        let changed = before
            .as_ref()
            .zip(after.as_ref())
            .map(|(before, after)| before.against(after))
            .unwrap_or_default();
        let same = changed.is_empty() && before.is_some() && after.is_some();
        (!same).then_some(OwnControlChange {
            control,
            changed,
            from: before,
            to: after,
        })
    };
    pairs.filter_map(change).collect()
}

impl TryFrom<String> for Side {
    type Error = String;
    fn try_from(text: String) -> std::result::Result<Side, String> {
        match text.as_str() {
            "live" => Ok(Side::Live),
            digits if digits.bytes().all(|digit| digit.is_ascii_digit()) => digits
                .parse()
                .map(Side::Version)
                .map_err(|_| "must be the number of a version".into()),
            moment => moment
                .parse()
                .map(Side::Then)
                .map_err(|fault: Invalid| fault.detail),
        }
    }
}

/// The statement of a side. A version of another framework is refused.
fn statement(
    reader: &mut Reader<'_>,
    caller: &Caller,
    (scope, framework): (Id, &Framework),
    (name, side): (&'static str, Side),
) -> Result<(SoaSide, StatementOfApplicability)> {
    let (number, at, statement) = match side {
        Side::Live => (None, reader.moment.at, compute(reader, scope, framework)?),
        Side::Then(as_of) => {
            let (now, settings, kinds) = (reader.moment.at, reader.settings, reader.kinds());
            let mut then = Reader::open(reader.conn(), caller, kinds, Some(as_of), now, settings)?;
            (None, then.moment.at, compute(&mut then, scope, framework)?)
        }
        Side::InForce | Side::Version(_) => {
            let number = match side {
                Side::Version(number) => number,
                _ => versions::number_in_force(reader, scope, &framework.slug)?,
            };
            let (record, _) = versions::numbered(reader, scope, number)?;
            if record.own.framework != framework.slug {
                let detail = format!(
                    "version {number} is of {}; send that `framework`",
                    record.own.framework
                );
                return Err(Problem::parameter(name, detail));
            }
            (
                Some(number),
                record.spine.created_at,
                versions::read(&statements::read(reader, &record.state.sha256)?.0)?,
            )
        }
    };
    Ok((
        SoaSide {
            number,
            at,
            summary: statement.summary.clone(),
        },
        statement,
    ))
}

/// What can be asked of `getSoaDiff`.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct SoaDiffQuery {
    /// The number of a version, a date, or `live`; the version in force when absent, and 404
    /// without one.
    #[param(value_type = Option<String>, max_length = 64, example = "2026-03-31")]
    from: Option<Side>,
    /// The same; `live` when absent.
    #[param(value_type = Option<String>, max_length = 64, example = "live")]
    to: Option<Side>,
    /// The framework; ISO/IEC 27001:2022 when absent.
    #[param(max_length = 64)]
    framework: Option<String>,
}

async fn get_diff(
    guard: Guard<Read<Applicability>>,
    at: At,
    query: ViewQuery<SoaDiffQuery>,
) -> Result<Answer> {
    let selector = at.of(&Scope::KIND)?;
    let csv = query.wants("csv", "text/csv")?;
    let (caller, own) = (guard.caller().clone(), query.own);
    let from = own.from.unwrap_or(Side::InForce);
    let to = own.to.unwrap_or(Side::Live);
    guard
        .view_as(
            Some(if csv { "csv" } else { "json" }),
            query.as_of,
            move |reader| {
                let scope = reader
                    .row::<Scope>(&selector, query.archived_too || reader.moment.past())?
                    .id;
                let framework = asked(reader, own.framework.as_deref())?;
                let of = (scope, framework.as_ref());
                let (from, before) = statement(reader, &caller, of, ("from", from))?;
                let (to, after) = statement(reader, &caller, of, ("to", to))?;
                let diff = SoaDiff {
                    scope_id: scope,
                    framework: framework.slug.clone(),
                    from,
                    to,
                    entries: entries(&before.entries, &after.entries),
                    own_controls: own_controls(&before.own_controls, &after.own_controls),
                };
                if csv {
                    Ok(Answer::json(crate::registers::soa::csv::diff_as_csv(&diff)?).as_media(CSV))
                } else {
                    Answer::of(&diff)
                }
            },
        )
        .await
}

/// Mounts them.
pub fn mount(api: &mut crate::http::Api<'_>) {
    api.get("/v1/scopes/{id}/soa-diff", get_diff)
        .id("getSoaDiff")
        .says(
            "Compare two statements of applicability of a scope",
            "Each side is the number of a \
            frozen version, a date (or another moment as `as_of` takes it), or `live`; when \
            nothing is asked, what changed since the version in force. What differs is told: \
            whether a requirement applies and why, how far it is and whether it works, and the \
            controls that were added or removed among those that the statements name. \
            `format=csv` (or `Accept: text/csv`) is the same computation, a row for each \
            requirement and control that differs.",
        )
        .tag("statement-of-applicability")
        .past()
        .query::<SoaDiffQuery>()
        .answers::<SoaDiff>("The difference.")
        .or_csv();
}
