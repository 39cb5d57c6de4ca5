//! What evidence says of controls, as conditions on the spine: SQL that both databases read alike.
//! Nothing of it is stored; the days of evidence are compared with those since which it is current.
use crate::access::Caller;
use crate::core::Id;
use crate::core::sql::DbUuid;
use crate::db::Backend;
use crate::db::dialect::expression;
use crate::records::sight::beginning;
use chrono::NaiveDate;
use diesel::QueryResult;
use diesel::expression::{
    AppearsOnTable, Expression, SelectableExpression, ValidGrouping, is_aggregate,
};
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::{BigInt, Bool, Date, Integer, Text};

/// The relations by which evidence proves a control.
pub const PROVES: [&str; 2] = ["control_ids", "subject_ids"];

/// The rank of a control that fails: above all others, so that one failed test outweighs every
/// proof.
pub const FAILING: i32 = 9;

/// The first days that are current still.
#[derive(Debug, Clone)]
pub struct Ages {
    /// Of the ends that evidence says itself: the organization's date.
    pub expires: NaiveDate,
    /// Of the ends of periods, by the frequency of the control.
    pub ended: Vec<(&'static str, NaiveDate)>,
    /// Of the days of collection, for all other evidence.
    pub collected: NaiveDate,
}

/// Which evidence a caller sees; empty: all.
#[derive(Debug, Clone, Default)]
pub struct Sight {
    /// Of these scopes, and of the whole organization.
    pub scopes: Vec<Id>,
    /// That cites a requirement like one of these patterns, or none.
    pub frameworks: Vec<String>,
    /// Of these sources.
    pub sources: Vec<String>,
    /// Pushed by this account.
    pub pushed_by: Option<Id>,
    /// Collected on this day or later.
    pub since: Option<NaiveDate>,
    /// Collected on this day or earlier.
    pub until: Option<NaiveDate>,
}
impl Sight {
    /// Of this caller. (Limits to controls are left out: who sees a control sees its evidence.)
    pub fn of(caller: &Caller) -> Self {
        let limits = &caller.limits;
        let slugs = limits.framework_slugs.iter();
        Sight {
            scopes: limits.scope_ids.clone(),
            frameworks: slugs.map(|slug| beginning(slug)).collect(),
            sources: limits.sources.clone(),
            pushed_by: (limits.sources.is_empty() && caller.collects()).then_some(caller.actor.id),
            since: limits.period_start_on,
            until: limits.period_end_on,
        }
    }
}

/// Does this control operate so? As ranks: 0 unproven, 1 stale, 2 operating, 9 failing; both parts
/// of a shared control have to be proven, so the lower counts.
#[derive(Debug, Clone)]
pub struct Operates {
    /// The position.
    pub seq: i64,
    /// The ranks that are asked for.
    pub ranks: Vec<i32>,
    /// What is current.
    pub ages: Ages,
    /// What the caller sees.
    pub sight: Sight,
}

/// Is this evidence current, whether it was superseded or not? The shortest frequency of its
/// controls counts.
#[derive(Debug, Clone)]
pub struct Fresh {
    /// The position.
    pub seq: i64,
    /// What is current.
    pub ages: Ages,
}

expression!(Operates, Bool, |this, out| {
    out.push_sql(
        "(SELECT CASE WHEN stage <> 'implemented' THEN 0 WHEN responsibility = 'own' THEN \
            MAX(grade) \
         WHEN responsibility = 'provider' THEN MAX(CASE WHEN attests THEN grade ELSE 0 END) \
         WHEN MAX(grade) = 9 THEN 9 \
         WHEN MAX(CASE WHEN attests THEN grade ELSE 0 END) < MAX(CASE WHEN attests THEN 0 ELSE \
         grade END) \
         THEN MAX(CASE WHEN attests THEN grade ELSE 0 END) ELSE MAX(CASE WHEN attests THEN 0 ELSE \
         grade END) END \
         FROM (SELECT pc.implementation AS stage, pc.responsibility AS responsibility, pe.attests \
         AS attests, \
         CASE WHEN pe.id IS NULL OR pe.outcome = 'inconclusive' THEN 0 WHEN ",
    );
    current(
        &mut out,
        &this.ages,
        |out| {
            out.push_sql("pe.period_end_on >= CASE pc.frequency");
            ended(out, &this.ages)?;
            out.push_sql(" END");
            Ok(())
        },
        |out| {
            out.push_sql("pc.frequency NOT IN ('continuous', 'per_event')");
            Ok(())
        },
    )?;
    out.push_sql(
        " THEN CASE WHEN pe.outcome = 'failed' THEN CASE WHEN pe.external_id IS NULL AND EXISTS \
            (SELECT 1 FROM links al \
         JOIN versions av ON av.tenant_id = al.tenant_id AND av.id = al.from_id AND av.kind = \
         'evidence' AND av.archived_at IS NULL \
         JOIN evidence ae ON ae.tenant_id = av.tenant_id AND ae.id = av.id AND ae.version = \
         av.version \
         WHERE al.tenant_id = pc.tenant_id AND al.to_id = pc.id AND al.relation IN \
         ('control_ids', 'subject_ids') \
         AND ae.superseded_by_id IS NULL AND ae.external_id IS NULL AND ae.outcome = 'passed' AND \
         ae.source = pe.source \
         AND ae.attests = pe.attests AND ae.collected_at > pe.collected_at AND ",
    );
    stood(&mut out, "al", &this.seq)?;
    out.push_sql(" AND ");
    stood(&mut out, "av", &this.seq)?;
    out.push_sql(
        ") THEN 0 ELSE 9 END ELSE 2 END WHEN pe.outcome = 'failed' THEN 0 ELSE 1 END AS grade \
            FROM controls pc \
         LEFT JOIN links pl ON pl.tenant_id = pc.tenant_id AND pl.to_id = pc.id AND pl.relation \
         IN ('control_ids', 'subject_ids') AND ",
    );
    stood(&mut out, "pl", &this.seq)?;
    out.push_sql(
        " LEFT JOIN versions pv ON pv.tenant_id = pl.tenant_id AND pv.id = pl.from_id AND pv.kind \
            = 'evidence' AND pv.archived_at IS NULL AND ",
    );
    stood(&mut out, "pv", &this.seq)?;
    out.push_sql(
        " LEFT JOIN evidence pe ON pe.tenant_id = pv.tenant_id AND pe.id = pv.id AND pe.version = \
            pv.version AND pe.superseded_by_id IS NULL",
    );
    seen(&mut out, &this.sight, &this.seq)?;
    out.push_sql(
        " WHERE pc.tenant_id = versions.tenant_id AND pc.id = versions.id AND pc.version = \
            versions.version) AS proofs \
         GROUP BY stage, responsibility) IN (",
    );
    listed(&mut out, &this.ranks, |out, rank| {
        out.push_bind_param::<Integer, _>(rank)
    })?;
    out.push_sql(")");
    Ok(())
});
expression!(Fresh, Bool, |this, out| {
    out.push_sql(
        "EXISTS (SELECT 1 FROM evidence pe WHERE pe.tenant_id = versions.tenant_id AND pe.id = \
            versions.id AND pe.version = versions.version AND ",
    );
    current(
        &mut out,
        &this.ages,
        |out| {
            out.push_sql("NOT ");
            done(out, &this.seq)?;
            out.push_sql(" AND pe.period_end_on < CASE pc.frequency");
            ended(out, &this.ages)?;
            out.push_sql(" END)");
            Ok(())
        },
        |out| {
            done(out, &this.seq)?;
            out.push_sql(")");
            Ok(())
        },
    )?;
    out.push_sql(")");
    Ok(())
});

/// The days of the ends of periods, by frequency.
fn ended<'b>(out: &mut AstPass<'_, 'b, Backend>, ages: &'b Ages) -> QueryResult<()> {
    ages.ended.iter().try_for_each(|(frequency, day)| {
        out.push_sql(&format!(" WHEN '{frequency}' THEN "));
        out.push_bind_param::<Date, _>(day)
    })
}

/// Whether the evidence `pe` is current: by its own end, else by the end of its period where
/// `regular`, else by its collection.
fn current<'a, 'b>(
    out: &mut AstPass<'a, 'b, Backend>,
    ages: &'b Ages,
    by_period: impl FnOnce(&mut AstPass<'a, 'b, Backend>) -> QueryResult<()>,
    regular: impl FnOnce(&mut AstPass<'a, 'b, Backend>) -> QueryResult<()>,
) -> QueryResult<()> {
    out.push_sql("(CASE WHEN pe.expires_on IS NOT NULL THEN pe.expires_on >= ");
    out.push_bind_param::<Date, _>(&ages.expires)?;
    out.push_sql(" WHEN pe.period_end_on IS NOT NULL AND ");
    regular(out)?;
    out.push_sql(" THEN ");
    by_period(out)?;
    out.push_sql(" ELSE pe.collected_on >= ");
    out.push_bind_param::<Date, _>(&ages.collected)?;
    out.push_sql(" END)");
    Ok(())
}

/// A control `pc` with periods that the evidence `pe` proves; the bracket stays open.
fn done<'b>(out: &mut AstPass<'_, 'b, Backend>, seq: &'b i64) -> QueryResult<()> {
    out.push_sql(
        "EXISTS (SELECT 1 FROM links pl JOIN versions cv ON cv.tenant_id = pl.tenant_id AND cv.id \
            = pl.to_id \
         JOIN controls pc ON pc.tenant_id = cv.tenant_id AND pc.id = cv.id AND pc.version = \
         cv.version \
         WHERE pl.tenant_id = pe.tenant_id AND pl.from_id = pe.id AND pl.relation IN \
         ('control_ids', 'subject_ids') AND ",
    );
    stood(out, "pl", seq)?;
    out.push_sql(" AND ");
    stood(out, "cv", seq)?;
    out.push_sql(" AND pc.frequency NOT IN ('continuous', 'per_event')");
    Ok(())
}

/// What stood at a position; the unary plus keeps SQLite from walking the ledger by position.
fn stood<'b>(out: &mut AstPass<'_, 'b, Backend>, what: &str, seq: &'b i64) -> QueryResult<()> {
    out.push_sql(&format!("+{what}.from_seq <= "));
    out.push_bind_param::<BigInt, _>(seq)?;
    out.push_sql(&format!(" AND {what}.to_seq > "));
    out.push_bind_param::<BigInt, _>(seq)
}

/// What the caller sees of the evidence `pe`, whose version is `pv`.
fn seen<'b>(out: &mut AstPass<'_, 'b, Backend>, sight: &'b Sight, seq: &'b i64) -> QueryResult<()> {
    if !sight.sources.is_empty() {
        out.push_sql(" AND pe.source IN (");
        listed(out, &sight.sources, |out, source| {
            out.push_bind_param::<Text, _>(source)
        })?;
        out.push_sql(")");
    }
    if let Some(account) = &sight.pushed_by {
        out.push_sql(" AND pe.pushed_by = ");
        out.push_bind_param::<DbUuid, _>(account)?;
    }
    if let Some(day) = &sight.since {
        out.push_sql(" AND pe.collected_on >= ");
        out.push_bind_param::<Date, _>(day)?;
    }
    if let Some(day) = &sight.until {
        out.push_sql(" AND pe.collected_on <= ");
        out.push_bind_param::<Date, _>(day)?;
    }
    if !sight.frameworks.is_empty() {
        let cited = |out: &mut AstPass<'_, 'b, Backend>| {
            out.push_sql(
                "SELECT 1 FROM requirement_links rq WHERE rq.tenant_id = pv.tenant_id \
                AND rq.from_id = pv.id AND ",
            );
            stood(out, "rq", seq)
        };
        out.push_sql(" AND (NOT EXISTS (");
        cited(out)?;
        out.push_sql(")");
        for pattern in &sight.frameworks {
            out.push_sql(" OR EXISTS (");
            cited(out)?;
            out.push_sql(" AND rq.requirement LIKE ");
            out.push_bind_param::<Text, _>(pattern)?;
            out.push_sql(" ESCAPE '\\')");
        }
        out.push_sql(")");
    }
    if !sight.scopes.is_empty() {
        for (n, opening) in [" AND (EXISTS (", " OR NOT EXISTS ("]
            .into_iter()
            .enumerate()
        {
            out.push_sql(opening);
            out.push_sql(
                "SELECT 1 FROM links sl WHERE sl.tenant_id = pv.tenant_id AND sl.from_id = pv.id \
                    AND sl.relation = 'scope_ids' AND ",
            );
            stood(out, "sl", seq)?;
            if n == 0 {
                out.push_sql(" AND sl.to_id IN (");
                listed(out, &sight.scopes, |out, scope| {
                    out.push_bind_param::<DbUuid, _>(scope)
                })?;
                out.push_sql(")");
            }
            out.push_sql(")");
        }
        out.push_sql(")");
    }
    Ok(())
}

fn listed<'a, 'b, T>(
    out: &mut AstPass<'a, 'b, Backend>,
    all: &'b [T],
    push: impl Fn(&mut AstPass<'a, 'b, Backend>, &'b T) -> QueryResult<()>,
) -> QueryResult<()> {
    for (n, one) in all.iter().enumerate() {
        if n > 0 {
            out.push_sql(", ");
        }
        push(out, one)?;
    }
    Ok(())
}
