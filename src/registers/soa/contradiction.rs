//! What speaks against an exclusion (ISO/IEC 27001:2022 6.1.3 d): controls that meet the
//! requirement and are implemented, or that the score of a risk rests on, or that a signed
//! treatment applies.
use crate::core::{Id, Result};
use crate::db::dialect::{at, same_version};
use crate::db::schema::{controls as c, links as l, requirement_links as rl, versions as v};
use crate::records::{Reader, Resource, sight};
use crate::registers::control::{Control, Implementation};
use crate::registers::risk::Risk;
use crate::registers::treatment;
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use utoipa::ToSchema;

/// Controls that are named for one requirement at most.
const NAMED: usize = 20;

/// A control in one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ControlRef {
    /// The control.
    pub id: Id,
    /// Its readable identifier.
    #[schema(max_length = 32)]
    pub code: String,
    /// What it is called.
    #[schema(max_length = 200)]
    pub name: String,
}

/// Pure: does a control that meets a requirement speak against its exclusion?
pub fn speaks_against(implementation: Implementation, relied_on: bool) -> bool {
    implementation == Implementation::Implemented || relied_on
}

/// The controls of a scope that speak against excluding each of these requirements, up to 20 each.
pub fn of(
    reader: &mut Reader<'_>,
    scope: Id,
    excluded: &[&str],
) -> Result<BTreeMap<String, Vec<ControlRef>>> {
    if excluded.is_empty() {
        return Ok(BTreeMap::new());
    }
    let (tenant, seq) = (reader.tenant(), reader.moment.seq);
    let mut citing: Vec<(String, Id)> = Vec::new();
    for some in excluded.chunks(500) {
        let of = rl::tenant_id
            .eq(tenant)
            .and(rl::requirement.eq_any(some.to_vec()));
        let cited = rl::table
            .filter(of)
            .filter(rl::from_seq.le(seq).and(rl::to_seq.gt(seq)))
            .order((rl::requirement, rl::from_id))
            .select((rl::requirement, rl::from_id));
        citing.extend(cited.load::<(String, Id)>(reader.conn())?);
    }
    let controls = controls(reader, scope, &citing.iter().map(|(_, id)| *id).collect())?;
    let relied_on = relied_on(reader, scope, controls.keys().copied().collect())?;
    let mut named: BTreeMap<String, BTreeMap<i64, ControlRef>> = BTreeMap::new();
    for (requirement, id) in citing {
        if let Some((number, name, implementation)) = controls.get(&id)
            && speaks_against(*implementation, relied_on.contains(&id))
        {
            let (code, name) = (format!("{}-{number}", Control::KIND.code), name.clone());
            let controls = named.entry(requirement).or_default();
            controls.insert(*number, ControlRef { id, code, name });
        }
    }
    let first = |controls: BTreeMap<i64, ControlRef>| controls.into_values().take(NAMED).collect();
    Ok(named
        .into_iter()
        .map(|(requirement, all)| (requirement, first(all)))
        .collect())
}

/// Those of these records that are controls of the scope: number, name, and how far each is.
fn controls(
    reader: &mut Reader<'_>,
    scope: Id,
    of: &BTreeSet<Id>,
) -> Result<BTreeMap<Id, (i64, String, Implementation)>> {
    let (tenant, seq) = (reader.tenant(), reader.moment.seq);
    let (ids, mut all): (Vec<Id>, _) = (of.iter().copied().collect(), BTreeMap::new());
    for some in ids.chunks(500) {
        let here = v::table.filter(sight::both(
            reader.seen(Control::KIND.name),
            sight::scoped(&[scope], seq),
        ));
        let here = here
            .filter(v::archived_at.is_null())
            .filter(v::id.eq_any(some.to_vec()));
        let here = here.select((v::id, (v::number, v::name)));
        let found: Vec<(Id, (i64, String))> = here.load(reader.conn())?;
        let mut found = BTreeMap::from_iter(found);
        let own = c::table.inner_join(same_version!(v, c));
        let own = own
            .filter(c::tenant_id.eq(tenant))
            .filter(c::id.eq_any(some.to_vec()))
            .filter(at(seq))
            .select((c::id, c::implementation));
        for (id, implementation) in own.load::<(Id, Implementation)>(reader.conn())? {
            if let Some((number, name)) = found.remove(&id) {
                all.insert(id, (number, name, implementation));
            }
        }
    }
    Ok(all)
}

/// Which of these controls risks of the scope rest on, in their present scores or by a signed
/// treatment.
fn relied_on(reader: &mut Reader<'_>, scope: Id, controls: BTreeSet<Id>) -> Result<BTreeSet<Id>> {
    if controls.is_empty() {
        return Ok(controls);
    }
    let (tenant, seq) = (reader.tenant(), reader.moment.seq);
    let mut pairs: BTreeSet<(Id, Id)> = BTreeSet::new();
    for some in controls.iter().copied().collect::<Vec<Id>>().chunks(500) {
        let own = l::tenant_id
            .eq(tenant)
            .and(l::relation.eq("existing_control_ids"));
        let existing = l::table
            .filter(own)
            .filter(l::to_id.eq_any(some.to_vec()))
            .filter(l::from_seq.le(seq).and(l::to_seq.gt(seq)))
            .select((l::to_id, l::from_id));
        pairs.extend(existing.load::<(Id, Id)>(reader.conn())?);
    }
    let applied = treatment::applications(reader)?.into_iter();
    let applied = applied.filter(|one| controls.contains(&one.control));
    let treated: BTreeSet<(Id, Id)> = applied.map(|one| (one.control, one.risk)).collect();
    let risks: BTreeSet<Id> = pairs
        .iter()
        .chain(&treated)
        .map(|(_, risk)| *risk)
        .collect();
    let mut here: BTreeMap<Id, bool> = BTreeMap::new();
    for some in risks.into_iter().collect::<Vec<Id>>().chunks(500) {
        let seen = v::table.filter(sight::both(
            reader.seen(Risk::KIND.name),
            sight::scoped(&[scope], seq),
        ));
        let seen = seen
            .filter(v::id.eq_any(some.to_vec()))
            .select((v::id, v::archived_at.is_null()));
        here.extend(seen.load::<(Id, bool)>(reader.conn())?);
    }
    // What was archived rests on nothing any more; a treatment of it was signed all the same.
    let rests = pairs
        .into_iter()
        .filter(|(_, risk)| here.get(risk) == Some(&true));
    let treats = treated
        .into_iter()
        .filter(|(_, risk)| here.contains_key(risk));
    Ok(rests.chain(treats).map(|(control, _)| control).collect())
}
