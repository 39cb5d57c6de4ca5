//! What proves a control (ISO/IEC 27001:2022 9.1): its evidence, current or expired. Computed at
//! reading, from the organization's date; right without any job having run.
use crate::core::{Id, Instant, Result};
use crate::db::among::among;
use crate::db::dialect::at;
use crate::db::schema::{controls as c, evidence as ev, links as l, versions as v};
use crate::records::Reader;
use crate::records::ask::Moments;
use crate::records::sight::Seen;
use crate::registers::control::{Frequency, Responsibility};
use crate::registers::evidence::outcome;
use crate::registers::evidence::outcome::EvidenceOutcome;
use crate::registers::evidence::proving::{Ages, PROVES};
use chrono::{Days, NaiveDate};
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

crate::vocabulary! {
    /// Does a control work, as far as evidence tells? `failing`: a test of it that is current
    /// failed, and none of its series passed since.
    pub enum Operation { Operating, Stale, Unproven, Failing }
}

/// The evidence behind a control: what is superseded does not count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Support {
    /// Pieces that are current.
    #[schema(minimum = 0)]
    pub current: i64,
    /// Pieces that are not any more.
    #[schema(minimum = 0)]
    pub expired: i64,
    /// Tests among the current pieces that failed, and that no later one of their series answers.
    #[schema(required, minimum = 0)]
    #[serde(default)]
    pub failed: i64,
    /// When the newest was collected.
    #[schema(required)]
    pub latest_collected_at: Option<Instant>,
    /// What the newest test showed; null where none of the evidence is a test.
    #[schema(required)]
    #[serde(default)]
    pub latest_outcome: Option<EvidenceOutcome>,
}

impl Support {
    /// Pure: several proofs in numbers; a piece of evidence that proves in several ways counts
    /// once, and is current when it is so in one.
    pub fn of<'p>(proofs: impl Iterator<Item = &'p Proof>) -> Self {
        let mut pieces: Vec<(Id, bool, bool)> = Vec::new();
        let (mut all, mut tried) = (Support::default(), None);
        for proof in proofs {
            pieces.push((proof.evidence, proof.current, proof.failing));
            all.latest_collected_at = all.latest_collected_at.max(Some(proof.collected_at));
            let test = proof.outcome.map(|outcome| {
                (
                    proof.collected_at,
                    outcome == EvidenceOutcome::Failed,
                    outcome,
                )
            });
            tried = tried
                .into_iter()
                .chain(test)
                .max_by_key(|(at, failed, _)| (*at, *failed));
        }
        pieces.sort_unstable();
        for piece in pieces.chunk_by(|a, b| a.0 == b.0) {
            let current = piece.iter().any(|(_, current, _)| *current);
            *(if current {
                &mut all.current
            } else {
                &mut all.expired
            }) += 1;
            all.failed += i64::from(piece.iter().any(|(.., failing)| *failing));
        }
        all.latest_outcome = tried.map(|(.., outcome)| outcome);
        all
    }
}

/// A piece of evidence, as it proves something on the organization's date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proof {
    /// The evidence.
    pub evidence: Id,
    /// Is it current?
    pub current: bool,
    /// Is it a provider's attestation?
    pub attests: bool,
    /// When it was collected.
    pub collected_at: Instant,
    /// What it showed, where it is a test.
    pub outcome: Option<EvidenceOutcome>,
    /// Did it fail, is it current, and is it not answered?
    pub failing: bool,
}

impl Proof {
    /// Does it show that something works? A failed or inconclusive test does not.
    fn positive(&self) -> bool {
        matches!(self.outcome, None | Some(EvidenceOutcome::Passed))
    }
}

/// Pure: what evidence says of a control. What a provider does is proven by its attestations alone;
/// of a shared control, the organization's part is proven by the rest, and both have to be.
pub fn operation(implemented: bool, responsibility: Responsibility, proofs: &[Proof]) -> Operation {
    let of = |counts: &dyn Fn(&Proof) -> bool| match () {
        () if proofs.iter().any(|proof| counts(proof) && proof.failing) => Operation::Failing,
        () if proofs
            .iter()
            .any(|proof| counts(proof) && proof.positive() && proof.current) =>
        {
            Operation::Operating
        }
        () if proofs.iter().any(|proof| counts(proof) && proof.positive()) => Operation::Stale,
        () => Operation::Unproven,
    };
    match (implemented, responsibility) {
        (false, _) => Operation::Unproven,
        (true, Responsibility::Own) => of(&|_| true),
        (true, Responsibility::Provider) => of(&|proof| proof.attests),
        (true, Responsibility::Shared) => {
            match (of(&|proof| !proof.attests), of(&|proof| proof.attests)) {
                (Operation::Failing, _) | (_, Operation::Failing) => Operation::Failing,
                (Operation::Operating, Operation::Operating) => Operation::Operating,
                (Operation::Unproven, _) | (_, Operation::Unproven) => Operation::Unproven,
                _ => Operation::Stale,
            }
        }
    }
}

/// The days that decide until when a piece of evidence is current.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// When it was collected.
    pub collected_on: NaiveDate,
    /// The end of the period that it covers.
    pub period_end_on: Option<NaiveDate>,
    /// When it says itself that it ends.
    pub expires_on: Option<NaiveDate>,
}

/// Pure: its last current day: `expires_on`, else the end of its period and one frequency of the
/// control and 10 % more, else the organization's default after it was collected.
pub fn current_until(span: &Span, frequency: Option<Frequency>, default_days: i32) -> NaiveDate {
    let default = span
        .collected_on
        .checked_add_days(Days::new(u64::from(default_days.unsigned_abs())))
        .unwrap_or(NaiveDate::MAX);
    let of_period = || {
        span.period_end_on?
            .checked_add_days(Days::new(allowance(frequency?)?))
    };
    span.expires_on.or_else(of_period).unwrap_or(default)
}

/// One period of a frequency and 10 % more, in days.
fn allowance(frequency: Frequency) -> Option<u64> {
    match frequency {
        Frequency::Daily => Some(2),
        Frequency::Weekly => Some(8),
        Frequency::Monthly => Some(34),
        Frequency::Quarterly => Some(101),
        Frequency::HalfYearly => Some(201),
        Frequency::Yearly => Some(402),
        Frequency::Continuous | Frequency::PerEvent => None,
    }
}

/// Pure: the shortest of these frequencies that has periods.
pub fn shortest(all: impl Iterator<Item = Frequency>) -> Option<Frequency> {
    all.filter(|frequency| allowance(*frequency).is_some())
        .min_by_key(|frequency| allowance(*frequency))
}

/// Pure: the first days that are current still, for filters: what `current_until` says, turned
/// around.
pub fn ages(then: &Moments) -> Ages {
    let before = |days: u64| {
        then.today
            .checked_sub_days(Days::new(days))
            .unwrap_or(NaiveDate::MIN)
    };
    let regular = [
        Frequency::Daily,
        Frequency::Weekly,
        Frequency::Monthly,
        Frequency::Quarterly,
        Frequency::HalfYearly,
        Frequency::Yearly,
    ];
    let ended = regular
        .into_iter()
        .filter_map(|frequency| Some((frequency.into(), before(allowance(frequency)?))))
        .collect();
    Ages {
        expires: then.today,
        ended,
        collected: before(u64::from(then.settings.evidence_days.unsigned_abs())),
    }
}

/// The evidence of these controls, as far as this caller sees it: two queries, and one more for a
/// limited caller.
pub fn proofs(reader: &mut Reader<'_>, controls: &[Id]) -> Result<BTreeMap<Id, Vec<Proof>>> {
    let frequencies = frequencies_of(reader, controls)?;
    let mut all: BTreeMap<Id, Vec<Proof>> = BTreeMap::new();
    let seen = Seen::of(reader, "evidence")?;
    let (today, default) = (reader.today, reader.settings.evidence_days);
    let mut failed = false;
    for Piece {
        control,
        evidence,
        collected_at,
        span,
        attests,
        outcome,
    } in pieces(reader, controls)?
    {
        if seen.has(evidence) {
            let current =
                current_until(&span, frequencies.get(&control).copied(), default) >= today;
            let failing = current && outcome == Some(EvidenceOutcome::Failed);
            failed |= failing;
            all.entry(control).or_default().push(Proof {
                evidence,
                current,
                attests,
                collected_at,
                outcome,
                failing,
            });
        }
    }
    if failed {
        let answered = outcome::answered(reader, controls)?;
        for (control, proofs) in &mut all {
            proofs
                .iter_mut()
                .for_each(|proof| proof.failing &= !answered.contains(&(*control, proof.evidence)));
        }
    }
    Ok(all)
}

/// The shortest frequency of the controls that each of these pieces of evidence proves.
pub fn frequencies(reader: &mut Reader<'_>, evidence: &[Id]) -> Result<BTreeMap<Id, Frequency>> {
    let (tenant, seq) = (reader.tenant(), reader.moment.seq);
    let [by, about] = PROVES;
    let linked = v::table
        .inner_join(l::table.on(l::tenant_id.eq(v::tenant_id).and(l::to_id.eq(v::id))))
        .inner_join(
            c::table.on(c::tenant_id
                .eq(v::tenant_id)
                .and(c::id.eq(v::id))
                .and(c::version.eq(v::version))),
        );
    let linked = linked.filter(
        l::tenant_id
            .eq(tenant)
            .and(among(l::from_id, evidence))
            .and(l::relation.eq(by).or(l::relation.eq(about))),
    );
    let linked = linked
        .filter(l::from_seq.le(seq).and(l::to_seq.gt(seq)))
        .filter(at(seq))
        .filter(c::frequency.is_not_null());
    let found: Vec<(Id, Option<Frequency>)> = linked
        .select((l::from_id, c::frequency))
        .load(reader.conn())?;
    let mut all: BTreeMap<Id, Vec<Frequency>> = BTreeMap::new();
    for (evidence, frequency) in found {
        all.entry(evidence).or_default().extend(frequency);
    }
    let of = |(evidence, all): (Id, Vec<Frequency>)| Some((evidence, shortest(all.into_iter())?));
    Ok(all.into_iter().filter_map(of).collect())
}

struct Piece {
    control: Id,
    evidence: Id,
    collected_at: Instant,
    span: Span,
    attests: bool,
    outcome: Option<EvidenceOutcome>,
}

/// Evidence that stands, with the controls it is linked with.
fn pieces(reader: &mut Reader<'_>, controls: &[Id]) -> Result<Vec<Piece>> {
    let (tenant, seq) = (reader.tenant(), reader.moment.seq);
    let [by, about] = PROVES;
    let linked = v::table
        .inner_join(l::table.on(l::tenant_id.eq(v::tenant_id).and(l::from_id.eq(v::id))))
        .inner_join(
            ev::table.on(ev::tenant_id
                .eq(v::tenant_id)
                .and(ev::id.eq(v::id))
                .and(ev::version.eq(v::version))),
        );
    let linked = linked.filter(
        l::tenant_id
            .eq(tenant)
            .and(l::relation.eq(by).or(l::relation.eq(about)))
            .and(l::from_seq.le(seq))
            .and(l::to_seq.gt(seq)),
    );
    let linked = linked
        .filter(v::kind.eq("evidence").and(v::archived_at.is_null()))
        .filter(at(seq));
    let linked = linked
        .filter(ev::superseded_by_id.is_null())
        .filter(among(l::to_id, controls));
    type Found = (
        Id,
        Id,
        Instant,
        (NaiveDate, Option<NaiveDate>, Option<NaiveDate>),
        bool,
        Option<EvidenceOutcome>,
    );
    let span = (ev::collected_on, ev::period_end_on, ev::expires_on);
    let columns = (
        l::to_id,
        v::id,
        ev::collected_at,
        span,
        ev::attests,
        ev::outcome,
    );
    let found: Vec<Found> = linked.select(columns).load(reader.conn())?;
    let piece = |(
        control,
        evidence,
        collected_at,
        (collected_on, period_end_on, expires_on),
        attests,
        outcome,
    ): Found| {
        let span = Span {
            collected_on,
            period_end_on,
            expires_on,
        };
        Piece {
            control,
            evidence,
            collected_at,
            span,
            attests,
            outcome,
        }
    };
    Ok(found.into_iter().map(piece).collect())
}

fn frequencies_of(reader: &mut Reader<'_>, controls: &[Id]) -> Result<BTreeMap<Id, Frequency>> {
    let (tenant, seq) = (reader.tenant(), reader.moment.seq);
    let standing = c::table
        .inner_join(
            v::table.on(v::tenant_id
                .eq(c::tenant_id)
                .and(v::id.eq(c::id))
                .and(v::version.eq(c::version))),
        )
        .filter(v::tenant_id.eq(tenant).and(v::kind.eq("control")))
        .filter(at(seq))
        .filter(c::frequency.is_not_null())
        .filter(among(v::id, controls));
    let found: Vec<(Id, Option<Frequency>)> =
        standing.select((c::id, c::frequency)).load(reader.conn())?;
    Ok(found
        .into_iter()
        .filter_map(|(id, frequency)| Some((id, frequency?)))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap_or_else(|e| panic!("{e}"))
    }

    #[test]
    fn how_long_evidence_is_current() {
        let span = Span {
            collected_on: day("2026-04-02"),
            period_end_on: Some(day("2026-03-31")),
            expires_on: None,
        };
        assert_eq!(
            current_until(&span, Some(Frequency::Quarterly), 365),
            day("2026-07-10")
        );
        assert_eq!(
            current_until(&span, Some(Frequency::Continuous), 365),
            day("2027-04-02"),
            "no period of a frequency: the default"
        );
        assert_eq!(current_until(&span, None, 30), day("2026-05-02"));
        let own = Span {
            expires_on: Some(day("2026-04-30")),
            ..span
        };
        assert_eq!(
            current_until(&own, Some(Frequency::Yearly), 365),
            day("2026-04-30"),
            "its own word comes first"
        );
        let open = Span {
            period_end_on: None,
            ..span
        };
        assert_eq!(
            current_until(&open, Some(Frequency::Daily), 365),
            day("2027-04-02")
        );
    }

    #[test]
    fn a_piece_counts_once() {
        let (one, other) = (Id::new(), Id::new());
        let at = |millis| Instant::from_millis(millis).unwrap_or_else(|| panic!("{millis}"));
        let proof = |evidence, current, millis| Proof {
            evidence,
            current,
            attests: false,
            collected_at: at(millis),
            outcome: None,
            failing: false,
        };
        let all = Support::of(
            [
                proof(one, false, 1),
                proof(one, true, 1),
                proof(other, false, 2),
            ]
            .iter(),
        );
        assert_eq!(
            all,
            Support {
                current: 1,
                expired: 1,
                latest_collected_at: Some(at(2)),
                ..Support::default()
            }
        );
        let failed = Proof {
            outcome: Some(EvidenceOutcome::Failed),
            failing: true,
            ..proof(one, true, 3)
        };
        let passed = Proof {
            outcome: Some(EvidenceOutcome::Passed),
            ..proof(other, true, 2)
        };
        let all = Support::of([failed, passed, failed].iter());
        assert_eq!(
            (all.current, all.failed, all.latest_outcome),
            (2, 1, Some(EvidenceOutcome::Failed))
        );
    }

    #[test]
    fn operation_needs_both_word_and_proof() {
        let proof = |current, attests| Proof {
            evidence: Id::new(),
            current,
            attests,
            collected_at: Instant::from_millis(1).unwrap_or_else(|| panic!("1")),
            outcome: None,
            failing: false,
        };
        let failed = Proof {
            outcome: Some(EvidenceOutcome::Failed),
            failing: true,
            ..proof(true, false)
        };
        let answered = Proof {
            failing: false,
            ..failed
        };
        let vague = Proof {
            outcome: Some(EvidenceOutcome::Inconclusive),
            ..proof(true, false)
        };
        let (own, old, attested, lapsed) = (
            proof(true, false),
            proof(false, false),
            proof(true, true),
            proof(false, true),
        );
        use Operation::{Failing, Operating, Stale, Unproven};
        use Responsibility::{Own, Provider, Shared};
        for (responsibility, proofs, wanted) in [
            (Own, vec![old, own], Operating),
            (Own, vec![old], Stale),
            (Own, vec![attested], Operating),
            (Own, vec![], Unproven),
            (Provider, vec![own], Unproven),
            (Provider, vec![own, attested], Operating),
            (Provider, vec![own, lapsed], Stale),
            (Shared, vec![own], Unproven),
            (Shared, vec![attested], Unproven),
            (Shared, vec![own, attested], Operating),
            (Shared, vec![own, lapsed], Stale),
            (Shared, vec![old, attested], Stale),
            (Shared, vec![old, lapsed], Stale),
            (Own, vec![own, failed], Failing),
            (Own, vec![failed], Failing),
            (Own, vec![answered], Unproven),
            (Own, vec![answered, old], Stale),
            (Own, vec![vague], Unproven),
            (Own, vec![vague, own], Operating),
            (Provider, vec![attested, failed], Operating),
            (Shared, vec![attested, failed], Failing),
            (Shared, vec![failed], Failing),
        ] {
            assert_eq!(
                operation(true, responsibility, &proofs),
                wanted,
                "{responsibility:?} {proofs:?}"
            );
            assert_eq!(operation(false, responsibility, &proofs), Unproven);
        }
    }
}
