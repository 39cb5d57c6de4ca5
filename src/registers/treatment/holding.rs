//! What treatments say about a risk, as conditions on the spine: SQL that both databases read
//! alike. An acceptance stands from the entry that approved it until its day is over, or the risk's
//! owner changed, its level rose above the one that was accepted, or a new revision of the
//! methodology that it was scored by (or one for the risk's own scope) came into force, or that
//! methodology was retired; nothing of that is stored.
use crate::db::Backend;
use crate::db::dialect::expression;
use chrono::NaiveDate;
use diesel::QueryResult;
use diesel::expression::{
    AppearsOnTable, Expression, SelectableExpression, ValidGrouping, is_aggregate,
};
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::{BigInt, Bool, Date};

/// Has this risk treatments in one of these states?
#[derive(Debug, Clone, Copy)]
pub struct Treated {
    /// The position.
    pub seq: i64,
    /// The states, as SQL.
    states: &'static str,
}
impl Treated {
    /// Approved and not finished.
    pub fn underway(seq: i64) -> Self {
        Treated {
            seq,
            states: "tv.status IN ('approved', 'in_progress')",
        }
    }
    /// Accepted once, whether it still stands or not.
    pub fn accepted_once(seq: i64) -> Self {
        Treated {
            seq,
            states: "tv.status IN ('accepted', 'revoked')",
        }
    }
    /// Any that was not given up.
    pub fn at_all(seq: i64) -> Self {
        Treated {
            seq,
            states: "tv.status <> 'cancelled'",
        }
    }
}

/// Is this risk accepted?
#[derive(Debug, Clone, Copy)]
pub struct Accepted {
    /// The position.
    pub seq: i64,
    /// The organization's date.
    pub today: NaiveDate,
}

/// Does this treatment, which is an acceptance, still stand?
#[derive(Debug, Clone, Copy)]
pub struct Stands {
    /// The position.
    pub seq: i64,
    /// The organization's date.
    pub today: NaiveDate,
}

expression!(Treated, Bool, |this, out| {
    treatments(&mut out, &this.seq)?;
    out.push_sql(" AND ");
    out.push_sql(this.states);
    out.push_sql(")");
    Ok(())
});
expression!(Accepted, Bool, |this, out| {
    treatments(&mut out, &this.seq)?;
    out.push_sql(" AND tv.status = 'accepted' AND ");
    stands(&mut out, &this.seq, &this.today)?;
    out.push_sql(")");
    Ok(())
});
expression!(Stands, Bool, |this, out| {
    out.push_sql(
        "EXISTS (SELECT 1 FROM risk_treatments t WHERE t.tenant_id = versions.tenant_id AND t.id \
            = versions.id AND t.version = versions.version AND versions.status = 'accepted' AND ",
    );
    stands(&mut out, &this.seq, &this.today)?;
    out.push_sql(")");
    Ok(())
});

/// The treatments `t` of the risk, as they stood. A cross join keeps SQLite's order: by the risk
/// first, then each version by its key.
fn treatments<'b>(out: &mut AstPass<'_, 'b, Backend>, seq: &'b i64) -> QueryResult<()> {
    out.push_sql(
        "EXISTS (SELECT 1 FROM risk_treatments t CROSS JOIN versions tv WHERE t.tenant_id = \
            versions.tenant_id AND t.risk_id = versions.id \
         AND tv.tenant_id = t.tenant_id AND tv.id = t.id AND tv.version = t.version AND \
         tv.archived_at IS NULL AND +tv.from_seq <= ",
    );
    out.push_bind_param::<BigInt, _>(seq)?;
    out.push_sql(" AND +tv.to_seq > ");
    out.push_bind_param::<BigInt, _>(seq)
}

/// The acceptance `t` has not lapsed. (The unary plus keeps SQLite from walking the ledger by
/// position.)
fn stands<'b>(
    out: &mut AstPass<'_, 'b, Backend>,
    seq: &'b i64,
    today: &'b NaiveDate,
) -> QueryResult<()> {
    out.push_sql("t.expires_on >= ");
    out.push_bind_param::<Date, _>(today)?;
    out.push_sql(
        " AND NOT EXISTS (SELECT 1 FROM versions rv CROSS JOIN risks rr WHERE rv.tenant_id = \
            t.tenant_id AND rv.id = t.risk_id \
         AND rr.tenant_id = rv.tenant_id AND rr.id = rv.id AND rr.version = rv.version AND \
         +rv.from_seq > t.approved_seq AND +rv.from_seq <= ",
    );
    out.push_bind_param::<BigInt, _>(seq)?;
    out.push_sql(
        " AND (rv.owner_id IS NULL OR rv.owner_id <> t.approved_owner_id OR rr.current_rank > \
            t.approved_rank)) \
         AND NOT EXISTS (SELECT 1 FROM risk_methodologies m CROSS JOIN versions mv CROSS JOIN \
         versions earlier WHERE m.tenant_id = t.tenant_id \
         AND mv.tenant_id = m.tenant_id AND mv.id = m.id AND mv.version = m.version AND mv.status \
         IN ('approved', 'retired') \
         AND earlier.tenant_id = m.tenant_id AND earlier.id = m.id AND earlier.version = \
         m.version - 1 AND earlier.status <> mv.status \
         AND (m.id = t.approved_methodology_id OR (mv.status = 'approved' AND EXISTS (SELECT 1 \
         FROM links ms CROSS JOIN links rs \
         WHERE ms.tenant_id = m.tenant_id AND ms.from_id = m.id AND ms.relation = 'scope_ids' AND \
         +ms.from_seq <= mv.from_seq AND +ms.to_seq > mv.from_seq \
         AND rs.tenant_id = ms.tenant_id AND rs.from_id = t.risk_id AND rs.relation = 'scope_ids' \
         AND rs.to_id = ms.to_id \
         AND +rs.from_seq <= mv.from_seq AND +rs.to_seq > mv.from_seq))) \
         AND +mv.from_seq > t.approved_seq AND +mv.from_seq <= ",
    );
    out.push_bind_param::<BigInt, _>(seq)?;
    out.push_sql(")");
    Ok(())
}
