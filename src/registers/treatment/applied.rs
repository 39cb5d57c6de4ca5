//! Which controls are applied against which risks: by mitigations that are approved, under way or
//! completed.
use crate::core::{Id, Result};
use crate::db::schema::{links as l, records as r, versions as v};
use crate::records::{Reader, Resource};
use crate::registers::treatment::RiskTreatment;
use diesel::prelude::*;
use std::collections::BTreeMap;

/// A control that a treatment applies against a risk.
#[derive(Debug, Clone, Copy)]
pub struct Applied {
    /// The control.
    pub control: Id,
    /// The risk.
    pub risk: Id,
    /// The number in the risk's code.
    pub risk_number: i64,
    /// The number in the treatment's code.
    pub treatment_number: i64,
}

/// Every one that this caller sees: two queries, and two more for each further 500 treatments.
pub fn applications(reader: &mut Reader<'_>) -> Result<Vec<Applied>> {
    let (tenant, seq) = (reader.tenant(), reader.moment.seq);
    let own = v::table
        .filter(reader.seen(RiskTreatment::KIND.name))
        .filter(v::archived_at.is_null());
    let own = own.filter(v::status.eq_any(["approved", "in_progress", "completed"]));
    let numbers: BTreeMap<Id, i64> = own
        .select((v::id, v::number))
        .load(reader.conn())?
        .into_iter()
        .collect();
    let (ids, mut all) = (numbers.keys().copied().collect::<Vec<Id>>(), Vec::new());
    for some in ids.chunks(500) {
        let own =
            l::table.inner_join(r::table.on(r::tenant_id.eq(l::tenant_id).and(r::id.eq(l::to_id))));
        let own = own.filter(
            l::tenant_id
                .eq(tenant)
                .and(l::from_id.eq_any(some.to_vec())),
        );
        let own = own
            .filter(l::relation.eq_any(["risk_id", "control_ids"]))
            .filter(l::from_seq.le(seq).and(l::to_seq.gt(seq)));
        let links: Vec<(Id, String, Id, i64)> = own
            .select((l::from_id, l::relation, l::to_id, r::number))
            .load(reader.conn())?;
        let of = |relation: &'static str| {
            links
                .iter()
                .filter(move |(_, member, ..)| member == relation)
        };
        let risks: BTreeMap<Id, (Id, i64)> = of("risk_id")
            .map(|(from, _, to, number)| (*from, (*to, *number)))
            .collect();
        let applied = of("control_ids").filter_map(|(treatment, _, control, _)| {
            let (risk, risk_number) = risks.get(treatment).copied()?;
            Some(Applied {
                control: *control,
                risk,
                risk_number,
                treatment_number: *numbers.get(treatment)?,
            })
        });
        all.extend(applied);
    }
    Ok(all)
}
