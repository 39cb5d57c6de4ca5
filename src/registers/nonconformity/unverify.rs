//! What was verified has to be verified again when it, or something that it led to, has changed.
use crate::core::{Id, Result};
use crate::db::dialect::{OPEN, body_of};
use crate::db::schema::versions as v;
use crate::records::{Record, Writing};
use crate::registers::nonconformity::Nonconformity;
use diesel::prelude::*;
use std::collections::BTreeSet;

/// Those of these nonconformities that are verified have to be verified again: something that they
/// led to has changed.
pub fn unverify(tx: &mut Writing<'_>, origins: &BTreeSet<Id>) -> Result<()> {
    let tenant = tx.caller().tenant;
    for id in origins {
        let standing = v::table.filter(
            v::tenant_id
                .eq(tenant)
                .and(v::id.eq(*id))
                .and(v::kind.eq("nonconformity"))
                .and(v::to_seq.eq(OPEN)),
        );
        let standing = standing
            .filter(v::status.eq("verified"))
            .select((v::schema, body_of()));
        let Some((schema, body)) = standing.get_result::<(i16, String)>(tx.conn()).optional()?
        else {
            continue;
        };
        let before = Record::<Nonconformity>::of_image(schema, &body, None)?;
        let mut record = before.clone();
        unverified(&mut record);
        tx.follow(&before, record, "unverify")?;
    }
    Ok(())
}

/// Pure: what was verified is implemented again, and nobody has verified it.
pub fn unverified(record: &mut Record<Nonconformity>) {
    record.spine.status = "implemented".into();
    record.state.unverified();
}
