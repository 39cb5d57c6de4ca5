//! What stands against risks at a moment: for the evaluation of a page of them, for closing one,
//! and for the statement of applicability.
use crate::core::{Id, Instant, Result};
use crate::db::among::among;
use crate::db::dialect::{at, body_of};
use crate::db::schema::{links as l, risk_treatments as t, versions as v};
use crate::records::{Reader, Record, Resource};
use crate::registers::facts::Approved;
use crate::registers::treatment::acceptance::Acceptance;
use crate::registers::treatment::{RiskTreatment, lapse};
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
        let of_risks = t::tenant_id
            .eq(reader.tenant())
            .and(among(t::risk_id, some));
        let decided = t::table.filter(of_risks).select(Decided::as_select());
        let rows: Vec<Decided> = decided.load(reader.conn())?;
        let standing = standing(reader, rows.iter().map(|row| row.id))?;
        for row in rows {
            if let Some((version, status, since)) = standing.get(&row.id)
                && *version == row.version
            {
                all.entry(row.risk_id).or_default().underway |=
                    ["approved", "in_progress"].contains(&status.as_str());
                let (of, approval) = ((row.id, row.risk_id), row.approved.whole());
                accepted.extend(Acceptance::found(of, approval, (status, *since)));
            }
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
#[derive(Queryable, Selectable)]
#[diesel(table_name = t)]
struct Decided {
    id: Id,
    version: i32,
    risk_id: Id,
    #[diesel(embed)]
    approved: Approved,
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
        let own = own.select((v::id, (v::version, v::status, v::updated_at)));
        all.extend(own.load::<(Id, (i32, String, Instant))>(reader.conn())?);
    }
    Ok(all)
}

/// The treatments of a risk that stand now and that this caller sees, with their images; what is
/// archived is left out.
fn treatments(reader: &mut Reader<'_>, risk: Id) -> Result<Vec<Record<RiskTreatment>>> {
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
    let own = v::table
        .filter(reader.seen(RiskTreatment::KIND.name))
        .filter(v::archived_at.is_null())
        .filter(v::id.eq_any(linked));
    let rows: Vec<(i16, String)> = own
        .order(v::number)
        .select((v::schema, body_of()))
        .load(reader.conn())?;
    rows.into_iter()
        .map(|(schema, body)| Record::of_image(schema, &body, None))
        .collect()
}

/// May a risk above the acceptance criteria be closed? With an acceptance that holds, or a
/// completed treatment after which its level, of that rank now, did not rise.
pub fn settled(reader: &mut Reader<'_>, risk: Id, rank: Option<i32>) -> Result<bool> {
    let accepted = of_risks(reader, &[risk])?
        .get(&risk)
        .is_some_and(|one| one.accepted);
    let done = |one: &Record<RiskTreatment>| {
        let outcome = one.state.outcome.as_ref();
        one.spine.status == "completed" && outcome.is_some_and(|left| Some(left.level_rank) >= rank)
    };
    Ok(accepted || treatments(reader, risk)?.iter().any(done))
}
