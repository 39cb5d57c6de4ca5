//! Whether an acceptance still holds (ISO/IEC 27001:2022 6.1.3 f, 8.2): found at reading from what
//! happened after it was approved. It lapses on the first of: the day after its last, a rise of the
//! risk's level above the accepted one, a new revision or the end of the methodology that it was
//! scored by (or one for the risk's own scope), another owner of the risk, its revocation. What has
//! lapsed stays so.
use crate::core::{Id, Instant, Result};
use crate::db::dialect::same_version;
use crate::db::schema::{risks as r, versions as v};
use crate::records::{Reader, Record, Row};
use crate::registers::facts::Approval;
use crate::registers::treatment::acceptance::{APPROVED, Acceptance};
use crate::registers::treatment::{LapseReason, RiskTreatment, methods};
use chrono::NaiveDate;
use chrono_tz::Tz;
use diesel::prelude::*;
use std::collections::BTreeMap;

/// When and why an acceptance ceased to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lapse {
    /// The first day on which it does not hold.
    pub on: NaiveDate,
    /// Why.
    pub reason: LapseReason,
}

/// A version of a risk, as acceptances are compared with it.
#[derive(Debug, Clone, Queryable)]
pub struct Turn {
    seq: i64,
    at: Instant,
    owner: Option<Id>,
    rank: Option<i32>,
}

/// Pure: whether an acceptance has lapsed by what happened until `today`; both lists in the order
/// of the ledger.
pub fn lapse(
    of: &Acceptance,
    turns: &[Turn],
    revisions: &[(i64, Instant)],
    (zone, today): (Tz, NaiveDate),
) -> Option<Lapse> {
    let Approval {
        expires_on,
        seq,
        owner,
        rank,
        ..
    } = of.approval;
    let turned = |is: &dyn Fn(&Turn) -> bool| {
        let turn = turns.iter().find(|turn| turn.seq > seq && is(turn));
        turn.map(|turn| turn.at)
    };
    let revised = revisions.iter().find(|(revised, _)| *revised > seq);
    let expired = expires_on.succ_opt().filter(|_| expires_on < today);
    let events = [
        (
            turned(&|turn| turn.rank > Some(rank)),
            LapseReason::LevelRose,
        ),
        (revised.map(|(_, at)| *at), LapseReason::MethodologyRevised),
        (
            turned(&|turn| turn.owner != Some(owner)),
            LapseReason::OwnerChanged,
        ),
        (of.revoked_at, LapseReason::Revoked),
    ];
    let events = events
        .into_iter()
        .filter_map(|(at, reason)| Some((at?.day(zone), at, reason)));
    expired
        .map(|on| (on, None, LapseReason::Expired))
        .into_iter()
        .chain(events)
        .min_by_key(|(on, at, _)| (*on, *at))
        .map(|(on, _, reason)| Lapse { on, reason })
}

/// Which of these acceptances have lapsed at the reader's moment: two queries, whatever their
/// number (four where scopes have methodologies of their own).
pub fn of(reader: &mut Reader<'_>, all: &[Acceptance]) -> Result<BTreeMap<Id, Lapse>> {
    if all.is_empty() {
        return Ok(BTreeMap::new());
    }
    let (turns, events) = (turns(reader, all)?, methods::events(reader, all)?);
    let then = (reader.settings.zone, reader.today);
    let lapsed = all.iter().filter_map(|one| {
        let turns = turns.get(&one.risk).map(Vec::as_slice).unwrap_or_default();
        Some((one.id, lapse(one, turns, &events.of(one), then)?))
    });
    Ok(lapsed.collect())
}

/// The same for rows of treatments.
pub fn of_rows(reader: &mut Reader<'_>, rows: &[Row]) -> Result<BTreeMap<Id, Lapse>> {
    let mut accepted = Vec::new();
    for row in rows
        .iter()
        .filter(|row| APPROVED.contains(&row.status.as_str()))
    {
        accepted.extend(Acceptance::of(&Record::<RiskTreatment>::of(row)?));
    }
    of(reader, &accepted)
}

/// The versions of these risks since the first of the approvals.
fn turns(reader: &mut Reader<'_>, all: &[Acceptance]) -> Result<BTreeMap<Id, Vec<Turn>>> {
    let (tenant, seq) = (reader.tenant(), reader.moment.seq);
    let first = all
        .iter()
        .map(|one| one.approval.seq)
        .min()
        .unwrap_or_default();
    let mut risks: Vec<Id> = all.iter().map(|one| one.risk).collect();
    risks.sort();
    risks.dedup();
    let mut found: BTreeMap<Id, Vec<Turn>> = BTreeMap::new();
    for some in risks.chunks(500) {
        let own = r::table.inner_join(same_version!(v, r));
        let own = own
            .filter(r::tenant_id.eq(tenant).and(r::id.eq_any(some)))
            .order((r::id, r::version));
        let rows: Vec<(Id, Turn)> = own
            .select((
                r::id,
                (v::from_seq, v::updated_at, v::owner_id, r::current_rank),
            ))
            .load(reader.conn())?;
        for (id, turn) in rows
            .into_iter()
            .filter(|(_, turn)| turn.seq > first && turn.seq <= seq)
        {
            found.entry(id).or_default().push(turn);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap_or_else(|e| panic!("{e}"))
    }
    fn at(text: &str) -> Instant {
        text.parse().unwrap_or_else(|e| panic!("{e}"))
    }

    #[test]
    fn the_first_of_what_happened_ends_it() {
        let owner = Id::new();
        let of = Acceptance {
            id: Id::new(),
            risk: Id::new(),
            approval: Approval {
                expires_on: day("2026-06-30"),
                seq: 10,
                owner,
                rank: 3,
                methodology: Id::new(),
            },
            revoked_at: None,
        };
        let turn = |seq, when: &str, owner, rank| Turn {
            seq,
            at: at(when),
            owner: Some(owner),
            rank: Some(rank),
        };
        let (zone, early) = (chrono_tz::Europe::Berlin, day("2026-06-30"));
        let ends = |turns: &[Turn], revisions: &[(i64, Instant)], today| {
            lapse(&of, turns, revisions, (zone, today)).map(|l| (l.on, l.reason))
        };
        let before = [
            turn(9, "2026-01-01T00:00:00Z", Id::new(), 5),
            turn(11, "2026-01-02T00:00:00Z", owner, 3),
        ];
        assert_eq!(
            ends(&before, &[(9, at("2026-01-01T00:00:00Z"))], early),
            None,
            "its last day holds; what was before does not count"
        );
        assert_eq!(
            ends(&before, &[], day("2026-07-05")),
            Some((day("2026-07-01"), LapseReason::Expired))
        );
        let (risen, lower) = (
            turn(12, "2026-03-01T23:30:00Z", owner, 4),
            turn(13, "2026-03-05T00:00:00Z", owner, 1),
        );
        assert_eq!(
            ends(&[risen.clone(), lower.clone()], &[], early),
            Some((day("2026-03-02"), LapseReason::LevelRose)),
            "in the organization's zone, and for good"
        );
        assert_eq!(
            ends(&[lower], &[], early),
            None,
            "a lower level is accepted, too"
        );
        let handed = turn(14, "2026-04-01T10:00:00Z", Id::new(), 3);
        assert_eq!(
            ends(std::slice::from_ref(&handed), &[], early),
            Some((day("2026-04-01"), LapseReason::OwnerChanged))
        );
        assert_eq!(
            ends(
                &[handed, risen],
                &[(13, at("2026-03-01T22:00:00Z"))],
                day("2027-01-01")
            ),
            Some((day("2026-03-01"), LapseReason::MethodologyRevised))
        );
        let revoked = Acceptance {
            revoked_at: Some(at("2026-02-01T10:00:00Z")),
            ..of.clone()
        };
        let why = |today| lapse(&revoked, &[], &[], (zone, today)).map(|l| l.reason);
        assert_eq!(
            (why(early), why(day("2027-01-01"))),
            (Some(LapseReason::Revoked), Some(LapseReason::Revoked))
        );
    }
}
