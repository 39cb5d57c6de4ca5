//! The evidence of controls, as it is read: what proves each of them at the reader's moment.
use crate::core::{Id, Instant, Result};
use crate::db::among::among;
use crate::db::dialect::{at, same_version};
use crate::db::schema::{controls as c, evidence as ev, links as l, versions as v};
use crate::records::Reader;
use crate::records::sight::Seen;
use crate::registers::control::body::Frequency;
use crate::registers::control::currency::{Span, current_until, shortest};
use crate::registers::control::proof::Proof;
use crate::registers::evidence::outcome::{self, EvidenceOutcome};
use crate::registers::evidence::proving::PROVES;
use diesel::prelude::*;
use std::collections::BTreeMap;

/// The evidence of these controls, as far as this caller sees it: two queries, and one more for a
/// limited caller.
pub fn proofs(reader: &mut Reader<'_>, controls: &[Id]) -> Result<BTreeMap<Id, Vec<Proof>>> {
    let frequencies = frequencies_of(reader, controls)?;
    let mut all: BTreeMap<Id, Vec<Proof>> = BTreeMap::new();
    let seen = Seen::of(reader, "evidence")?;
    let (today, default) = (reader.today, reader.settings.evidence_days);
    let mut failed = false;
    let seen = |piece: &Piece| seen.has(piece.evidence);
    for piece in pieces(reader, controls)?.into_iter().filter(seen) {
        let frequency = frequencies.get(&piece.control).copied();
        let current = current_until(&piece.span, frequency, default) >= today;
        let failing = current && piece.outcome == Some(EvidenceOutcome::Failed);
        failed |= failing;
        all.entry(piece.control).or_default().push(Proof {
            evidence: piece.evidence,
            current,
            attests: piece.attests,
            collected_at: piece.collected_at,
            outcome: piece.outcome,
            failing,
        });
    }
    if failed {
        let answered = outcome::answered(reader, controls)?;
        for (control, proofs) in &mut all {
            for proof in proofs {
                proof.failing &= !answered.contains(&(*control, proof.evidence));
            }
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
        .inner_join(same_version!(c, v));
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

/// A piece of evidence that is linked with a control.
#[derive(Queryable)]
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
        .inner_join(same_version!(ev, v));
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
    let span = (ev::collected_on, ev::period_end_on, ev::expires_on);
    let what = (
        l::to_id,
        v::id,
        ev::collected_at,
        span,
        ev::attests,
        ev::outcome,
    );
    Ok(linked.select(what).load(reader.conn())?)
}

fn frequencies_of(reader: &mut Reader<'_>, controls: &[Id]) -> Result<BTreeMap<Id, Frequency>> {
    let (tenant, seq) = (reader.tenant(), reader.moment.seq);
    let standing = c::table
        .inner_join(same_version!(v, c))
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
