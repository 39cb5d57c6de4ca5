//! The filters of a list as one condition on the spine.
use super::ask::{Archived, ListContext, ListQuery, Owner};
use super::{Condition, Kind, Reader, Resource, Selector, accounts, frameworks, sight};
use crate::core::{Id, Problem, Result};
use crate::db::dialect::inside;
use crate::db::schema::{links as l, requirement_links as rl, versions as v};
use chrono::NaiveDate;
use diesel::dsl::{exists, not};
use diesel::prelude::*;
use std::collections::BTreeMap;

/// What the question leaves of a register, as a condition on the spine.
pub fn condition<R: Resource>(
    reader: &Reader<'_>,
    ask: &ListQuery,
    targets: &Targets,
) -> Result<Condition> {
    let common = matching(reader, &R::KIND, ask, targets)?;
    Ok(match ask.own::<R::Filter>()? {
        Some(own) => R::matching(&own, &reader.moments())
            .into_iter()
            .fold(common, sight::both),
        None => common,
    })
}

/// What the question leaves of a kind, for this caller, at this moment.
fn matching(
    reader: &Reader<'_>,
    kind: &Kind,
    ask: &ListQuery,
    targets: &Targets,
) -> Result<Condition> {
    let seq = reader.moment.seq;
    let mut all: Vec<Condition> = vec![reader.seen(kind.name)];
    match ask.archived {
        Archived::False => all.push(Box::new(v::archived_at.is_null())),
        Archived::True => all.push(Box::new(v::archived_at.is_not_null())),
        Archived::Any => {}
    }
    if !ask.status.is_empty() {
        all.push(Box::new(v::status.eq_any(ask.status.clone())));
    }
    if !ask.ids.is_empty() {
        all.push(Box::new(v::id.eq_any(ask.ids.clone())));
    }
    if !ask.codes.is_empty() {
        all.push(Box::new(v::number.eq_any(ask.codes.clone())));
    }
    if !ask.external_refs.is_empty() {
        all.push(Box::new(
            v::external_ref
                .assume_not_null()
                .eq_any(ask.external_refs.clone())
                .and(v::external_ref.is_not_null()),
        ));
    }
    if let Some(none) = ask.owner_none {
        all.push(if none {
            Box::new(v::owner_id.is_null())
        } else {
            Box::new(v::owner_id.is_not_null())
        });
    }
    if let Some(wanted) = ask.owner_left {
        let gone = targets.get(GONE).map(Vec::as_slice).unwrap_or_default();
        let left: Condition = Box::new(
            v::owner_id
                .is_not_null()
                .and(v::owner_id.assume_not_null().eq_any(gone.to_vec())),
        );
        let stays: Condition = Box::new(
            v::owner_id
                .is_null()
                .or(v::owner_id.assume_not_null().ne_all(gone.to_vec())),
        );
        all.push(if wanted { left } else { stays });
    }
    let tags = ask.tags.iter().map(|tag| -> Condition {
        Box::new(v::tags.like(inside(&format!("\n{tag}\n"))).escape('\\'))
    });
    all.extend(tags.reduce(|a, b| Box::new(a.or(b))));
    all.extend(
        ask.words
            .iter()
            .filter(|w| !w.is_empty())
            .map(|word| -> Condition {
                Box::new(v::words.like(inside(&format!(" {word}"))).escape('\\'))
            }),
    );
    if let Some(overdue) = ask.overdue {
        let late = late(kind, reader.today);
        all.push(if overdue { late } else { Box::new(not(late)) });
    }
    if let Some(overdue) = ask.review_overdue {
        let late = review_late(kind, reader.today);
        all.push(if overdue { late } else { Box::new(not(late)) });
    }
    all.extend(days(ask, reader.settings.zone));
    all.extend(
        targets
            .iter()
            .filter(|(member, _)| **member != GONE)
            .map(|(member, ids)| related(member, ids, seq)),
    );
    for (member, none) in &ask.unrelated {
        let links = l::table.filter(
            l::tenant_id
                .eq(v::tenant_id)
                .and(l::from_id.eq(v::id))
                .and(l::relation.eq(*member)),
        );
        let some = exists(links.filter(l::from_seq.le(seq).and(l::to_seq.gt(seq))));
        all.push(if *none {
            Box::new(not(some))
        } else {
            Box::new(some)
        });
    }
    if !ask.requirements.is_empty() {
        // What the caller does not see is cited by nothing that it sees.
        let seen = |id: &&String| {
            id.split_once(':')
                .is_some_and(|(slug, _)| frameworks::seen(reader.caller(), slug))
        };
        let requirements: Vec<String> = ask.requirements.iter().filter(seen).cloned().collect();
        let cited = rl::table.filter(rl::tenant_id.eq(v::tenant_id).and(rl::from_id.eq(v::id)));
        let cited = cited
            .filter(rl::from_seq.le(seq).and(rl::to_seq.gt(seq)))
            .filter(rl::requirement.eq_any(requirements));
        all.push(Box::new(exists(cited)));
    }
    all.into_iter()
        .reduce(sight::both)
        .ok_or_else(|| Problem::internal("a list of nothing"))
}

/// Not in one of the end states of its kind.
pub fn unfinished(kind: &Kind) -> Condition {
    Box::new(v::status.ne_all(kind.done.to_vec()))
}
/// Past its due day, and not done.
pub fn late(kind: &Kind, today: NaiveDate) -> Condition {
    sight::both(
        Box::new(
            v::due_on
                .is_not_null()
                .and(v::due_on.assume_not_null().lt(today)),
        ),
        unfinished(kind),
    )
}
/// Past the day of its review, and not done.
pub fn review_late(kind: &Kind, today: NaiveDate) -> Condition {
    sight::both(
        Box::new(
            v::review_due_on
                .is_not_null()
                .and(v::review_due_on.assume_not_null().lt(today)),
        ),
        unfinished(kind),
    )
}

/// Is a column that may be empty in a span of days?
macro_rules! within {
    ($all:ident, $span:expr, $column:path) => {
        let some = || $column.is_not_null();
        if let Some(since) = $span.since {
            $all.push(Box::new(some().and($column.assume_not_null().ge(since))));
        }
        if let Some(before) = $span.before {
            $all.push(Box::new(some().and($column.assume_not_null().lt(before))));
        }
    };
}

fn days(ask: &ListQuery, zone: chrono_tz::Tz) -> Vec<Condition> {
    let mut all: Vec<Condition> = Vec::new();
    within!(all, ask.due_on, v::due_on);
    within!(all, ask.review_due_on, v::review_due_on);
    if let Some(since) = ask.created_at.since {
        all.push(Box::new(v::created_at.ge(since.instant(zone))));
    }
    if let Some(before) = ask.created_at.before {
        all.push(Box::new(v::created_at.lt(before.instant(zone))));
    }
    if let Some(since) = ask.updated_at.since {
        all.push(Box::new(v::updated_at.ge(since.instant(zone))));
    }
    if let Some(before) = ask.updated_at.before {
        all.push(Box::new(v::updated_at.lt(before.instant(zone))));
    }
    all
}

/// The people who have left, among the targets.
const GONE: &str = "";

/// The targets asked for, by member.
pub type Targets = BTreeMap<&'static str, Vec<Id>>;

/// Looks up what was named by code. What does not exist matches nothing.
pub fn targets(reader: &mut Reader<'_>, ask: &ListQuery) -> Result<Targets> {
    let mut all = Targets::new();
    for (member, selectors) in &ask.related {
        let ids = selectors
            .iter()
            .map(|selector| named(reader, selector))
            .collect::<Result<Vec<_>>>()?;
        all.entry(*member)
            .or_default()
            .extend(ids.into_iter().flatten());
    }
    for owner in &ask.owners {
        let id = match owner {
            Owner::Me => reader.person(),
            Owner::Person(selector) => named(reader, selector)?,
        };
        all.entry("owner_id").or_default().extend(id);
    }
    if ask.owner_left.is_some() {
        let (seq, today) = (reader.moment.seq, reader.today);
        all.insert(
            GONE,
            accounts::all_left(reader.conn, reader.tenant(), seq, today)?,
        );
    }
    Ok(all)
}

/// What a filter names. A code tells a limited caller nothing of a record that it does not see; an
/// id is what it is told anyway.
fn named(reader: &mut Reader<'_>, selector: &Selector) -> Result<Option<Id>> {
    match selector {
        Selector::Number(kind, number) if reader.limited(kind) => {
            let seen = v::table
                .filter(reader.seen(kind))
                .filter(v::number.eq(*number));
            Ok(seen.select(v::id).get_result(reader.conn).optional()?)
        }
        _ => Ok(selector.resolve(reader.conn, reader.tenant())?),
    }
}

/// Linked with one of these.
fn related(member: &'static str, ids: &[Id], seq: i64) -> Condition {
    let links = l::table.filter(
        l::tenant_id
            .eq(v::tenant_id)
            .and(l::from_id.eq(v::id))
            .and(l::relation.eq(member)),
    );
    Box::new(exists(
        links
            .filter(l::from_seq.le(seq).and(l::to_seq.gt(seq)))
            .filter(l::to_id.eq_any(ids.to_vec())),
    ))
}

impl Reader<'_> {
    /// The moment as filters need it.
    pub fn moments(&self) -> ListContext {
        let (seq, at) = (self.moment.seq, self.moment.at);
        ListContext {
            seq,
            today: self.today,
            at,
            settings: self.settings,
            caller: self.caller().clone(),
        }
    }
}
