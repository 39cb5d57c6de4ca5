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
    let mut all: BTreeMap<String, Vec<ControlRef>> = BTreeMap::new();
    if excluded.is_empty() {
        return Ok(all);
    }
    let (tenant, seq) = (reader.tenant(), reader.moment.seq);
    let mut citing: Vec<(String, Id)> = Vec::new();
    for some in excluded.chunks(500) {
        let cited = rl::table.filter(
            rl::tenant_id
                .eq(tenant)
                .and(rl::requirement.eq_any(some.to_vec())),
        );
        let cited = cited
            .filter(rl::from_seq.le(seq).and(rl::to_seq.gt(seq)))
            .order((rl::requirement, rl::from_id));
        citing.extend(
            cited
                .select((rl::requirement, rl::from_id))
                .load::<(String, Id)>(reader.conn())?,
        );
    }
    let controls = controls(reader, scope, &citing.iter().map(|(_, id)| *id).collect())?;
    let relied_on = relied_on(reader, scope, controls.keys().copied().collect())?;
    let mut named: BTreeMap<String, Vec<(i64, ControlRef)>> = BTreeMap::new();
    for (requirement, id) in citing {
        let Some((number, name, implementation)) = controls.get(&id) else {
            continue;
        };
        if speaks_against(*implementation, relied_on.contains(&id)) {
            let code = format!("{}-{number}", Control::KIND.code);
            named.entry(requirement).or_default().push((
                *number,
                ControlRef {
                    id,
                    code,
                    name: name.clone(),
                },
            ));
        }
    }
    for (requirement, mut controls) in named {
        controls.sort_by_key(|(number, _)| *number);
        all.insert(
            requirement,
            controls
                .into_iter()
                .take(NAMED)
                .map(|(_, control)| control)
                .collect(),
        );
    }
    Ok(all)
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
        let mut found: BTreeMap<Id, (i64, String)> = BTreeMap::new();
        for (id, number, name) in here
            .select((v::id, v::number, v::name))
            .load::<(Id, i64, String)>(reader.conn())?
        {
            found.insert(id, (number, name));
        }
        let own = c::table.inner_join(same_version!(v, c));
        let own = own
            .filter(c::tenant_id.eq(tenant))
            .filter(c::id.eq_any(some.to_vec()))
            .filter(at(seq));
        for (id, implementation) in own
            .select((c::id, c::implementation))
            .load::<(Id, Implementation)>(reader.conn())?
        {
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
        let existing = l::table.filter(
            l::tenant_id
                .eq(tenant)
                .and(l::relation.eq("existing_control_ids")),
        );
        let existing = existing
            .filter(l::to_id.eq_any(some.to_vec()))
            .filter(l::from_seq.le(seq).and(l::to_seq.gt(seq)));
        pairs.extend(
            existing
                .select((l::to_id, l::from_id))
                .load::<(Id, Id)>(reader.conn())?,
        );
    }
    let applied = treatment::applications(reader)?
        .into_iter()
        .map(|one| (one.control, one.risk));
    let treated: BTreeSet<(Id, Id)> = applied
        .filter(|(control, _)| controls.contains(control))
        .collect();
    let risks: Vec<Id> = pairs
        .iter()
        .chain(&treated)
        .map(|(_, risk)| *risk)
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    let mut here: BTreeMap<Id, bool> = BTreeMap::new();
    for some in risks.chunks(500) {
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
