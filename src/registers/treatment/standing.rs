//! What stands against risks at a moment: for the evaluation of a page of them, for closing one,
//! and for the statement of applicability.
use crate::core::{Id, Instant, Result};
use crate::db::among::among;
use crate::db::dialect::{at, body_of};
use crate::db::schema::{links as l, versions as v};
use crate::records::{Reader, Record, Resource};
use crate::registers::risk::Risk;
use crate::registers::treatment::lapse;
use crate::registers::treatment::lapse::Acceptance;
use crate::registers::treatment::{RiskTreatment, risk_treatments as t};
use chrono::NaiveDate;
use diesel::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// What stands against one risk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Standing {
    /// An acceptance that holds.
    pub accepted: bool,
    /// A treatment that is approved and not finished.
    pub underway: bool,
    /// An acceptance that holds no more.
    pub lapsed: bool,
}

/// What stands against these risks: one query where nothing does, at most four.
pub fn of_risks(reader: &mut Reader<'_>, risks: &[Id]) -> Result<BTreeMap<Id, Standing>> {
    let mut all: BTreeMap<Id, Standing> = BTreeMap::new();
    let mut accepted = Vec::new();
    for some in risks.chunks(500) {
        let rows: Vec<Decided> = t::table
            .filter(
                t::tenant_id
                    .eq(reader.tenant())
                    .and(among(t::risk_id, some)),
            )
            .select(DECIDED)
            .load(reader.conn())?;
        let standing = standing(reader, rows.iter().map(|row| row.0))?;
        for row in rows {
            let Some((_, status, changed)) = standing
                .get(&row.0)
                .filter(|(version, ..)| *version == row.1)
            else {
                continue;
            };
            all.entry(row.2).or_default().underway |=
                ["approved", "in_progress"].contains(&status.as_str());
            accepted.extend(acceptance(row, status, *changed));
        }
    }
    let lapsed = lapse::of(reader, &accepted)?;
    for one in accepted {
        let standing = all.entry(one.risk).or_default();
        match lapsed.contains_key(&one.id) {
            true => standing.lapsed = true,
            false => standing.accepted = true,
        }
    }
    Ok(all)
}

/// What a treatment's own row says of its approval.
type Decided = (
    Id,
    i32,
    Id,
    Option<NaiveDate>,
    Option<i64>,
    Option<Id>,
    Option<i32>,
    Option<Id>,
);
type Columns = (
    t::id,
    t::version,
    t::risk_id,
    t::expires_on,
    t::approved_seq,
    t::approved_owner_id,
    t::approved_rank,
    t::approved_methodology_id,
);
const DECIDED: Columns = (
    t::id,
    t::version,
    t::risk_id,
    t::expires_on,
    t::approved_seq,
    t::approved_owner_id,
    t::approved_rank,
    t::approved_methodology_id,
);

/// Pure: the acceptance that a row stands for, where it is one that was approved.
fn acceptance(
    (id, _, risk, expires_on, seq, owner, rank, methodology): Decided,
    status: &str,
    changed: Instant,
) -> Option<Acceptance> {
    let accepted = ["accepted", "revoked"].contains(&status);
    let revoked_at = (status == "revoked").then_some(changed);
    let (expires_on, seq, owner, rank, methodology) =
        (expires_on?, seq?, owner?, rank?, methodology?);
    accepted.then_some(Acceptance {
        id,
        risk,
        expires_on,
        seq,
        owner,
        rank,
        methodology,
        revoked_at,
    })
}

/// The acceptances among these versions of treatments (id, version, state, since when).
pub fn acceptances(
    reader: &mut Reader<'_>,
    versions: &[(Id, i32, String, Instant)],
) -> Result<Vec<Acceptance>> {
    let by: BTreeMap<Id, &(Id, i32, String, Instant)> = versions
        .iter()
        .map(|version| (version.0, version))
        .collect();
    let (ids, mut all) = (by.keys().copied().collect::<Vec<_>>(), Vec::new());
    for some in ids.chunks(500) {
        let own = t::table.filter(t::tenant_id.eq(reader.tenant()).and(among(t::id, some)));
        let rows: Vec<Decided> = own.select(DECIDED).load(reader.conn())?;
        let of = |row: Decided| {
            by.get(&row.0)
                .filter(|version| version.1 == row.1)
                .and_then(|(_, _, status, at)| acceptance(row, status, *at))
        };
        all.extend(rows.into_iter().filter_map(of));
    }
    Ok(all)
}

/// The versions of these treatments that stand, their states, and since when.
fn standing(
    reader: &mut Reader<'_>,
    ids: impl Iterator<Item = Id>,
) -> Result<BTreeMap<Id, (i32, String, Instant)>> {
    let ids: Vec<Id> = ids.collect::<BTreeSet<_>>().into_iter().collect();
    let mut all = BTreeMap::new();
    for some in ids.chunks(500) {
        let (tenant, seq) = (reader.tenant(), reader.moment.seq);
        let own = v::table
            .filter(
                v::tenant_id
                    .eq(tenant)
                    .and(among(v::id, some))
                    .and(v::archived_at.is_null()),
            )
            .filter(at(seq));
        let rows: Vec<(Id, i32, String, Instant)> = own
            .select((v::id, v::version, v::status, v::updated_at))
            .load(reader.conn())?;
        all.extend(
            rows.into_iter()
                .map(|(id, version, status, changed)| (id, (version, status, changed))),
        );
    }
    Ok(all)
}

/// The treatments that stand now, of one risk or of all that this caller sees, with their images;
/// what is archived is left out.
pub fn treatments(reader: &mut Reader<'_>, of: Option<Id>) -> Result<Vec<Record<RiskTreatment>>> {
    let mut own = v::table
        .into_boxed()
        .filter(reader.seen(RiskTreatment::KIND.name))
        .filter(v::archived_at.is_null());
    if let Some(risk) = of {
        let (tenant, seq) = (reader.tenant(), reader.moment.seq);
        let linked = l::table.filter(
            l::tenant_id
                .eq(tenant)
                .and(l::to_id.eq(risk))
                .and(l::relation.eq("risk_id")),
        );
        let linked: Vec<Id> = linked
            .filter(l::from_seq.le(seq).and(l::to_seq.gt(seq)))
            .select(l::from_id)
            .load(reader.conn())?;
        own = own.filter(v::id.eq_any(linked));
    }
    let mut rows: Vec<(i16, String)> = own
        .order(v::number)
        .select((v::schema, body_of()))
        .load(reader.conn())?;
    reader.name_actors(&mut rows.iter_mut().map(|(_, body)| body).collect::<Vec<_>>())?;
    rows.into_iter()
        .map(|(schema, body)| Record::of_image(schema, &body, None))
        .collect()
}

/// May a risk above the acceptance criteria be closed? With an acceptance that holds, or a
/// completed treatment after which its level did not rise.
pub fn settled(reader: &mut Reader<'_>, risk: &Record<Risk>) -> Result<bool> {
    let id = risk.spine.id;
    let rank = risk.state.current.as_ref().map(|score| score.level_rank);
    let done = |one: &Record<RiskTreatment>| {
        one.spine.status == "completed"
            && one
                .state
                .outcome
                .as_ref()
                .is_some_and(|outcome| Some(outcome.level_rank) >= rank)
    };
    Ok(of_risks(reader, &[id])?
        .get(&id)
        .is_some_and(|standing| standing.accepted)
        || treatments(reader, Some(id))?.iter().any(done))
}
